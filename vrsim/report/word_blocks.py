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
MOST = 30_000_000  # characters of all replies: what a browser searches in a fifth of a second
SAMPLE = 500  # replies from which the size of all is guessed
SEPARATOR = "\x1f"  # between replies; visible() leaves none in them


def fit_words(sets: Sequence[Shown], share: float, budget: int) -> tuple[dict[str, bytes], int]:
    """Blocks by name, ``words0`` for the first set, of at most ``budget`` bytes; and where replies end.

    Agents without words have no column, sets without words no block. The length is LONGEST where nothing
    had to be cut shorter, and 0 where not even a few characters of each reply fit.
    """
    replies = [reply for shown in sets for _, _, texts in _columns(shown, share) for reply in texts]
    lengths = np.array([len(reply) for reply in replies], np.int64)
    sample = replies[:: max(1, len(replies) // SAMPLE)]
    for limit in LIMITS:
        total = np.minimum(lengths, limit).sum()
        example = "".join(reply[:limit] for reply in sample).encode("utf-8", "surrogatepass")
        guess = total * len(gzip.compress(example)) / max(1, len("".join(reply[:limit] for reply in sample)))
        if total > MOST or guess > 1.1 * budget:
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
