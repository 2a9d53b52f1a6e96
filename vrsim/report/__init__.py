"""A report: one HTML page about finished runs that opens anywhere, and its pictures beside it.

The page fetches nothing. Everything that it shows of data and agents is text to the browser, whatever it holds.
Needs matplotlib (extra ``report``).
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vrsim.errors import ResultsError
from vrsim.loop import Played
from vrsim.progress import Progress, silent
from vrsim.registry import shortcuts as known_shortcuts
from vrsim.report.episode_blocks import embed
from vrsim.report.findings import Findings, find
from vrsim.report.inline_svg import inline_svg
from vrsim.report.models import models
from vrsim.report.page import assemble
from vrsim.report.parts import Html
from vrsim.report.pictures import KINDS, Picture, draw, need_matplotlib
from vrsim.report.sections import figure, head, provenance, section
from vrsim.report.shown import Shown
from vrsim.report.training_page import training_page
from vrsim.report.training_pictures import TRAINING_KINDS, draw_training
from vrsim.report.training_runs import TrainingRun, are_training, put_together, read_training
from vrsim.runs import Question, Run, read_run, together
from vrsim.whole_files import write_whole

__all__ = ["LARGEST", "Report", "write_report"]

LARGEST = 15_000_000  # bytes of a page
MARGIN = 20_000  # bytes for names of agents and for notes
LEAST = 1_000_000  # bytes for its episodes, however large the rest is
PICTURES = 5_000_000  # bytes of its pictures; those of further sets are only linked

ByAgent = Mapping[str, Sequence[Played]]


@dataclass(frozen=True)
class Report:
    """The files that were written, and what the page had no room for, in sentences."""

    page: Path
    pictures: tuple[Path, ...]
    notes: tuple[str, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.page, *self.pictures)


def write_report(
    paths: Sequence[Path | Run | TrainingRun],
    out: Path,
    progress: Progress = silent,
    *,
    shortcuts: Collection[str] | None = None,
    shortcut_runs: Mapping[Question, ByAgent] | None = None,
) -> Report:
    """Write ``out`` (.html) about runs, read already or by ``paths``, and pictures (PNG, SVG) into a folder beside it.

    They are runs of a benchmark or training runs, not some of each. Of training runs there are no shortcuts.
    ``shortcuts`` are names of trivial agents, by default those of vrsim.registry; agents of the runs with
    these names are what the others have to beat. ``shortcut_runs`` adds trivial agents that are in none of
    the runs, played on the same episodes. An existing report is replaced at once or not at all. Equal runs give
    equal bytes. Raises ResultsError, DependencyError, and the errors of worlds and episodes.
    """
    need_matplotlib()
    out = Path(out)
    if out.suffix != ".html":
        raise ResultsError(f"a report is an HTML page: expected a name like report.html, found {out.name!r}")
    if out.is_dir():
        raise ResultsError(f"{out} is a folder; choose another name for the report")
    if not paths:
        raise ResultsError("expected at least one run folder, found none")
    if are_training([path if isinstance(path, str | Path) else path.path for path in paths]):
        return _write_training(paths, out, progress)
    runs = []
    for path in paths:
        run = path if isinstance(path, Run) else read_run(path)
        progress(len(runs), 2 * len(paths), f"reading {run.path.name}")
        runs.append(_checked(run))
    trivial = set(known_shortcuts() if shortcuts is None else shortcuts)
    found, shown, pictures = [], [], []
    merged = together(runs)
    for question, by_agent in merged.items():
        progress(len(merged) + len(found), 2 * len(merged), str(question))
        extra = (shortcut_runs or {}).get(question, {})
        names = {name for name in by_agent if name in trivial or name.rpartition(" (")[0] in trivial}
        found.append(find(question, {**extra, **by_agent}, names | {*extra}))
        pictures.append(draw(found[-1]))
        everyone = {**extra, **by_agent}
        ordered = {result.name: everyone[result.name] for result in found[-1].results}
        shown.append(Shown(str(question), ordered, frozenset(names | {*extra})))
    folder = out.with_name(f"{out.stem}-pictures")
    page, notes = _page(runs, found, shown, pictures, folder.name)
    files = {
        folder / name: data
        for i, (one, some) in enumerate(zip(found, pictures, strict=True))
        for picture in some
        for name, data in zip(_names(i, one.question, picture), (picture.png, picture.svg), strict=True)
    }
    _replace_pictures(folder, files)
    write_whole(out, page.encode("utf-8"))
    progress(1, 1, "done")
    return Report(out, tuple(files), notes)


def _write_training(paths: Sequence[Path | TrainingRun], out: Path, progress: Progress) -> Report:
    progress(0, 2, "reading")
    runs = put_together([path if isinstance(path, TrainingRun) else read_training(path) for path in paths])
    progress(1, 2, "drawing")
    folder, files, figures = out.with_name(f"{out.stem}-pictures"), {}, []
    for picture in draw_training(runs):
        names = _names(0, "training", picture)
        files |= dict(zip((folder / name for name in names), (picture.png, picture.svg), strict=True))
        drawing = inline_svg(picture, f"p-{picture.kind}")
        figures.append(figure(picture.title, picture.caption, drawing, [f"{folder.name}/{name}" for name in names]))
    page = training_page(runs, "".join(figures))
    _replace_pictures(folder, files)
    write_whole(out, page.encode("utf-8"))
    progress(2, 2, "done")
    return Report(out, tuple(files), ())


def _checked(run: Run) -> Run:
    """The run, if its manifest says how it was made."""
    missing = [key for key in ("command", "versions", "commit", "dirty", "started") if key not in run.manifest]
    if missing or "vrsim" not in run.manifest["versions"]:
        raise ResultsError(f"{run.path}: the manifest is damaged, it lacks {', '.join(missing) or 'versions'}")
    return run


def _page(
    runs: Sequence[Run],
    found: Sequence[Findings],
    shown: Sequence[Shown],
    pictures: Sequence[Sequence[Picture]],
    folder: str,
) -> tuple[Html, tuple[str, ...]]:
    world, sets, room = runs[0].world, [], PICTURES
    for i, (one, some) in enumerate(zip(found, pictures, strict=True)):
        figures = []
        for picture in some:
            drawing = inline_svg(picture, f"p{i}-{picture.kind}")
            room -= len(drawing)
            files = [f"{folder}/{name}" for name in _names(i, one.question, picture)]
            figures.append(figure(picture.title, picture.caption, drawing if room > 0 else "", files))
        sets.append(section(one, f'<div class="pictures">\n{"".join(figures)}</div>\n', f"set{i}"))
    parts = {
        "title": f"{world.name}, vrsim report",
        "head": head(world.name, runs, found),
        "sets": "".join(sets),
        "provenance": models(runs) + provenance(runs, world.name),
    }
    bare = len(assemble(**parts, data="", notes="").encode("utf-8"))
    data = embed(world, shown, max(LEAST, LARGEST - bare - MARGIN))
    notes = (*data.notes, "The records of the run hold everything.") if data.notes else ()
    if room <= 0:
        notes += (f"Some pictures are only in the folder {folder}.",)
    return assemble(**parts, data=data.html, notes=" ".join(notes)), notes


def _names(place: int, question: Question | str, picture: Picture) -> tuple[str, str]:
    """Of the PNG and the SVG file, in the order of the page."""
    words = re.sub(r"[^\w.]+", "-", str(question), flags=re.ASCII)[:100]
    return tuple(f"{place + 1:02d}-{words}.{picture.kind}.{form}" for form in ("png", "svg"))


def _replace_pictures(folder: Path, files: Mapping[Path, bytes]) -> None:
    """Write the pictures; those of a report that was here before go, other files stay."""
    for file, data in files.items():
        write_whole(file, data)
    pattern = re.compile(rf"\d\d+-[\w.-]*\.({'|'.join([*KINDS, *TRAINING_KINDS])})\.(png|svg)")
    try:
        for file in folder.iterdir() if folder.exists() else ():
            if pattern.fullmatch(file.name) and file not in files:
                file.unlink()
    except OSError as error:
        raise ResultsError(f"{folder}: pictures of an earlier report could not be removed: {error}") from error
