"""The pictures of a report, drawn with matplotlib (extra ``report``), the same bytes every time.

Colours are those of Okabe and Ito, which people with any kind of colour vision can tell apart; shape and
text say the same again.
"""

import io
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vrsim.errors import DependencyError
from vrsim.numerals import number
from vrsim.report.findings import Findings, Result
from vrsim.report.plain_text import cut, interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

__all__ = [
    "BLUE", "GRID", "INK", "KINDS", "ORANGE", "SERIES", "Picture", "draw", "legend", "need_matplotlib", "one_line",
    "render",
]  # fmt: skip

INK, GRID = "#1d2329", "#d8dde3"  # the page replaces them by its own, light or dark
BLUE, ORANGE, GREEN, RED, PINK, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"
SERIES = ((BLUE, "o"), (RED, "s"), (GREEN, "^"), (PINK, "D"), (SKY, "v"))  # agents that read
TRIVIAL = ((ORANGE, "x"), (ORANGE, "+"))  # shortcuts
WIDTH = 5.0  # inches; a column of the page is wider, a phone narrower
NAME, NARROW = 44, 26  # characters of an agent's name; where it stands beside a table
BARS = 40  # agents in the picture of the score, at most, and the best shortcut
STYLE = {
    "axes.axisbelow": True, "axes.edgecolor": INK, "axes.facecolor": "none", "axes.grid": True,
    "axes.labelcolor": INK, "axes.labelsize": 10, "axes.linewidth": 0.6, "axes.spines.right": False,
    "axes.spines.top": False, "figure.dpi": 72, "font.family": "DejaVu Sans", "font.size": 10, "grid.color": GRID,
    "grid.linewidth": 0.6, "legend.fontsize": 9.5, "legend.frameon": False, "lines.linewidth": 1.4,
    "lines.markersize": 5, "savefig.dpi": 200, "savefig.facecolor": "white", "svg.fonttype": "none",
    "svg.hashsalt": "vrsim", "text.color": INK, "text.parse_math": False, "xtick.color": INK, "xtick.labelsize": 9.5,
    "xtick.major.size": 0, "ytick.color": INK, "ytick.labelsize": 9.5, "ytick.major.size": 0,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture, in both formats."""

    kind: str  # a key of KINDS
    title: str
    caption: str  # how to read it
    alt: str  # what it shows, in words
    svg: bytes
    png: bytes


def need_matplotlib() -> None:
    """Raise DependencyError if matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise DependencyError(
            f"a report needs matplotlib ({error}); install it with pip install 'vrsim[report]'"
        ) from None


def draw(findings: Findings) -> list[Picture]:
    """The pictures of one set of questions: those of KINDS for which there is something to show."""
    pictures = []
    for kind, (title, caption, choose, paint) in KINDS.items():
        shown = choose(findings)
        if not shown:
            continue
        if len(shown) < len(findings.results):
            caption += f" Shown: {len(shown)} of {len(findings.results)} agents."
        files = render(lambda figure, paint=paint, shown=shown: paint(figure, findings, shown))
        pictures.append(Picture(kind, title or _metric(findings), caption, *files))
    return pictures


def render(paint: Callable[["Figure"], str], height: float = 3.4) -> tuple[str, bytes, bytes]:
    """A figure as ``paint`` draws it: what ``paint`` says that it shows, SVG, PNG. ``height`` is in inches."""
    with _own_style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        alt = paint(figure)
        svg, png = (_save(figure, form) for form in ("svg", "png"))
    return alt, svg, png


@contextmanager
def _own_style():
    """Neither a matplotlibrc file nor the program around can change what a report looks like."""
    import matplotlib.style

    with matplotlib.style.context("default"), matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # a name in a script without a font
        yield


def _save(figure: "Figure", form: str) -> bytes:
    buffer = io.BytesIO()
    nameless = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
    figure.savefig(buffer, format=form, metadata=nameless)
    return buffer.getvalue()


def _name(result: Result) -> str:
    return one_line(result.name)


def one_line(text: str) -> str:
    """A name on one line. The space in front of an underscore is for matplotlib, which would leave it out."""
    name = " ".join(cut(text, NAME).split())
    return f" {name}" if name.startswith("_") else name


def _score(figure: "Figure", findings: Findings, results: Sequence[Result]) -> str:
    from matplotlib.patches import Patch

    figure.set_size_inches(WIDTH, 0.9 + 0.42 * len(results))
    axes = figure.add_subplot()
    for place, result in enumerate(results):
        score, end = result.headline, result.headline.value
        axes.barh(place, score.value, 0.42, color=ORANGE if result.shortcut else BLUE)
        if np.isfinite(score.low):
            axes.plot([score.low, score.high], [place, place], color=INK, linewidth=1.2, marker="|", markersize=6)
            end = score.high
        axes.text(0, place - 0.27, _name(result), va="bottom", fontsize=9.5)
        axes.text(end + 0.012, place, number(score.value), va="center", fontsize=9.5)
    lines = [_guess(axes, len(results), findings.chance, (0, (3, 2)), "chance")]
    if findings.always > findings.chance + 0.005:
        lines.append(_guess(axes, len(results), findings.always, (0, (1, 1.5)), "always the more frequent answer"))
    axes.set(
        xlim=(0, 1.06), ylim=(len(results) - 0.5, -0.75), yticks=[], xlabel=_metric(findings).replace("Acc", "acc")
    )
    _numbers(axes.set_xticks)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    kinds = {False: (BLUE, "agent"), True: (ORANGE, "shortcut")}
    patches = [Patch(color=kinds[k][0], label=kinds[k][1]) for k in (False, True) if k in {r.shortcut for r in results}]
    legend(figure, [*patches, *lines], 2 if len(lines) > 1 else 3)
    told = [f"{_name(r)} {number(r.headline.value)} ({interval(r.headline)})" for r in results[:5]]
    more = f"; and {len(results) - 5} more" if len(results) > 5 else ""
    return (
        f"{_metric(findings)} as bars with 95 % intervals. {'; '.join(told)}{more}. Chance {number(findings.chance)}."
    )


def _metric(findings: Findings) -> str:
    return "AUC" if findings.metric == "auc" else "Accuracy"


def _guess(axes: "Axes", places: int, value: float, line: tuple, label: str) -> "LineCollection":
    """A line through every bar and through no name."""
    middle = np.arange(places)
    return axes.vlines(
        np.full(places, value), middle - 0.3, middle + 0.3, colors=INK, linestyles=line, label=label, linewidth=1.2
    )


def _activity(figure: "Figure", findings: Findings, results: Sequence[Result]) -> str:
    axes, groups = figure.add_subplot(), results[0].groups
    spread = np.linspace(-0.16, 0.16, len(results)) if len(results) > 1 else [0.0]
    for (result, colour, marker, line), shift in zip(_looks(results), spread, strict=True):
        x, accuracy = np.arange(len(groups)) + shift, [group.accuracy for group in result.groups]
        y = np.array([a.value for a in accuracy])
        error = np.nan_to_num([[a.value - a.low for a in accuracy], [a.high - a.value for a in accuracy]])
        style = {"color": colour, "marker": marker, "linestyle": line, "label": _name(result)}
        axes.errorbar(x, y, error, **style, elinewidth=0.8)
    axes.axhline(findings.chance, color=INK, linestyle=(0, (4, 3)), linewidth=1, label="chance")
    ranges = [f"{g.least}" if g.least == g.most else f"{g.least} to {g.most}" for g in groups]
    axes.set_xticks(range(len(groups)), [f"{r}\n{g.users} users" for r, g in zip(ranges, groups, strict=True)])
    axes.set(ylim=(0, 1.02), xlabel="earlier interactions of the user", ylabel="accuracy")
    _numbers(axes.set_yticks)
    axes.grid(axis="x", visible=False)
    _legend_of(figure, axes)
    told = [
        f"{_name(r)} from {number(r.groups[0].accuracy.value)} to {number(r.groups[-1].accuracy.value)}"
        for r in results
    ]
    return f"Lines of accuracy from the least active users ({ranges[0]}) to the most ({ranges[-1]}). {'; '.join(told)}."


def _calibration(figure: "Figure", findings: Findings, results: Sequence[Result]) -> str:
    figure.set_size_inches(WIDTH, 4.3)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=INK, linestyle=(0, (4, 3)), linewidth=1, label="as stated")
    for result, colour, marker, line in _looks(results):
        bins = result.bins
        filled = bins.share > 0
        axes.plot(bins.stated[filled], bins.happened[filled], color=colour, linestyle=line)
        sizes = 12 + 130 * bins.share[filled]
        axes.scatter(bins.stated[filled], bins.happened[filled], s=sizes, color=colour, marker=marker)
        axes.plot([], [], color=colour, marker=marker, linestyle=line, label=_name(result))
    happened = "share of Yes" if findings.question.task == "judgment" else "share of right choices"
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="stated probability", ylabel=happened)
    _numbers(axes.set_xticks)
    _numbers(axes.set_yticks)
    _legend_of(figure, axes)
    told = [f"{_name(r)} {number(r.score.probabilistic['ece'].value)}" for r in results]
    return f"What happened against the stated probability, in ten bins. Calibration error: {'; '.join(told)}."


