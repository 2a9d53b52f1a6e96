"""Training runs as a report reads them: what was asked for, every logged number, and how the run ended."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vrsim.errors import ResultsError
from vrsim.models.pocket import CARD
from vrsim.records import MANIFEST
from vrsim.training.run_folder import METRICS, MODEL, TRAINING, TrainingFolder, read_metrics

__all__ = ["Series", "TrainingRun", "are_training", "put_together", "read_training"]

HELD = "held_out/"  # in front of the names of what was measured on validation users
NEEDED = {"config": dict, "method": str, "world_hash": str, "protocol_hash": str, "command": str, "versions": dict}
NEEDED_SETTINGS = {"world": str, "protocol": str, "model": str, "tasks": list, "m": list, "steps": int, "seed": int}
OTHERS = {"validation": float, "checked": int, "temperature": float, "stopped": str, "finished": bool}


@dataclass(frozen=True, eq=False)
class Series:
    """One logged number over the steps; values that are missing or no numbers are left out."""

    steps: np.ndarray  # int64 (n,)
    values: np.ndarray  # float64 (n,), finite

    def __len__(self) -> int:
        return len(self.steps)

    def until(self, step: int) -> "Series":
        """The part up to ``step``, inclusive."""
        kept = self.steps <= step
        return Series(self.steps[kept], self.values[kept])


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """A training run, finished or not."""

    path: Path  # as it was named
    manifest: dict[str, Any]
    rows: list[dict[str, Any]]  # of the metrics, by step
    card: dict[str, Any]  # of the model or of the last checkpoint; {} = there is none yet
    kept: bool  # there is a model
    name: str = ""  # among the runs of a report

    @property
    def config(self) -> dict[str, Any]:
        return self.manifest["config"]

    @property
    def method(self) -> str:
        return self.manifest["method"]

    @property
    def finished(self) -> bool:
        return self.manifest.get("finished", False)

    @property
    def stopped(self) -> str:
        """Why the run was stopped, "" = it was not."""
        return self.manifest.get("stopped", "")

    @property
    def step(self) -> int:
        """The last step with a number."""
        return self.rows[-1]["step"]

    @cached_property
    def seconds(self) -> float:
        """Of the steps that count. The clock starts again where a killed run goes on; NaN = no step was timed."""
        clock = self.series("seconds").values
        return float(clock[np.append(np.diff(clock) < 0, True)].sum()) if len(clock) else math.nan

    @property
    def origin(self) -> str:
        """What training started from, with its version where that is known."""
        return str(self.card.get("origin") or self.config["model"])

    @property
    def hash(self) -> str:
        """Of the trained weights, "" = there are none."""
        return str(self.card.get("hash", "")) if self.kept else ""

    @property
    def lineage(self) -> list[dict[str, Any]]:
        """The training runs behind this one, oldest first."""
        return self.card.get("lineage", [])

    @property
    def tasks(self) -> list[str]:
        """The tasks with any number of their own; before there is one, those that were asked for."""
        names = {name for row in self.rows for name in row}
        found = [t for t in self.config["tasks"] if names & {f"reward_{t}", f"accuracy_{t}", HELD + t}]
        return found or self.config["tasks"]

    def series(self, name: str) -> Series:
        found = [(row["step"], value) for row in self.rows if (value := _finite(row.get(name))) is not None]
        return Series(np.array([s for s, _ in found], np.int64), np.array([v for _, v in found], np.float64))

    def held_out(self, name: str) -> Series:
        """What was measured on validation users."""
        return self.series(HELD + name)

    def no_numbers(self) -> dict[str, int]:
        """The names logged with NaN, infinity or the like at some step, and the first such step."""
        found: dict[str, int] = {}
        for row in self.rows:
            for name, value in row.items():
                if value is not None and name != "step" and _finite(value) is None:
                    found.setdefault(name, row["step"])
        return found


def are_training(paths: Sequence[Path]) -> bool:
    """Whether the folders are training runs rather than runs of a benchmark. Raises ResultsError for some of each."""
    trained = [path for path in paths if (Path(path) / TRAINING).exists()]
    others = [path for path in paths if path not in trained]
    if trained and others:
        benched = [path for path in others if (Path(path) / MANIFEST).exists()]
        odd = [path for path in others if path not in benched]
        said = [_listed(trained, "a training run", "training runs")]
        said += [_listed(benched, "a run of vrsim bench", "runs of vrsim bench")] if benched else []
        said += [_listed(odd, "no run", "no runs")] if odd else []
        raise ResultsError(
            f"expected runs of one kind, found several: {'; '.join(said)}. Write one report about each kind"
        )
    return bool(trained)


def read_training(path: Path) -> TrainingRun:
    """Read a training run, also one that is under way. Raises ResultsError."""
    path = Path(path)
    manifest = _read(path / TRAINING)
    _check(path / TRAINING, manifest, NEEDED)
    _check(path / TRAINING, manifest["config"], NEEDED_SETTINGS)
    given = {**manifest["config"], **manifest}
    _check(path / TRAINING, given, {name: kind for name, kind in OTHERS.items() if name in given})
    try:
        rows = [row for row in read_metrics(path) if type(row["step"]) is int and 0 <= row["step"] < 2**53]
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(f"{path / METRICS} cannot be read: {error}") from error
    if not rows:
        raise ResultsError(f"{path} has no metrics yet; wait for the first step, or give its command again")
    kept = (path / MODEL / CARD).exists()
    checkpoints = TrainingFolder(path, manifest).checkpoints()
    folder = path / MODEL if kept else checkpoints[max(checkpoints)] if checkpoints else None
    card = _read(folder / CARD) if folder else {}
    lineage = card.get("lineage", [])
    if not isinstance(lineage, list) or not all(isinstance(step, dict) for step in lineage):
        raise ResultsError(f"{folder / CARD} is damaged: expected lineage to be a list of runs, found {lineage!r}")
    return TrainingRun(path, manifest, sorted(rows, key=lambda row: row["step"]), card, kept)


def put_together(runs: Sequence[TrainingRun]) -> list[TrainingRun]:
    """Runs for one report: named, a run behind those that it started from.

    Raises ResultsError for one named twice, or of different worlds.
    """
    folders = [run.path.resolve() for run in runs]
    if len(set(folders)) < len(folders):
        raise ResultsError(f"a run is named twice: {', '.join(str(run.path) for run in runs)}")
    first = runs[0]
    for run in runs:
        if run.manifest["world_hash"] != first.manifest["world_hash"]:
            raise ResultsError(
                f"{first.path} and {run.path} were trained on different worlds, {first.manifest['world_hash']} and "
                f"{run.manifest['world_hash']}: their numbers do not belong into one picture"
            )
    parts = next(n for n in range(1, 1000) if len({folder.parts[-n:] for folder in folders}) == len(folders))
    named = [replace(run, name="/".join(f.parts[-parts:])) for run, f in zip(runs, folders, strict=True)]
    return sorted(named, key=lambda run: len(run.lineage))


def _listed(paths: Sequence[Path], one: str, many: str) -> str:
    return f"{', '.join(map(str, paths))} {'is' if len(paths) == 1 else 'are'} {one if len(paths) == 1 else many}"


def _finite(value: Any) -> float | None:
    """The value as a float, None if it is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(f"{file} is damaged ({error!r})") from error
    if not isinstance(found, dict):
        raise ResultsError(f"{file} is damaged: expected names and values, found {str(found)[:60]!r}")
    return found


def _check(file: Path, values: dict[str, Any], kinds: dict[str, type]) -> None:
    """Raise ResultsError for what is missing or of another type."""
    for name, kind in kinds.items():
        value = values.get(name)
        if type(value) is not kind and not (kind is float and type(value) is int):
            found = f"{str(value)[:60]!r}" if name in values else "nothing"
            raise ResultsError(f"{file} is damaged: expected {name} to be of type {kind.__name__}, found {found}")
    for name, inside in (("tasks", str), ("m", int)):
        if name in kinds and not all(type(value) is inside for value in values[name]):
            raise ResultsError(f"{file} is damaged: expected {name} to hold {inside.__name__}, found {values[name]!r}")
