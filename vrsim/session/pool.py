"""The candidates of many sessions: which items the recommender may show, and what it is told about them."""

from typing import final

import numpy as np

from vrsim.errors import OptionError
from vrsim.session.config import SessionConfig
from vrsim.session.features import FEATURES, genre_masks, genre_weights
from vrsim.world import World

__all__ = ["Pool"]

MOST_SHOWN = 10  # turns; from there on the feature "shown" stays 1
RANK, POPULARITY, GENRES, RECENT, SHOWN, CONSUMED, WISHED = range(len(FEATURES))


@final
class Pool:
    """``items`` int64 (N, C), best first, 0 = none left; ``features`` float32 (N, C, F); ``shown`` int64 (N, C)."""

    def __init__(self, world: World, config: SessionConfig, size: int) -> None:
        deepest = world.candidates.shape[1]
        if config.candidates > deepest:
            raise OptionError(
                f"world {world.name!r} has {deepest} ranked candidates per user, fewer than candidates="
                f"{config.candidates}; ask for fewer, or build it with more"
            )
        self._world, self._config = world, config
        self._masks, self._weights = genre_masks(world.catalog), genre_weights(world.catalog)
        popularity = np.log1p(world.popularity).astype(np.float32)
        self._popularity = popularity / max(1e-9, popularity.max())
        self._ranks = 1 - np.arange(config.candidates, dtype=np.float32) / config.candidates
        self.items = np.zeros((size, config.candidates), np.int64)
        self.features = np.zeros((size, config.candidates, len(FEATURES)), np.float32)
        self.shown = np.zeros((size, config.candidates), np.int64)
        self._lately = np.zeros((size, config.candidates), np.uint16)  # genres shared with recently consumed items
        self._source = np.zeros(size, np.int64)  # position of the world whose ranking is used
        self._next = np.zeros(size, np.int64)  # place in that ranking of the next candidate

    def begin(self, rows: np.ndarray, positions: np.ndarray, history: np.ndarray) -> None:
        """New sessions at positions int64 (B,) of the world, with histories int64 (B, H)."""
        self._source[rows], self._next[rows] = positions, self._config.candidates
        self.items[rows] = self._world.candidates[positions, : self._config.candidates]
        self.rest(rows)
        nothing = np.zeros((len(rows), 1), np.int64)
        self.describe(rows, history, nothing, nothing[:, 0])

    def rest(self, rows: np.ndarray) -> None:
        """A new visit: nothing was shown or consumed yet; ``describe`` comes after it."""
        self.shown[rows] = self._lately[rows] = 0

    def tire(self, rows: np.ndarray, entered: np.ndarray, gone: np.ndarray) -> None:
        """Genres int (B,) of one more item are recent, those of another one no longer."""
        masks = self._masks.take(self.items[rows])
        self._lately[rows] += np.bitwise_count(masks & entered[:, None])
        self._lately[rows] -= np.bitwise_count(masks & gone[:, None])

    def take_out(self, rows: np.ndarray, places: np.ndarray, recent: np.ndarray) -> None:
        """Replace the candidates at places int64 (B,) by the next of the ranking, which becomes the last.

        ``recent``: the genres of the recently consumed items, int (B, M).
        """
        last = self._world.candidates.shape[1] - 1
        upcoming = self._world.candidates[self._source[rows], np.minimum(self._next[rows], last)]
        upcoming = np.where(self._next[rows] <= last, upcoming, 0)
        self._next[rows] += 1
        size, others = self._config.candidates, np.arange(self._config.candidates - 1)
        kept = size * np.arange(len(rows))[:, None] + others + (others >= places[:, None])  # of all rows in a line
        lately = np.bitwise_count(self._masks[upcoming][:, None] & recent).sum(axis=1, dtype=np.uint16)
        for table, new in ((self.items, upcoming), (self.shown, 0), (self._lately, lately)):
            own = table[rows]
            own[:, :-1] = own.take(kept)
            own[:, -1] = new
            table[rows] = own

    def rescore(
        self,
        rows: np.ndarray,
        position: np.ndarray,
        history: np.ndarray,
        taken: np.ndarray,
        recent: np.ndarray,
    ) -> None:
        """Rank anew from histories int64 (B, H); what users had before, and have ``taken`` since, is left out.

        ``position`` int64 (B, 2), user and number of earlier real interactions; ``taken`` int64 (B, T), 0 = none;
        ``recent``: as in ``take_out``. How often a candidate was shown is forgotten when it falls out.
        """
        users, t = position.T
        scores = np.array(self._world.recommender.score(users, history), np.float32)
        row, seen = self._world.interactions.before(users, t)
        scores[row, seen] = -np.inf
        if self._config.no_repeat:
            np.put_along_axis(scores, taken, -np.inf, axis=1)
        scores[:, 0] = -np.inf
        size = self._config.candidates
        best = np.argpartition(-scores, min(size, scores.shape[1] - 1), axis=1)[:, :size]
        best.sort(axis=1)  # equal scores: the smaller item first
        own = np.take_along_axis(scores, best, axis=1)
        order = np.argsort(-own, axis=1, kind="stable")
        own, best = (np.take_along_axis(table, order, axis=1) for table in (own, best))
        items = np.where(np.isfinite(own), best, 0)
        stayed = (items[:, :, None] == self.items[rows][:, None, :]) & (items > 0)[:, :, None]
        self.shown[rows] = (stayed * self.shown[rows][:, None, :]).sum(axis=2)
        self.items[rows] = items
        shared = np.bitwise_count(self._masks[items] & recent.T[:, :, None])  # (M, B, C)
        self._lately[rows] = shared.sum(axis=0, dtype=np.uint16)

    def describe(self, rows: np.ndarray, history: np.ndarray, taken: np.ndarray, wish: np.ndarray) -> None:
        """The features of B sessions: from their histories int64 (B, H), all that was consumed int64 (B, T), 0 = none,
        and the genre wished for int64 (B,)."""
        items = self.items[rows]
        masks, weights = self._masks.take(items), self._weights.take(items)
        known = np.bitwise_or.reduce(self._masks.take(history.T), axis=0)
        features = np.zeros((len(rows), *self.features.shape[1:]), np.float32)
        features[..., RANK] = self._ranks
        features[..., POPULARITY] = self._popularity.take(items)
        features[..., GENRES] = np.bitwise_count(masks & known[:, None]) * weights
        features[..., RECENT] = self._lately[rows] * weights / self._config.mood.memory
        if not self._config.no_repeat:
            features[..., CONSUMED] = (items[:, :, None] == taken[:, None, :]).any(axis=2)
        features[..., SHOWN] = self._shown(self.shown[rows])
        if not items[:, -1].all():
            features[items == 0] = 0
        self.features[rows] = features
        self.mark_wished(rows, wish)

    def show(self, rows: np.ndarray, places: np.ndarray) -> None:
        """Count candidates at places int64 (B, K) as shown once more."""
        rows = rows[:, None]
        turns = self.shown[rows, places] + 1
        self.shown[rows, places] = turns
        self.features[rows, places, SHOWN] = self._shown(turns)

    @staticmethod
    def _shown(turns: np.ndarray) -> np.ndarray:
        return np.minimum(turns, MOST_SHOWN) / np.float32(MOST_SHOWN)

    def mark_wished(self, rows: np.ndarray, wish: np.ndarray) -> None:
        """Candidates that have the wished genre, int64 (B,), from 1, 0 = no wish."""
        wishing = np.flatnonzero(wish)
        if not len(wishing):
            return
        kind = self._masks.dtype.type
        rows, bit = rows[wishing], kind(1) << (wish[wishing] - 1).astype(kind)
        self.features[rows, :, WISHED] = (self._masks[self.items[rows]] & bit[:, None]) > 0

    def repetitions(self, rows: np.ndarray, places: np.ndarray, memory: int) -> np.ndarray:
        """What Mood.interest is asked about: earlier turns and recently consumed items alike, float (B,)."""
        return self.features[rows, places, RECENT] * memory + self.shown[rows, places]
