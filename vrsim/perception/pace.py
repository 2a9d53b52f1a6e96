"""How far a captioning run is, and how fast, told while the model still answers."""

import time
from typing import final

from vrsim.progress import Progress

__all__ = ["Pace"]

EVERY = 0.2  # seconds between two reports: a fast server answers hundreds of times a second


@final
class Pace:
    """Tells a progress how many items are done, with a share of those under way, and how many a second."""

    def __init__(self, progress: Progress, done: int, total: int, steps: int = 1) -> None:
        """``done`` of ``total`` items were done before, and do not count for the rate; ``steps``: of an item."""
        self._progress, self._before, self._total, self._steps = progress, done, total, max(1, steps)
        self._done = self._stepped = 0
        self._start, self._told = time.monotonic(), 0.0
        progress(done, total, "decoding")

    def step(self) -> None:
        """An item is a step further."""
        self._stepped += 1
        self._tell()

    def leave(self) -> None:
        """An item is done."""
        self._done += 1
        self._tell()

    def _tell(self) -> None:
        now, last = time.monotonic(), self._before + self._done == self._total
        if last or now - self._told >= EVERY:
            self._told = now
            done = max(self._done, self._stepped / self._steps)
            rate = done / max(1e-9, now - self._start)
            self._progress(self._before + done, self._total, f"{rate:.3g} items a second")