def _agreement(figure: "Figure", findings: Findings, results: Sequence[Result]) -> str:
    from matplotlib.colors import LinearSegmentedColormap

    kappa, names = findings.kappa, [_name(result) for result in results]
    figure.set_size_inches(WIDTH, 0.7 + 0.34 * len(kappa))
    axes = figure.add_subplot()
    colours = LinearSegmentedColormap.from_list("agreement", [ORANGE, "#f4f4f2", BLUE])
    axes.pcolormesh(np.nan_to_num(kappa), cmap=colours, vmin=-1, vmax=1, edgecolors="#ffffff", linewidth=1)
    small = 8.5 if len(kappa) <= 7 else 7.2 if len(kappa) <= 9 else 6.2
    for (i, j), value in np.ndenumerate(kappa):
        text = "=" if i == j else number(value, 2)
        colour = "#ffffff" if value > 0.6 else "#000000"  # not INK, which the page would make light on a light cell
        axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=small, color=colour)
    labels = [f"{cut(name, NARROW)}  {i}" for i, name in enumerate(names, 1)]
    axes.set_yticks(np.arange(len(names)) + 0.5, labels)
    axes.set_xticks(np.arange(len(names)) + 0.5, range(1, len(names) + 1))
    axes.set(ylim=(len(names), 0))
    axes.xaxis.tick_top()
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    pairs = [(kappa[i, j], names[j], names[i]) for i in range(len(names)) for j in range(i) if np.isfinite(kappa[i, j])]
    if not pairs:
        return "Cohen's kappa between agents: nowhere defined, they always say the same."
    (low, *few), (high, *many) = min(pairs), max(pairs)
    return (
        f"Cohen's kappa between {len(names)} agents. Most alike: {' and '.join(many)}, {number(high, 2)}. "
        f"Least alike: {' and '.join(few)}, {number(low, 2)}."
    )


