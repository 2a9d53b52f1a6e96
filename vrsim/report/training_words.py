"""What training runs say, in numbers and sentences: the gap to validation users, warnings, how to benchmark a model."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from vrsim.numerals import number
from vrsim.report.plain_text import cut, shorten_folders, visible
from vrsim.report.training_runs import Series, TrainingRun
from vrsim.training.config import GrpoConfig, SftConfig

__all__ = [
    "WINDOW", "Gap", "bench_command", "blind_guess", "defaults", "digits", "ending", "find_gap", "smoothed", "summary",
    "warnings_of",
]  # fmt: skip

WINDOW = 10  # logged values that a mean is taken over, as the detector of collapse does
CONFIGS = {"sft": SftConfig, "grpo": GrpoConfig}
SAME = ("validation", "checked", "m")  # settings that say which questions the validation users are asked
BENCH_TASKS = {"judgment", "selection"}


@dataclass(frozen=True)
class Gap:
    """Accuracy on the questions of training beside that on validation users, at the last check."""

    task: str
    train: float  # mean of the last WINDOW logged values up to the check; NaN = none
    held_out: float
    before: float  # at the first check
    step: int  # of the last check
    first: int  # of the first check

    @property
    def value(self) -> float:
        """Train minus validation users; NaN without the former."""
        return self.train - self.held_out

    def __str__(self) -> str:
        if not math.isfinite(self.train):
            return f"{self.task}: validation users {number(self.held_out)}"
        told = f"train {number(self.train)}, validation users {number(self.held_out)}, gap {number(self.value)}"
        return f"{self.task}: {told}"


def smoothed(series: Series) -> np.ndarray:
    """The mean of each value and those before it, WINDOW in all; of fewer at the beginning. float64 (n,)."""
    total = np.concatenate([[0.0], np.cumsum(series.values)])
    end = np.arange(1, len(total))
    begin = np.maximum(0, end - WINDOW)
    return (total[end] - total[begin]) / (end - begin)


def find_gap(run: TrainingRun, task: str) -> Gap | None:
    """None if validation users were never asked the task."""
    held = run.held_out(task)
    if not len(held):
        return None
    step = int(held.steps[-1])
    train = smoothed(run.series(f"accuracy_{task}").until(step))
    end = float(train[-1]) if len(train) else math.nan
    return Gap(task, end, float(held.values[-1]), float(held.values[0]), step, int(held.steps[0]))


def ending(run: TrainingRun) -> str:
    """How the run ended: "stopped", "finished", or "not finished"."""
    return "stopped" if run.stopped else "finished" if run.finished else "not finished"


def defaults(method: str) -> dict[str, Any]:
    """The settings of a method as a manifest would hold them; {} for a method that this version does not know."""
    found = {f.name: f.default for f in fields(CONFIGS[method])} if method in CONFIGS else {}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def bench_command(run: TrainingRun, short: bool = False) -> str:
    """The command that asks the model of a run the questions it was trained for, about users it never saw.

    ``short``: without the folders of the machine, for others to read.
    """
    world, folder = run.config["world"], str(run.path)
    if short:
        world, folder = shorten_folders(world), f"…/{run.path.name}" if run.path.is_absolute() else folder
    words = ["vrsim", "bench", "--world", world, "--protocol", run.config["protocol"]]
    if set(run.tasks) != BENCH_TASKS:
        words += [word for task in run.tasks for word in ("--task", task)]
    if "selection" in run.tasks:
        words += [word for size in run.config["m"] for word in ("--m", str(size))]
    return shlex.join([*words, "--agent", f"checkpoint:{folder}"])


def digits(value: float) -> str:
    """Three significant digits."""
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


def blind_guess(run: TrainingRun, task: str) -> float:
    """Accuracy of an answer at random; every number of wrong items has the same share. NaN = not known."""
    sizes = run.config["m"] if task == "selection" else [1]
    return float(np.mean([1 / (m + 1) for m in sizes])) if sizes and min(sizes) > 0 else math.nan


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def warnings_of(runs: Sequence[TrainingRun]) -> list[str]:
    """What a reader of the pictures must know, in sentences."""
    told = []
    for run in runs:
        who = f"{run.name}: " if len(runs) > 1 else ""
        for name, step in run.no_numbers().items():
            told.append(f"{who}{cut(name, 60)} was no finite number at step {step:,}; such values are not drawn.")
        form = run.held_out("format").values
        gaps = [gap for task in run.tasks if (gap := find_gap(run, task))]
        poor = [gap.task for gap in gaps if gap.held_out < blind_guess(run, gap.task) / 2]
        if poor and len(form) and form[-1] > 0.9:
            told.append(
                f"{who}the replies to validation users have the right form, but are right much less often than a blind "
                f"guess in {' and '.join(poor)}: most of what they say may be no answer at all."
            )
        own = run.config.get("validation", 0)
        before = [step.get("config") for step in run.lineage]
        shares = [past.get("validation") for past in before if isinstance(past, dict)]
        if any(isinstance(share, int | float) and share < own for share in shares):
            told.append(
                f"{who}some of its validation users were training users of a run that it started from, which kept "
                "fewer of them: accuracy on them is too high."
            )
    protocols = {run.manifest["protocol_hash"] for run in runs}
    if len(protocols) > 1:
        told.append("The runs were trained under different protocols: their accuracies are of different questions.")
    elif differing := [name for name in SAME if len({str(run.config.get(name)) for run in runs}) > 1]:
        told.append(
            f"The runs differ in {' and '.join(differing)}: validation users were not asked the same questions."
        )
    if len({run.config["reward"] for run in runs if isinstance(run.config.get("reward"), str)}) > 1:
        told.append("The runs were rewarded by different rules: their rewards cannot be compared.")
    return told


def summary(runs: Sequence[TrainingRun]) -> list[str]:
    """The key numbers for a terminal, one line each."""
    lines = []
    for run in runs:
        steps = f"{run.step:,} of {run.config['steps']:,} steps"
        took = f" in {run.seconds:,.0f} s" if math.isfinite(run.seconds) else ""
        lines.append(f"{run.name}: {run.method}, {ending(run)}, {steps}{took}, from {run.origin}")
        lines += [f"  {run.stopped}"] if run.stopped else []
        lines += [f"  {gap} (step {gap.step:,})" for task in run.tasks if (gap := find_gap(run, task))]
        ends = [
            f"{label} {write(smoothed(series)[-1])}"
            for name, label, write in (
                *((f"reward_{task}", f"reward of {task}", digits) for task in run.tasks),
                ("format", "well-formed", _percent), ("silent", "silent groups", _percent), ("kl", "KL", digits),
                ("loss", "loss", digits),
            )
            if len(series := run.series(name))
        ]  # fmt: skip
        lines += [f"  at the end: {', '.join(ends)}"] if ends else []
        lines += [f"  {bench_command(run)}"] if run.kept else ["  no model yet" if not run.finished else "  no model"]
    return [visible(line) for line in [*lines, *warnings_of(runs)]]
