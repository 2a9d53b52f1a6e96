"""The folder of a suite: what was asked, the column of numbers that each cell gave, and the result."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vrsim.errors import ResultsError
from vrsim.whole_files import write_whole

__all__ = ["ASKED", "RankingFolder"]

ASKED, RESULT, CELLS = "asked.json", "ranking.json", "cells"


class RankingFolder:
    """Every file is written whole or not at all, so that a suite can go on where it stopped."""

    def __init__(self, path: Path, asked: Mapping[str, Any], result: str = RESULT, beside: Sequence[str] = ()) -> None:
        """Make the folder, or go on with one in which the same was ``asked`` (JSON). Raises ResultsError.

        ``result``: the file of the result; ``beside``: others that the suite may write there itself.
        """
        self.path, self._result = Path(path), result
        known = {ASKED, CELLS, result, *beside}
        if path.exists() and not path.is_dir():
            raise ResultsError(f"{path} is not a folder; choose another one with --out")
        if path.exists() and (others := {e.name.lstrip(".") for e in path.iterdir()} - known):
            raise ResultsError(
                f"{path} holds something else than this suite ({min(others)}); choose another one with --out"
            )
        if not (path / ASKED).exists():
            if any((path / name).is_dir() for name in known):
                raise ResultsError(
                    f"{path} has lost its {ASKED}: nobody knows what was asked; choose another one with --out"
                )
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
        """The ranks of the users' last items by one trained model, int32 (users,); see ``column``."""
        return self.column(row, seed, settings, np.dtype("<i4"), users, make)

    def column(
        self, row: str, seed: int, settings: Any, dtype: np.dtype, size: int, make: Callable[[], np.ndarray]
    ) -> np.ndarray:
        """What one cell gave, ``dtype`` (size,); made if it is not there yet.

        ``settings`` (JSON) is everything that it depends on. Raises ResultsError for a damaged file.
        """
        name = self._name(row, seed, settings)
        if not (self.path / name).exists():
            write_whole(self.path / name, make().astype(dtype).tobytes())
        try:
            content = (self.path / name).read_bytes()
        except OSError as error:
            raise ResultsError(f"{self.path / name} cannot be read: {error}") from error
        if len(content) != dtype.itemsize * size:
            raise ResultsError(
                f"{self.path / name} is damaged: expected {dtype.itemsize * size} bytes, found {len(content)}; "
                "delete it and give the same command"
            )
        return np.frombuffer(content, dtype)

    def has(self, row: str, seed: int, settings: Any) -> bool:
        """Whether that cell is there already."""
        return (self.path / self._name(row, seed, settings)).exists()

    @staticmethod
    def _name(row: str, seed: int, settings: Any) -> str:
        slug = re.sub(r"[^a-z0-9]+", "-", row.lower())[:80]
        key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
        return f"{CELLS}/{slug}-{seed}-{key}.bin"

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result (JSON)."""
        write_whole(self.path / self._result, (json.dumps(result, indent=1) + "\n").encode())
