"""Run folders: one line per decision, one manifest, nothing overwritten, nothing lost to a kill.

``manifest.json`` says what was run, on what, with which versions, and whether it finished.
``episodes/NAME.parquet`` holds the questions. ``cells/NAME.jsonl`` holds the decisions of one cell. Lines are
appended batch by batch; a batch that a kill cut in half is dropped when the run goes on.
"""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock, Timeout

import vrsim
from vrsim.episode_files import save_episodes
from vrsim.episodes import Episodes
from vrsim.errors import ResultsError
from vrsim.loop import BATCH, Played
from vrsim.rows import read_rows, to_played, to_rows

__all__ = ["COSTS", "MANIFEST", "Cell", "Question", "RunFolder", "episodes_file"]

MANIFEST = "manifest.json"
COSTS = "costs.jsonl"  # what the models of a run were asked, by vrsim.models.ledger
LOCK = ".lock"  # held while a process works on the run


@dataclass(frozen=True)
class Question:
    """One set of questions, all seeds together."""

    protocol: str
    task: str
    m: int
    cohort: str

    def key(self, seed: int) -> str:
        """The name of the questions with one seed in a manifest."""
        return " ".join(map(str, (self.protocol, self.task, self.m, self.cohort, seed)))

    @staticmethod
    def from_key(key: str) -> "tuple[Question, int]":
        """The inverse of ``key``. Raises ValueError."""
        protocol, task, m, cohort, seed = key.rsplit(" ", 4)  # the name of a protocol may have blanks
        return Question(protocol, task, int(m), cohort), int(seed)

    def __str__(self) -> str:
        size = f", m = {self.m}" if self.task == "selection" else ""
        return f"{self.protocol}, {self.task}{size}" + ("" if self.cohort == "all" else f", {self.cohort} users")


@dataclass(frozen=True)
class Cell:
    """One agent on one set of questions with one seed."""

    agent: str  # name with options, as on the command line
    protocol: str
    task: str
    m: int
    cohort: str
    seed: int

    def __str__(self) -> str:
        return f"{self.agent}: {self.protocol}, {self.task}, m = {self.m}, seed {self.seed}"

    @property
    def file(self) -> str:
        """A readable file name that no other cell has, also where names ignore case."""
        text = ".".join([self.protocol, self.task, f"m{self.m}", self.cohort, f"seed{self.seed}", self.agent])
        return f"{quote(text, safe='=,')[:150]}.{hashlib.sha256(text.encode()).hexdigest()[:8]}.jsonl"