def _looks(results: Sequence[Result]) -> list[tuple[Result, str, str, str]]:
    """Agents with colour, marker and line."""
    agents, trivial = iter(SERIES), iter(TRIVIAL)
    return [(result, *next(trivial), ":") if result.shortcut else (result, *next(agents), "-") for result in results]


def _few(results: Sequence[Result]) -> list[Result]:
    """The first agents and shortcuts, as many as can be told apart by colour and marker."""
    agents = [result for result in results if not result.shortcut][: len(SERIES)]
    trivial = [result for result in results if result.shortcut][: len(TRIVIAL)]
    return [result for result in results if result in agents or result in trivial]


def _bars(findings: Findings) -> list[Result]:
    """The first results that have the protocol's number, and the best shortcut in any case."""
    able = [result for result in findings.results if np.isfinite(result.headline.value)]
    return [result for place, result in enumerate(able) if place < BARS or result is findings.best_shortcut]


def _numbers(set_ticks: Callable) -> None:
    set_ticks(np.linspace(0, 1, 6), ["0", ".2", ".4", ".6", ".8", "1"])


def _legend_of(figure: "Figure", axes: "Axes") -> None:
    handles, _ = axes.get_legend_handles_labels()
    legend(figure, handles, 1 if max(len(h.get_label()) for h in handles) > 26 else 2)


def legend(figure: "Figure", handles: list, columns: int) -> None:
    """Below the axes."""
    figure.legend(handles=handles, loc="outside lower left", ncols=columns, handlelength=2.2, borderpad=0.2)


KINDS = {  # kind: title, caption, which results it shows (none = no picture), what draws them and describes the drawing
    "score": (
        "",  # the name of the metric
        "With its 95 % interval, over users.",
        _bars,
        _score,
    ),
    "activity": (
        "Accuracy by activity of the user",
        "Users in groups of like size, the least active on the left.",
        lambda findings: _few(findings.results) if len(findings.results[0].groups) > 1 else [],
        _activity,
    ),
    "calibration": (
        "Calibration",
        "On the dashed line, what is given a probability of .7 is so 7 times out of 10. Larger marks: more decisions.",
        lambda findings: _few([result for result in findings.results if result.bins is not None]),
        _calibration,
    ),
    "agreement": (
        "Agreement between agents",
        "Cohen's kappa: 1 = always the same decision, 0 = as often as by chance.",
        lambda findings: findings.results[: len(findings.kappa)] if len(findings.kappa) > 1 else [],
        _agreement,
    ),
}
