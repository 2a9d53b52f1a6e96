"""Key Frame Retrieval of VRAgent-R1's IP Agent: the frames that show what a title says, and the ways to do without.

Source: VRAgent-R1 (AAAI 2026), Item Perception Agent, step 1, and its ablation; its released code takes uniform ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vrsim.errors import ModelError, OptionError, UnknownNameError
from vrsim.seeding import generator

__all__ = ["COUNT", "WAYS", "Candidates", "KeyFrames", "Scorer", "adjacent", "best", "evenly", "key_frames"]

COUNT = 5
WAYS = ("clip", "random", "uniform", "cover")


class Scorer(Protocol):
    """Says how well images fit titles."""

    def score(self, images: Sequence[Sequence[np.ndarray]], titles: Sequence[str]) -> list[np.ndarray]:
        """For each item: one finite float32 per image, uint8 (height, width, 3), larger = closer to its title."""
        ...


@dataclass(frozen=True, eq=False)
class Candidates:
    """One item and the images among which to choose."""

    item: str  # its id
    title: str  # may be empty
    images: Sequence[np.ndarray]  # uint8 (height, width, 3) each, in time order; for "cover" the cover is the first


@dataclass(frozen=True, eq=False)
class KeyFrames:
    """Which images of an item were chosen."""

    places: np.ndarray  # int64 (n,), rising: places in ``images``
    scores: np.ndarray | None  # float32, one per image; None where nothing was scored
    way: str  # one of WAYS; "uniform" instead of "clip" for an item without a title


def key_frames(
    items: Sequence[Candidates], way: str = "clip", *, count: int = COUNT, scorer: Scorer | None = None, seed: int = 0
) -> list[KeyFrames]:
    """Choose at most ``count`` images of each item.

    Args:
        way: "clip": the best by ``scorer`` (KFR; items without a title get uniform ones); "random": neighbours in time
            from a random place on, which depends on seed and item alone (no KFR); "uniform": evenly spread ones;
            "cover": the first image alone.

    Raises UnknownNameError, OptionError, and what the scorer raises.
    """
    if way not in WAYS:
        raise UnknownNameError("way to choose key frames", way, WAYS)
    if count < 1:
        raise OptionError(f"expected a count from 1, found {count}")
    if way == "clip":
        return _by_score(items, count, scorer)
    choose: dict[str, Callable[[Candidates], np.ndarray]] = {
        "random": lambda item: adjacent(len(item.images), count, generator(seed, "key frames", item.item)),
        "uniform": lambda item: evenly(len(item.images), count),
        "cover": lambda item: evenly(min(1, len(item.images)), 1),
    }
    return [KeyFrames(choose[way](item), None, way) for item in items]


def _by_score(items: Sequence[Candidates], count: int, scorer: Scorer | None) -> list[KeyFrames]:
    if scorer is None:
        raise OptionError('the way "clip" needs a scorer, for example OpenClip()')
    scored = [item for item in items if item.title.strip() and len(item.images)]
    found = scorer.score([item.images for item in scored], [item.title for item in scored]) if scored else []
    if [len(scores) for scores in found] != [len(item.images) for item in scored]:
        raise ModelError("a scorer must give one number per image")
    scores = {id(item): each for item, each in zip(scored, found, strict=True)}
    return [
        KeyFrames(best(scores[id(item)], count), scores[id(item)], "clip")
        if id(item) in scores
        else KeyFrames(evenly(len(item.images), count), None, "uniform")
        for item in items
    ]


def best(scores: np.ndarray, count: int = COUNT) -> np.ndarray:
    """Places, int64 (min(n, count),), of the highest of n scores, in time order; of equal ones the earlier."""
    return np.sort(np.argsort(-scores, kind="stable")[:count])


def evenly(n: int, count: int) -> np.ndarray:
    """Places, int64 (min(n, count),), of the images in the middles of equal parts."""
    count = min(n, count)
    return (2 * np.arange(count) + 1) * n // max(1, 2 * count)


def adjacent(n: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Places, int64 (min(n, count),), of neighbours that begin anywhere."""
    count = min(n, count)
    return rng.integers(n - count + 1) + np.arange(count)
