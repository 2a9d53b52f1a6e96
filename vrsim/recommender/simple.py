"""What a recommender is, and four that need no training library."""

from typing import Protocol

import numpy as np
from scipy.sparse import csr_matrix

from vrsim.errors import DataError
from vrsim.interactions import Interactions
from vrsim.seeding import row_keys

__all__ = [
    "BLOCK",
    "CONTEXT",
    "Chance",
    "ItemTransitions",
    "Popularity",
    "RankedCandidates",
    "Recommender",
    "rank_targets",
    "rank_unseen",
]

CONTEXT = 50  # newest history items that a recommender is given
BLOCK = 20  # the ranking of a position is cut into blocks of this many ranks; the target's block is kept


class Recommender(Protocol):
    """Your own recommender needs this one method."""

    def score(self, users: np.ndarray, histories: np.ndarray) -> np.ndarray:
        """Score every item for B positions: float (B, n_items + 1), higher = better, column 0 unused.

        ``users`` is int64 (B,), from 0; ``histories`` is int64 (B, H), items oldest first, 0 = empty.
        """
        ...


class Popularity:
    """Score items by how often they occur in the training part, the same for everybody."""

    def __init__(self, popularity: np.ndarray) -> None:
        self._popularity = popularity.astype(np.float32)  # (n_items + 1,)

    def score(self, users: np.ndarray, histories: np.ndarray) -> np.ndarray:
        """See Recommender."""
        return np.tile(self._popularity, (len(users), 1))


class Chance:
    """Score items at random, each user's from ``seed`` and the user alone."""

    def __init__(self, n_items: int, seed: int) -> None:
        self._n_items, self._seed = n_items, seed

    def score(self, users: np.ndarray, histories: np.ndarray) -> np.ndarray:
        """See Recommender. Whole numbers below 2^24, which float32 holds exactly."""
        keys = row_keys(self._seed, users[:, None], self._n_items + 1)
        return (keys >> np.uint64(40)).astype(np.float32)


class ItemTransitions:
    """Score items by how often they followed the last items of the history in the training part.

    A first-order Markov chain over the last ``context`` items, each step back weighing half, with
    popularity to break ties. Fits at once, without any training library.
    """

    def __init__(self, interactions: Interactions, n_items: int, holdout: int, context: int = 5) -> None:
        known = interactions.training_rows(holdout)
        follows = known[1:] & known[:-1]  # never across users: the last row of a user is held out
        before, after = interactions.items[:-1][follows], interactions.items[1:][follows]
        shape = (n_items + 1, n_items + 1)
        self._next = csr_matrix((np.ones(len(before), np.float32), (before, after)), shape=shape)
        popularity = np.bincount(interactions.items[known], minlength=n_items + 1)
        self._popularity = (popularity / (popularity.sum() + 1)).astype(np.float32)
        self._context = context

    def score(self, users: np.ndarray, histories: np.ndarray) -> np.ndarray:
        """See Recommender."""
        last = histories[:, -self._context :]
        weights = np.broadcast_to(np.float32(0.5) ** np.arange(last.shape[1])[::-1], last.shape)
        row = np.repeat(np.arange(len(last)), last.shape[1])
        context = csr_matrix((weights.ravel(), (row, last.ravel())), shape=(len(last), self._next.shape[0]))
        return (context @ self._next).toarray() + self._popularity


class RankedCandidates:
    """A recommender known only by the candidates it ranked: unlisted items share the last place."""

    def __init__(self, candidates: np.ndarray, n_items: int) -> None:
        self._candidates, self._n_items = candidates, n_items  # int32 (users, C), best first, 0 = none

    def score(self, users: np.ndarray, histories: np.ndarray) -> np.ndarray:
        """See Recommender. The score is the number of candidates ranked behind the item."""
        listed = self._candidates[users]
        scores = np.zeros((len(users), self._n_items + 1), np.float32)
        places = np.broadcast_to(np.arange(listed.shape[1], 0, -1), listed.shape)
        np.put_along_axis(scores, listed, places.astype(np.float32), axis=1)
        return scores


