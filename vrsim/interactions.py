"""All interactions of a world, as columns sorted by user and, within a user, by time."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

__all__ = ["Interactions", "pair_keys"]


def pair_keys(users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """One number for each pair of user and item, int64, broadcast shape."""
    return (np.asarray(users, np.int64) << 32) | np.asarray(items, np.int64)


@dataclass(frozen=True, eq=False)
class Interactions:
    """Compressed rows: the interactions of user ``u`` are ``offsets[u]`` to ``offsets[u + 1] - 1``.

    Users are indices from 0. Items are indices from 1, because 0 means "no item". The ``t`` of a
    position counts from 0: the moment before interaction ``t``, whose history has ``t`` items.
    """

    offsets: np.ndarray  # int64 (users + 1,), rising from 0
    items: np.ndarray  # int32 (interactions,), 1 to the number of items
    times: np.ndarray | None = None  # float64 (interactions,): seconds, NaN = unknown; None: only the order is known
    ratings: np.ndarray | None = None  # float32 (interactions,), NaN = not rated
    comments: pa.ChunkedArray | None = None  # string (interactions,), "" = none
    unordered: np.ndarray | None = None  # int64 (pairs,), sorted pair_keys: interactions of unknown time

    def __len__(self) -> int:
        return len(self.items)

    @property
    def n_users(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> np.ndarray:
        """Number of interactions of each user, int64 (users,)."""
        return np.diff(self.offsets)

    def of(self, user: int) -> np.ndarray:
        """Every item of one user, oldest first, int32 (length of the user,)."""
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    def histories(self, users: np.ndarray, t: np.ndarray, length: int) -> np.ndarray:
        """The last ``length`` items before each position, int64 (B, length), oldest first.

        Shorter histories start with 0. ``users`` and ``t`` are integers (B,), with ``t`` from 0 to
        the number of interactions of the user.
        """
        end = self.offsets[users] + t
        index = end[:, None] - np.arange(length, 0, -1)  # (B, length)
        known = index >= self.offsets[users][:, None]
        return np.where(known, self.items[np.where(known, index, 0)], 0).astype(np.int64)

    def before(self, users: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Every item before each of B positions: rows int64 (items,), from 0 to B - 1, and items int32 (items,)."""
        rows = np.repeat(np.arange(len(users)), t)
        first = self.offsets[users] - (np.cumsum(t) - t)
        return rows, self.items[np.arange(len(rows)) + np.repeat(first, t)]

    @cached_property
    def _pairs(self) -> np.ndarray:
        """Sorted pair_keys of everything that is known, int64."""
        keys = pair_keys(np.repeat(np.arange(self.n_users), self.lengths), self.items)
        return np.sort(keys if self.unordered is None else np.concatenate([keys, self.unordered]))

    def contains(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Whether each user ever interacted with the item, at whatever time; bool, broadcast shape."""
        keys = pair_keys(users, items)
        place = np.searchsorted(self._pairs, keys)
        return self._pairs[np.minimum(place, len(self._pairs) - 1)] == keys

    @cached_property
    def _ordered(self) -> tuple[np.ndarray, np.ndarray]:
        """Sorted pair_keys of the interactions, and their rows, earlier ones first; int64 (interactions,) each."""
        keys = pair_keys(np.repeat(np.arange(self.n_users), self.lengths), self.items)
        order = np.argsort(keys, kind="stable")
        return keys[order], order

    def first_rows(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The first interaction of each user with the item, int64, broadcast shape; -1 = none."""
        keys, order = self._ordered
        wanted = pair_keys(users, items)
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[place] == wanted, order[place], -1)

    def rows_before(self, positions: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The first interaction with each item before a position, int64 (B, K); -1 = none by then.

        ``positions`` int64 (B, 2): user and t; ``items`` int (B, K).
        """
        users, t = positions.T
        rows = self.first_rows(users[:, None], items)
        return np.where(rows < (self.offsets[users] + t)[:, None], rows, -1)

    def training_rows(self, holdout: int) -> np.ndarray:
        """Which interactions a recommender may learn from: all but the last ``holdout`` of each user, bool (N,)."""
        row = np.arange(len(self.items))
        return row < np.repeat(self.offsets[1:] - holdout, self.lengths)
