"""The pictures of training runs: one logged number or two above each other over the steps, one colour per run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vrsim.numerals import number
from vrsim.report.pictures import INK, SERIES, Picture, legend, one_line, render
from vrsim.report.training_runs import Series, TrainingRun
from vrsim.report.training_words import WINDOW, blind_guess, digits, find_gap, smoothed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["TRAINING_KINDS", "draw_training"]

POINTS = 400  # of a line, at most
SHADED = 2  # runs whose gap is shaded, at most
METHODS = {"sft": "fine-tuning", "grpo": "GRPO"}
HELD_LINE, FAIR_LINE = (0, (4, 2)), (0, (1, 1.5))
SHADE = "Shaded: what the training questions have more, or less, than validation users."
MEAN = f"Lines: the mean of {WINDOW} logged values. Dots: each of them."


@dataclass(frozen=True, eq=False)
class Line:
    """One run in one panel."""

    run: TrainingRun
    series: Series
    held: bool = False  # of validation users: every value counts, so none is averaged
    smooth: bool = True

    @property
    def drawn(self) -> np.ndarray:
        return smoothed(self.series) if self.smooth and not self.held else self.series.values


@dataclass(frozen=True, eq=False)
class Panel:
    """One pair of axes."""

    label: str
    lines: list[Line]
    share: bool = False  # from 0 to 1
    fair: float | None = None  # where a dotted line stands
    fair_label: str = ""
    shaded: bool = False  # between training and validation users


def draw_training(runs: Sequence[TrainingRun]) -> list[Picture]:
    """The pictures of TRAINING_KINDS for which there is something to show; of the first runs if there are many."""
    shown, pictures = list(runs[: len(SERIES)]), []
    more = f" Shown: {len(shown)} of {len(runs)} runs." if len(shown) < len(runs) else ""
    for kind, (title, caption, choose) in TRAINING_KINDS.items():
        panels = [panel for panel in choose(shown) if panel.lines]
        if not panels:
            continue
        smooth = any(line.smooth and not line.held for panel in panels for line in panel.lines)
        shaded = SHADE if any(panel.shaded and _filled(panel) for panel in panels) else ""
        gaps = _gaps(shown) if kind == "accuracy" else ""
        words = " ".join(filter(None, [caption, shaded, MEAN if smooth else "", gaps]))
        files = render(lambda figure, panels=panels: _paint(figure, panels, shown), 0.7 + 2.1 * len(panels))
        pictures.append(Picture(kind, title, words + more, *files))
    return pictures


def _gaps(runs: Sequence[TrainingRun]) -> str:
    """The gap at the end, in words."""
    told = []
    for run in runs:
        gaps = [str(gap) for task in run.tasks if (gap := find_gap(run, task))]
        if gaps:
            told.append(f"{run.name}, at its last check: {'; '.join(gaps)}.")
    return " ".join(told)


def _paint(figure: "Figure", panels: Sequence[Panel], runs: Sequence[TrainingRun]) -> str:
    looks = dict(zip(runs, SERIES, strict=False))
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(all_axes, panels, strict=True):
        for line in panel.lines:
            _draw(axes, line, *looks[line.run])
        if panel.shaded:
            _shade(axes, panel, looks)
        if panel.fair is not None:
            axes.axhline(panel.fair, color=INK, linestyle=FAIR_LINE, linewidth=1)
        axes.set_title(panel.label, loc="left", fontsize=10)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "\N{MINUS SIGN}"))
        if panel.share:
            axes.set_ylim(-0.03, 1.03)
            axes.set_yticks(np.linspace(0, 1, 6), ["0", ".2", ".4", ".6", ".8", "1"])
    all_axes[-1].set_xlabel("step")
    all_axes[-1].xaxis.get_major_locator().set_params(integer=True)
    if handles := _handles(panels, looks):
        legend(figure, handles, 1 if max(len(handle.get_label()) for handle in handles) > 26 else 2)
    return " ".join(_said(panel, line, len(runs) > 1) for panel in panels for line in panel.lines)


def _draw(axes: "Axes", line: Line, colour: str, marker: str) -> None:
    kept = _few(len(line.series))
    steps, drawn = line.series.steps[kept], line.drawn[kept]
    if line.held:
        axes.plot(steps, drawn, color=colour, marker=marker, linestyle=HELD_LINE)
        return
    if line.smooth:
        axes.plot(steps, line.series.values[kept], ".", color=colour, alpha=0.3, markersize=3.5)
    axes.plot(steps, drawn, color=colour, marker="" if len(steps) > 1 else marker)


def _shade(axes: "Axes", panel: Panel, looks: dict[TrainingRun, tuple[str, str]]) -> None:
    """Fill what lies between training and validation users, where both are known."""
    for train, held in _filled(panel):
        first = max(train.series.steps[0], held.series.steps[0])
        last = min(train.series.steps[-1], held.series.steps[-1])
        steps = np.unique(np.concatenate([train.series.steps, held.series.steps]))
        steps = steps[(steps >= first) & (steps <= last)]
        above, below = (np.interp(steps, line.series.steps, line.drawn) for line in (train, held))
        kept = _few(len(steps))
        axes.fill_between(steps[kept], above[kept], below[kept], color=looks[held.run][0], alpha=0.15, linewidth=0)


def _filled(panel: Panel) -> list[tuple[Line, Line]]:
    """The lines of training and of validation users of each run that has both."""
    trained = {line.run: line for line in panel.lines if not line.held}
    return [(trained[line.run], line) for line in panel.lines if line.held and line.run in trained]


def _handles(panels: Sequence[Panel], looks: dict[TrainingRun, tuple[str, str]]) -> list:
    from matplotlib.lines import Line2D

    lines, handles = [line for panel in panels for line in panel.lines], []
    drawn = {line.run for line in lines}
    if len(looks) > 1:
        handles += [Line2D([], [], color=c, label=one_line(run.name)) for run, (c, _) in looks.items() if run in drawn]
    if any(line.held for line in lines):
        colour, marker = (INK, "o") if len(looks) > 1 else SERIES[0]
        if any(not line.held for line in lines):
            handles.append(Line2D([], [], color=colour, label="training questions"))
        style = {"color": colour, "marker": marker, "linestyle": HELD_LINE}
        handles.append(Line2D([], [], **style, label="validation users"))
    for label in dict.fromkeys(panel.fair_label for panel in panels if panel.fair is not None):
        handles.append(Line2D([], [], color=INK, linestyle=FAIR_LINE, linewidth=1, label=label))
    return handles


def _said(panel: Panel, line: Line, several: bool) -> str:
    write = number if panel.share else digits
    steps, values = line.series.steps, line.drawn
    who = f", {one_line(line.run.name)}" if several else ""
    whom = " of validation users" if line.held else ""
    what = f"{panel.label}{whom}{who}"
    if len(values) == 1:
        return f"{what}: {write(values[0])} at step {steps[0]}."
    return f"{what}: from {write(values[0])} at step {steps[0]} to {write(values[-1])} at step {steps[-1]}."


def _few(size: int) -> np.ndarray:
    """Which of ``size`` points are drawn: all, or some at equal distances with both ends."""
    return np.unique(np.linspace(0, size - 1, min(size, POINTS)).round().astype(int))


def _panel(runs: Iterable[TrainingRun], name: str, label: str, held: str = "", smooth: bool = True, **looks) -> Panel:
    """Of one logged number; ``held``: the name of the same number of validation users."""
    lines = [Line(run, run.series(name), smooth=smooth) for run in runs]
    lines += [Line(run, run.held_out(held), held=True) for run in runs] if held else []
    return Panel(label, [line for line in lines if len(line.series)], **looks)


def _tasks(runs: Sequence[TrainingRun]) -> list[str]:
    return list(dict.fromkeys(task for run in runs for task in run.tasks))


def _reward(runs: Sequence[TrainingRun]) -> list[Panel]:
    panels = [_panel(runs, f"reward_{task}", f"reward, {task}") for task in _tasks(runs)]
    return panels if any(panel.lines for panel in panels) else [_panel(runs, "reward", "reward")]


def _accuracy(runs: Sequence[TrainingRun]) -> list[Panel]:
    few = sum(len(run.series("reward")) > 0 for run in runs) <= SHADED
    made = []
    for task in _tasks(runs):
        panel = _panel(runs, f"accuracy_{task}", f"accuracy, {task}", held=task, share=True, shaded=few)
        guesses = {blind_guess(run, task) for run in runs}
        if len(guesses) == 1 and np.isfinite(guess := guesses.pop()):
            panel = replace(panel, fair=guess, fair_label="a blind guess")
        made.append(panel)
    return made


def _format(runs: Sequence[TrainingRun]) -> list[Panel]:
    return [
        _panel(runs, "format", "share of well-formed replies", held="format", share=True),
        _panel(runs, "silent", "share of groups whose rewards are all equal", share=True),
    ]


def _divergence(runs: Sequence[TrainingRun]) -> list[Panel]:
    """Entropy is that of what the model itself says: fine-tuning logs that of given replies, which is another."""
    panels = [_panel(runs, "kl", "KL, nats per token")]
    return [*panels, _panel([run for run in runs if run.method != "sft"], "entropy", "entropy, nats per token")]


def _length(runs: Sequence[TrainingRun]) -> list[Panel]:
    return [
        _panel(runs, "length", "tokens of a reply"),
        _panel(runs, "cut", "share of replies that were cut off", share=True),
    ]


def _drift(runs: Sequence[TrainingRun]) -> list[Panel]:
    fair = {"share": True, "fair": 0.5, "fair_label": "fair: one half"}
    return [
        _panel(runs, "yes", "share of Yes among the judgments", **fair),
        _panel(runs, "place", "place of the choice in the slate, 0 first, 1 last", **fair),
        _panel(runs, "top_answer", "share of the most frequent answer", share=True),
    ]


def _loss(runs: Sequence[TrainingRun]) -> list[Panel]:
    methods = dict.fromkeys(run.method for run in runs)
    of = {method: [run for run in runs if run.method == method] for method in methods}
    panels = [_panel(some, "loss", f"loss, {one_line(METHODS.get(name, name))}") for name, some in of.items()]
    panels += [_panel(runs, "token_accuracy", "share of the given replies' tokens that are likeliest", share=True)]
    return [*panels, _panel(runs, "learning_rate", "learning rate", smooth=False)]


TRAINING_KINDS = {  # kind: title, caption, what gives its panels; those without any line are left out
    "reward": ("Reward", "Mean over the replies of a step.", _reward),
    "accuracy": (
        "Accuracy in training and on validation users",
        "Share of right answers. Nothing is learned from validation users.",
        _accuracy,
    ),
    "format": (
        "Form of the replies, and groups that teach nothing",
        "A group in which all replies have the same reward has no better reply to learn from.",
        _format,
    ),
    "divergence": (
        "KL and entropy",
        "KL: how far the replies are from the model that training started with. Entropy near 0: it always says the "
        "same.",
        _divergence,
    ),
    "length": ("Length of the replies", "Cut off: no end within the tokens that a reply may have.", _length),
    "drift": (
        "Drift of the answers",
        "A model that has learned who wants what says neither Yes nor a place of the slate more often than is fair.",
        _drift,
    ),
    "loss": ("Loss and learning rate", "", _loss),
}