def rank_unseen(
    recommender: Recommender, interactions: Interactions, n_items: int, users: np.ndarray, t: np.ndarray, depth: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rank the items a user has not interacted with before each of B positions.

    Returns the best ``depth`` items, int32 (B, depth), best first, 0 = no more; the rank of the target
    among all unseen items, int32 (B,), 1 = best; the items of the target's block of ranks, int32
    (B, BLOCK), best first, 0 = no more; and their scores, float32, 0 where there is no item. Equal
    scores: the smaller item first.
    """
    scores = _unseen_scores(recommender, interactions, n_items, users, t)
    target = interactions.items[interactions.offsets[users] + t]
    ranks = _ranks(scores, target)

    order = _best_first(scores)
    rows = np.arange(len(users))[:, None]

    def at(places: np.ndarray) -> np.ndarray:
        """The items at some places of the ranking, int32, 0 where there is no unseen item."""
        items = order[rows, np.minimum(places, n_items)]
        there = (places <= n_items) & (scores[rows, items] > -np.inf)
        return np.where(there, items, 0).astype(np.int32)

    candidates = at(np.arange(min(depth, n_items))[None, :])
    block = at((ranks - 1)[:, None] // BLOCK * BLOCK + np.arange(BLOCK))
    block[~(block == target[:, None]).any(axis=1)] = 0  # a target that the recommender refuses to score
    block_scores = np.where(block > 0, scores[rows, block], 0).astype(np.float32)
    return candidates, ranks, block, block_scores


def rank_targets(
    recommender: Recommender, interactions: Interactions, n_items: int, users: np.ndarray, t: np.ndarray
) -> np.ndarray:
    """The ranks of ``rank_unseen`` alone, int32 (B,): nothing is sorted for them."""
    scores = _unseen_scores(recommender, interactions, n_items, users, t)
    return _ranks(scores, interactions.items[interactions.offsets[users] + t])


def _unseen_scores(
    recommender: Recommender, interactions: Interactions, n_items: int, users: np.ndarray, t: np.ndarray
) -> np.ndarray:
    """The checked scores, float (B, n_items + 1); -inf for what the user has had, and for column 0."""
    scores = np.array(recommender.score(users, interactions.histories(users, t, CONTEXT)))
    if scores.dtype not in (np.float32, np.float64):
        scores = scores.astype(np.float64)
    if scores.shape != (len(users), n_items + 1):
        raise DataError(f"the recommender's score() must return shape {(len(users), n_items + 1)}, got {scores.shape}")
    if np.isnan(scores[:, 1:]).any():
        raise DataError("the recommender's score() returned NaN")
    if np.isposinf(scores[:, 1:]).any():
        raise DataError("the recommender's score() returned infinity; -infinity is allowed: the item is never ranked")
    row, seen = interactions.before(users, t)
    scores[row, seen] = -np.inf
    scores[:, 0] = -np.inf
    return scores


def _ranks(scores: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rank of each row's target, int32 (B,), 1 = best; equal scores: the smaller item first."""
    own = np.take_along_axis(scores, target[:, None].astype(np.int64), axis=1)
    earlier = np.arange(scores.shape[1]) < target[:, None]
    ranks = 1 + (scores > own).sum(axis=1) + ((scores == own) & earlier & np.isfinite(own)).sum(axis=1)
    return ranks.astype(np.int32)


def _best_first(scores: np.ndarray) -> np.ndarray:
    """The columns of each row by falling score, equal scores by rising column, int64 (B, columns)."""
    if scores.dtype != np.float32:
        return np.argsort(-scores, axis=1, kind="stable")
    # Sorting one integer of score and column is several times faster than a stable sort by score.
    bits = (scores + np.float32(0)).view(np.uint32)  # + 0 makes -0.0 and 0.0 equal
    falling = np.where(bits >> 31, bits, ~bits & np.uint32(0x7FFFFFFF))
    keys = falling.astype(np.uint64) << np.uint64(32) | np.arange(scores.shape[1], dtype=np.uint64)
    keys.sort(axis=1)
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
