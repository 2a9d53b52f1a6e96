"""Random numbers for many sessions, each from its own generator, drawn many at a time."""

from typing import final

import numpy as np

__all__ = ["Draws"]

CHUNK = 256  # numbers drawn from a generator at a time


@final
class Draws:
    """One stream of uniform numbers per session; what a session gets does not depend on the others."""

    def __init__(self, size: int) -> None:
        self._generators: list[np.random.Generator | None] = [None] * size
        self._numbers = np.empty((size, CHUNK))
        self._next = np.full(size, CHUNK)
        self._rows = np.arange(size)

    def seed(self, row: int, generator: np.random.Generator) -> None:
        """Start the stream of one session anew."""
        self._generators[row] = generator
        self._next[row] = CHUNK

    def take(self, rows: np.ndarray, count: int) -> np.ndarray:
        """The next ``count`` numbers, at most CHUNK, of each of B sessions, float64 (B, count), from 0, below 1."""
        start = self._next[rows]
        short = start + count > CHUNK
        if short.any():
            for row in rows[short].tolist():
                self._numbers[row] = self._generators[row].random(CHUNK)
            self._next[rows[short]] = 0
            start = self._next[rows]
        self._next[rows] = start + count
        return self._numbers[rows[:, None], start[:, None] + np.arange(count)]
