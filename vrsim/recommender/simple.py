"""What a recommender is, and two that need no training library."""

from typing import Protocol

import numpy as np
from scipy.sparse import csr_matrix

from vrsim.errors import DataError
from vrsim.interactions import Interactions

__all__ = ["CONTEXT", "ItemTransitions", "RankedCandidates", "Recommender", "rank_unseen"]

CONTEXT = 50  # newest history items that a recommender is given


class Recommender(Protocol):
    """Your own recommender needs this one method."""

    def score(self, users: np.ndarray, histories: np.ndarray) -> np.ndarray:
        """Score every item for B positions: float (B, n_items + 1), higher = better, column 0 unused.

        ``users`` is int64 (B,), from 0; ``histories`` is int64 (B, H), items oldest first, 0 = empty.
        """
        ...


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
) -> tuple[np.ndarray, np.ndarray]:
    """Rank the items a user has not interacted with before each of B positions.

    Returns the best ``depth`` items, int32 (B, depth), best first, 0 = no more, and the rank of the
    target among all unseen items, int32 (B,), 1 = best. Equal scores: the smaller item first.
    """
    scores = np.array(recommender.score(users, interactions.histories(users, t, CONTEXT)))
    if scores.dtype not in (np.float32, np.float64):
        scores = scores.astype(np.float64)
    if scores.shape != (len(users), n_items + 1):
        raise DataError(f"the recommender's score() must return shape {(len(users), n_items + 1)}, got {scores.shape}")
    if np.isnan(scores[:, 1:]).any():
        raise DataError("the recommender's score() returned NaN")
    row, seen = interactions.before(users, t)
    scores[row, seen] = -np.inf
    scores[:, 0] = -np.inf

    target = interactions.items[interactions.offsets[users] + t]
    own = np.take_along_axis(scores, target[:, None].astype(np.int64), axis=1)
    earlier = np.arange(n_items + 1) < target[:, None]
    ranks = 1 + (scores > own).sum(axis=1) + ((scores == own) & earlier & np.isfinite(own)).sum(axis=1)

    depth = min(depth, n_items)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    listed = np.take_along_axis(scores, best, axis=1) > -np.inf
    return np.where(listed, best, 0).astype(np.int32), ranks.astype(np.int32)
