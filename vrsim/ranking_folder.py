"""The folder of a suite of recommenders: what was asked, the ranks that each trained model gave, and the result."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vrsim.errors import ResultsError
from vrsim.whole_files import write_whole

__all__ = ["RankingFolder"]

ASKED, RESULT, CELLS = "asked.json", "ranking.json", "cells"


class RankingFolder:
    """Every file is written whole or not at all, so that a suite can go on where it stopped."""

    def __init__(self, path: Path, asked: Mapping[str, Any]) -> None:
        """Make the folder, or go on with one in which the same was ``asked`` (JSON). Raises ResultsError."""
        self.path = Path(path)
        if path.exists() and not path.is_dir():
            raise ResultsError(f"{path} is not a folder; choose another one with --out")
        if path.exists() and (others := {e.name.lstrip(".") for e in path.iterdir()} - {ASKED, RESULT, CELLS}):
            raise ResultsError(
                f"{path} holds something else than this suite ({min(others)}); choose another one with --out"
            )
        if not (path / ASKED).exists():
            write_whole(path / ASKED, json.dumps(asked, indent=1).encode())
            return
        try:
            held = json.loads((path / ASKED).read_text(encoding="utf-8"))
            different = [name for name in asked if held[name] != asked[name]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResultsError(f"{path / ASKED} is damaged ({error!r}); choose another folder with --out") from error
        if different:
            name = different[0]
            raise ResultsError(
                f"{path} already holds another table: {name} is {held[name]!r} there and {asked[name]!r} now; "
                "choose another folder with --out"
            )

    def ranks(self, row: str, seed: int, settings: Any, users: int, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The ranks of the users' last items by one trained model, int32 (users,); made if they are not there yet.

        ``settings`` (JSON) is everything that they depend on. Raises ResultsError for a damaged file.
        """
        slug = re.sub(r"[^a-z0-9]+", "-", row.lower())
        key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
        name = f"{CELLS}/{slug}-{seed}-{key}.bin"
        if not (self.path / name).exists():
            write_whole(self.path / name, make().astype("<i4").tobytes())
        try:
            content = (self.path / name).read_bytes()
        except OSError as error:
            raise ResultsError(f"{self.path / name} cannot be read: {error}") from error
        if len(content) != 4 * users:
            raise ResultsError(
                f"{self.path / name} is damaged: expected {4 * users} bytes, found {len(content)}; "
                "delete it and give the same command"
            )
        return np.frombuffer(content, "<i4")

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result (JSON)."""
        write_whole(self.path / RESULT, (json.dumps(result, indent=1) + "\n").encode())
