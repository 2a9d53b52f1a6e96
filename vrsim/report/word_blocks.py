"""The words of agents as blocks of a page, all cut at one length, the largest that leaves the page small enough."""

import gzip
from collections.abc import Iterator, Sequence

import numpy as np

from vrsim.report.blocks import Column, pack
from vrsim.report.plain_text import visible
from vrsim.report.shown import Shown

__all__ = ["LONGEST", "fit_words"]

LONGEST = 2000  # characters of one reply
LIMITS = (LONGEST, 1500, 1000, 700, 500, 350, 250, 180, 120, 80, 50, 25)
MOST = 30_000_000  # characters with one set and seed: what a browser searches in less than a fifth of a second
SAMPLE = 500  # replies from which the size of all is guessed
SEPARATOR = "\x1f"  # between replies; visible() leaves none in them


def fit_words(sets: Sequence[Shown], share: float, budget: int) -> tuple[dict[str, bytes], int]:
    """Blocks by name, ``words0`` for the first set, of at most ``budget`` bytes; and where replies end.

    Agents without words have no column, sets without words no block. The length is LONGEST where nothing
    had to be cut shorter, and 0 where not even a few characters of each reply fit.
    """
    together: dict[tuple[int, int], list[str]] = {}  # by set and seed: what the browser searches at once
    for i, shown in enumerate(sets):
        for seed, _, texts in _columns(shown, share):
            together.setdefault((i, seed), []).extend(texts)
    lengths = [np.array(list(map(len, texts)), np.int64) for texts in together.values()]
    replies = [reply for texts in together.values() for reply in texts]
    if not replies:
        return {}, LONGEST
    for limit in LIMITS:
        totals = [int(np.minimum(length, limit).sum()) for length in lengths]
        sample = "".join(reply[:limit] for reply in replies[:: max(1, len(replies) // SAMPLE)])
        squeezed = len(gzip.compress(sample.encode("utf-8", "surrogatepass"))) / max(1, len(sample))
        if max(totals) > MOST or sum(totals) * squeezed > 1.1 * budget:
            continue
        blocks = {
            f"words{i}": pack({}, columns)
            for i, shown in enumerate(sets)
            if (columns := _cut_columns(shown, share, limit))
        }
        if sum(map(len, blocks.values())) <= budget:
            return blocks, limit
    return {}, 0


def _columns(shown: Shown, share: float) -> Iterator[tuple[int, int, list[str]]]:
    """Seed, agent and replies, of the agents that said anything."""
    for agent, runs in enumerate(shown.played.values()):
        for seed, (run, n) in enumerate(zip(runs, shown.first(share), strict=True)):
            texts = (run.decisions.text or [])[:n]
            if any(texts):
                yield seed, agent, texts


def _cut_columns(shown: Shown, share: float, limit: int) -> dict[str, Column]:
    """``words0.1``: what agent 1 said with seed 0; ``more0.1``: how many characters of each reply are missing."""
    columns: dict[str, Column] = {}
    for seed, agent, texts in _columns(shown, share):
        columns[f"words{seed}.{agent}"] = SEPARATOR.join(visible(text[:limit]) for text in texts)
        more = np.array([max(0, len(text) - limit) for text in texts])
        if more.any():
            columns[f"more{seed}.{agent}"] = more
    return columns
