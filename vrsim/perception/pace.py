"""How far a captioning run is, and how fast, told while the model still answers."""

import time
from typing import final

from vrsim.models.model import Completion
from vrsim.progress import Progress

__all__ = ["Pace"]

EVERY = 0.2  # seconds between two reports: a fast server answers hundreds of times a second


@final
class Pace:
    """Tells a progress how many items are done, with a share of those under way, and how many a second."""

    def __init__(self, progress: Progress, done: int, total: int) -> None:
        """``done`` of ``total`` items were done before, and do not count for the rate."""
        self._progress, self._before, self._done, self._total = progress, done, done, total
        self._items = self._answers = self._heard = 0
        self._start, self._told = time.monotonic(), 0.0
        progress(done, total, "decoding")

    def take(self, items: int, answers: int) -> None:
        """Items are under way; ``answers`` are expected about them, which is a guess."""
        self._items, self._answers, self._heard = items, max(1, answers), 0

    def hear(self, completion: Completion) -> None:
        """One of the answers is there."""
        self._heard += 1
        now = time.monotonic()
        if now - self._told >= EVERY:
            self._told = now
            self._tell(self._done + self._items * min(1.0, self._heard / self._answers))

    def leave(self) -> None:
        """The items under way are done."""
        self._done += self._items
        self._tell(self._done)

    def _tell(self, done: float) -> None:
        rate = (done - self._before) / max(1e-9, time.monotonic() - self._start)
        self._progress(done, self._total, f"{rate:.3g} items a second")