class RunFolder:
    """The records of one run."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path, self.manifest = path, manifest

    @classmethod
    @contextmanager
    def open(cls, path: Path, config: dict[str, Any], facts: dict[str, Any]) -> "Iterator[RunFolder]":
        """Start a run, or go on with one of the same configuration, while no other process does.

        ``config`` is what was asked for, ``facts`` what it was run on; configuration, world and episodes
        must be those that the folder holds. Raises ResultsError if it holds anything else.
        """
        if path.exists() and not path.is_dir():
            raise ResultsError(f"{path} is not a folder; choose another one with --out")
        try:
            path.mkdir(parents=True, exist_ok=True)
            held = {entry.name for entry in path.iterdir()}
            if MANIFEST not in held and held - {LOCK, f".{MANIFEST}"}:
                raise ResultsError(f"{path} holds something else than a run; choose another folder with --out")
            lock = FileLock(path / LOCK)
            lock.acquire(timeout=0)
        except Timeout:
            raise ResultsError(f"{path} is in use by another process; wait for it or choose another folder") from None
        except OSError as error:
            raise ResultsError(f"{path} cannot be written: {error}") from error
        try:
            yield cls(path, cls._manifest(path, config, facts))
        finally:
            lock.release()

    @staticmethod
    def _manifest(path: Path, config: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
        file = path / MANIFEST
        if not file.exists():
            return {"config": config, **facts, **_origin(), "finished": False}
        try:
            manifest = json.loads(file.read_text(encoding="utf-8"))
            held = {key: manifest[key] for key in ("config", "world_hash", "episodes")}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResultsError(f"{file} is damaged ({error!r}); choose another folder with --out") from error
        now = {"config": config, "world_hash": facts["world_hash"], "episodes": facts["episodes"]}
        now["agents"], held["agents"] = facts.get("agents", {}), manifest.get("agents", {})
        for name, value in now.items():
            if held[name] != value:
                raise ResultsError(
                    f"{path} already holds another run: {_difference(name, held[name], value)}; "
                    "choose another folder with --out"
                )
        return manifest

    def begin(self, cell: Cell, episodes: Episodes) -> None:
        """Note that the run is not finished, and keep the questions, before a cell is played."""
        if self.finished or not (self.path / MANIFEST).exists():
            self.manifest["finished"] = False
            self._write_manifest()
        try:
            (self.path / "cells").mkdir(exist_ok=True)
        except OSError as error:
            raise ResultsError(f"{self.path} cannot be written: {error}") from error
        self.keep(cell, episodes)

    def keep(self, cell: Cell, episodes: Episodes) -> None:
        """Store the questions of a cell, unless they are."""
        questions = self.path / episodes_file(cell)
        if not questions.exists():
            save_episodes(episodes, questions)

    @property
    def finished(self) -> bool:
        return self.manifest["finished"]

    def finish(self) -> None:
        """Note that every cell is complete."""
        if not self.finished:
            self.manifest |= {"finished": True, "ended": _now()}
            self._write_manifest()

    def recorded(self, cell: Cell, episodes: Episodes, batch: int = BATCH) -> list[Played]:
        """The whole batches, played ``batch`` by ``batch``, of a cell; a torn last one is cut off the file."""
        file = self.path / "cells" / cell.file
        if not file.exists():
            return []
        rows, ends = read_rows(file, episodes)
        whole = len(rows) if len(rows) == len(episodes) else len(rows) - len(rows) % batch
        if ends[whole] < file.stat().st_size:
            os.truncate(file, ends[whole])
        return [to_played(rows[start : min(start + batch, whole)], episodes, start) for start in range(0, whole, batch)]

    def append(self, cell: Cell, played: Played) -> None:
        """Write one batch, in one go. Raises ResultsError if it cannot be stored."""
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in to_rows(played))
        try:
            with (self.path / "cells" / cell.file).open("ab") as file:
                file.write(text.encode("ascii"))
        except OSError as error:
            raise ResultsError(f"{self.path}: the records could not be written: {error}") from error

    def _write_manifest(self) -> None:
        temporary = self.path / f".{MANIFEST}"
        try:
            temporary.write_text(json.dumps(self.manifest, indent=1) + "\n", encoding="utf-8")
            temporary.replace(self.path / MANIFEST)
        except OSError as error:
            raise ResultsError(f"{self.path}: the manifest could not be written: {error}") from error


def episodes_file(cell: Cell) -> str:
    """Where a run keeps the questions of a cell; all agents share them."""
    text = ".".join([cell.protocol, cell.task, f"m{cell.m}", cell.cohort, f"seed{cell.seed}"])
    return f"episodes/{quote(text, safe='=,')}.parquet"


def _origin() -> dict[str, Any]:
    """When, and from which commit of a checkout."""

    def git(*words: str) -> str | None:
        root = str(vrsim._ROOT)
        try:
            done = subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    in_checkout = (vrsim._ROOT / ".git").exists()
    commit = git("rev-parse", "HEAD") if in_checkout else None
    dirty = bool(git("status", "--porcelain")) if commit else None
    return {"started": _now(), "commit": commit, "dirty": dirty}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _difference(name: str, old: Any, new: Any) -> str:
    """What differs between two entries of a manifest, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        return ", ".join(f"{key} was {json.dumps(old.get(key))}, now {json.dumps(new.get(key))}" for key in keys[:3])
    return f"{name} was {json.dumps(old)}, now {json.dumps(new)}"
