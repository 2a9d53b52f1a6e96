"""What the pocket model learns from the world's recommender: which titles are alike, and what is recommended when.

Only moments that the recommender was trained on are asked about, so nothing that is held out can come through.
"""

from dataclasses import dataclass

import numpy as np

from vrsim.progress import Progress
from vrsim.recommender import CONTEXT
from vrsim.world import World

__all__ = ["TOP", "Teacher", "ask_recommender"]

TOP = 10  # recommended titles of a moment
MOMENTS = 100_000  # at most this many are asked about
SCORES = 2**24  # numbers of a batch of scores
SAMPLED = 6000  # moments whose scores say which titles are alike


@dataclass(frozen=True, eq=False)
class Teacher:
    """A recommender's opinions."""

    top: np.ndarray  # int32 (interactions, TOP): recommended before each interaction, best first, 0 = nobody asked
    likeness: np.ndarray  # float32 (n_items + 1, D): titles that are recommended to the same histories are near


def ask_recommender(world: World, size: int, rng: np.random.Generator, progress: Progress) -> Teacher | None:
    """The opinions of the world's recommender, ``size`` numbers about each title; None if it knows no earlier moments.

    ``likeness`` has the right singular vectors of scores of many histories (what a factor model's item vectors span),
    for any recommender that scores.
    """
    if world.manifest["recommender"]["kind"] == "candidates":
        return None
    interactions, n_items = world.interactions, world.n_items
    known = np.flatnonzero(interactions.training_rows(world.holdout))
    owners = np.searchsorted(interactions.offsets, known, side="right") - 1
    t = known - interactions.offsets[owners]
    kept = np.flatnonzero(t >= 1)
    kept = np.sort(rng.permutation(kept)[:MOMENTS])
    if n_items <= TOP or not len(kept):
        return None
    rows, owners, t = known[kept], owners[kept], t[kept]
    sampled = np.zeros(len(rows), bool)
    sampled[rng.permutation(len(rows))[: min(SAMPLED, SCORES // n_items)]] = True
    top, scores = np.zeros((len(interactions), TOP), np.int32), []
    batch = max(1, SCORES // 8 // n_items)
    for begin in range(0, len(rows), batch):
        part = slice(begin, begin + batch)
        found = np.array(world.recommender.score(owners[part], interactions.histories(owners[part], t[part], CONTEXT)))
        scores.append(found[sampled[part], 1:])
        row, seen = interactions.before(owners[part], t[part])
        found[row, seen], found[:, 0] = -np.inf, -np.inf
        best = np.argpartition(-found, TOP, axis=1)[:, :TOP]
        top[rows[part]] = np.where(np.take_along_axis(found, best, axis=1) > -np.inf, best, 0)
        progress(begin, len(rows), "pocket: asking the recommender")
    return Teacher(top, _likeness(np.concatenate(scores), size))


def _likeness(scores: np.ndarray, size: int) -> np.ndarray:
    """float32 (items + 1, size), mean square 1 per number; row 0 is 0."""
    from sklearn.utils.extmath import randomized_svd

    finite = np.where(np.isfinite(scores), scores, np.nan)
    centred = np.nan_to_num(finite - np.nanmean(finite, axis=1, keepdims=True))
    mean = centred.mean(axis=0)
    rank = min(size - 1, *centred.shape)
    _, weights, vectors = randomized_svd(centred - mean, rank, random_state=0)
    columns = np.concatenate([mean[None], vectors * weights[:, None] / np.sqrt(len(scores))]).T
    found = np.zeros((len(columns) + 1, size), np.float32)
    found[1:, : columns.shape[1]] = columns / max(1e-12, np.sqrt((columns**2).mean()))
    return found
