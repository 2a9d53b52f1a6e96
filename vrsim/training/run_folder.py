"""The folder of a training run: what was asked for, the metrics, the checkpoints, and the model at the end.

``training.json`` says what was asked for and how it ended, ``metrics.jsonl`` has one line per logged step,
``checkpoints/`` what a killed run goes on from, ``model/`` the trained model. A checkpoint counts once its card is
in it, which is written last.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from vrsim.errors import TrainingError
from vrsim.models.pocket import CARD

__all__ = ["FIRST", "METRICS", "MODEL", "TRAINING", "TrainingFolder", "read_metrics"]

TRAINING, METRICS, MODEL = "training.json", "metrics.jsonl", "model"
CHECKPOINTS, PREFIX, LOCK = "checkpoints", "checkpoint-", ".lock"
FIRST = "sft"  # the run that comes before this one, in a folder of its own


class TrainingFolder:
    """The files of one training run."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path, self.manifest = path, manifest

    @classmethod
    @contextmanager
    def open(
        cls, path: Path, config: dict[str, Any], facts: dict[str, Any], writes: bool
    ) -> "Iterator[TrainingFolder]":
        """Start a run, or go on with one of the same configuration, while no other process does.

        ``facts``: what it was run on, which must not change either. ``writes``: this process is the one that writes;
        of several processes that train together one is. Raises TrainingError if the folder holds something else.
        """
        if not writes:
            yield cls(path, {"config": config, **facts})
            return
        if path.exists() and not path.is_dir():
            raise TrainingError(f"{path} is not a folder; choose another one with --out")
        try:
            path.mkdir(parents=True, exist_ok=True)
            held = {entry.name for entry in path.iterdir()}
            if TRAINING not in held and held - {LOCK, f".{TRAINING}", FIRST}:
                raise TrainingError(
                    f"{path} holds something else than a training run; choose another folder with --out"
                )
            lock = FileLock(path / LOCK)
            lock.acquire(timeout=0)
        except Timeout:
            raise TrainingError(f"{path} is in use by another process; wait for it or choose another folder") from None
        except OSError as error:
            raise TrainingError(f"{path} cannot be written: {error}") from error
        try:
            folder = cls(path, _manifest(path, config, facts))
            folder._write()
            yield folder
        finally:
            lock.release()

    @property
    def model(self) -> Path:
        return self.path / MODEL

    @property
    def finished(self) -> bool:
        return bool(self.manifest.get("finished"))

    def checkpoints(self) -> dict[int, Path]:
        """The complete checkpoints by step, oldest first."""
        found = {
            int(folder.name.removeprefix(PREFIX)): folder
            for folder in (self.path / CHECKPOINTS).glob(f"{PREFIX}*")
            if (folder / CARD).exists() and folder.name.removeprefix(PREFIX).isdigit()
        }
        return dict(sorted(found.items()))

    def clean(self, step: int) -> None:
        """Forget what came after ``step``, from where the run goes on: half checkpoints and later metrics; 0 = all."""
        complete = self.checkpoints()
        for folder in (self.path / CHECKPOINTS).glob("*"):
            if folder not in complete.values() or int(folder.name.removeprefix(PREFIX)) > step:
                shutil.rmtree(folder, ignore_errors=True)
        rows = [row for row in read_metrics(self.path) if row["step"] <= step and step]
        self._replace(METRICS, "".join(json.dumps(row) + "\n" for row in rows))

    def log(self, row: dict[str, Any]) -> None:
        """Add one line to the metrics."""
        with self._writing(), (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def finish(self, **facts: Any) -> None:
        """Note how the run ended."""
        self.manifest |= {**facts, "finished": True, "finished_at": datetime.now(UTC).isoformat(timespec="seconds")}
        self._write()

    def _write(self) -> None:
        self._replace(TRAINING, json.dumps(self.manifest, indent=1) + "\n")

    def _replace(self, name: str, text: str) -> None:
        with self._writing():
            (self.path / f".{name}").write_text(text, encoding="utf-8")
            (self.path / f".{name}").replace(self.path / name)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrainingError(
                f"{self.path} cannot be written: {error}; make room and give the same command"
            ) from error


def _manifest(path: Path, config: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    now = json.loads(json.dumps({"config": config, **facts}))
    file = path / TRAINING
    if not (path / METRICS).exists():  # nothing was trained here yet, whatever was asked for
        return now | {"started_at": datetime.now(UTC).isoformat(timespec="seconds"), "finished": False}
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        held = {name: manifest[name] for name in now if name not in ("command", "versions")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{file} is damaged ({error!r}); choose another folder with --out") from error
    for name, value in held.items():
        if value != now[name]:
            raise TrainingError(
                f"{path} already holds another run: {_difference(name, value, now[name])}; "
                "choose another folder with --out"
            )
    return manifest


def _difference(name: str, held: Any, asked: Any) -> str:
    """The first place where two plain values differ."""
    if isinstance(held, dict) and isinstance(asked, dict):
        for key in sorted({*held, *asked}):
            if held.get(key) != asked.get(key):
                return _difference(f"{name}.{key}" if name != "config" else key, held.get(key), asked.get(key))
    return f"{name} is {held!r} there and {asked!r} now"


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The metrics of a run, one dict per logged step; a line that a kill cut in half is left out."""
    file = path / METRICS
    rows = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            row = json.loads(line)
            row["step"]
        except (ValueError, KeyError, TypeError):
            continue
        rows.append(row)
    return rows
