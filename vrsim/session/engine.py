"""Many sessions side by side: slates in, what the users do with them out."""

from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np

from vrsim.episodes import split_users
from vrsim.errors import EpisodeError, UnknownNameError
from vrsim.protocols import SPLITS
from vrsim.session.config import SessionConfig
from vrsim.session.draws import Draws
from vrsim.session.features import genre_masks
from vrsim.session.pool import Pool
from vrsim.session.slates import repair
from vrsim.session.wishes import named_genre, wish_in_words, wished_genres
from vrsim.simulated_user import SimulatedUser

__all__ = ["Sessions", "Turn", "session_starts"]

ALL = slice(None)


@dataclass(frozen=True, eq=False)
class Turn:
    """What one turn came to, one row per session, of B."""

    slate: np.ndarray  # int64 (B, K): items shown, after repair
    repaired: np.ndarray  # int64 (B,): places of the action that could not be shown and were filled, see slates.repair
    item: np.ndarray  # int64 (B,): the one that the user picked; 0 = the answer could not be read
    consumed: np.ndarray  # bool (B,)
    satisfaction: np.ndarray  # float64 (B,): chance of Yes about the picked item, times what boredom leaves of it
    valid: np.ndarray  # bool (B,): both answers of the user agent could be read
    left: np.ndarray  # bool (B,): patience ran out
    returned: np.ndarray  # bool (B,): and the user came back
    exhausted: np.ndarray  # bool (B,): too few candidates are left for another slate

    @property
    def gone(self) -> np.ndarray:
        """Who left for good, bool (B,)."""
        return self.left & ~self.returned

    def reward(self, kind: str) -> np.ndarray:
        """One of vrsim.session.config.REWARDS, float64 (B,)."""
        column = {"consumption": self.consumed, "satisfaction": self.satisfaction, "retention": self.returned}[kind]
        return column.astype(float)


@lru_cache(maxsize=8)
def session_starts(user: SimulatedUser, slate: int, split: str) -> np.ndarray:
    """Where sessions can begin: the first held-out positions of the users of a split, int64 (starts,).

    Left out is who has fewer unseen candidates than a slate holds. Raises UnknownNameError, EpisodeError.
    """
    world = user.world
    if split not in SPLITS:
        raise UnknownNameError("split", str(split), SPLITS)
    first = split_users(world, user.protocol, split) * world.holdout
    starts = first[(world.candidates[first, :slate] > 0).all(axis=1)]
    if not len(starts):
        raise EpisodeError(
            f"no {split} user of world {world.name!r} has {slate} unseen candidates for a slate; choose a smaller slate"
        )
    return starts


@final
class Sessions:
    """N sessions. What happens in one depends on its own generator and its own actions alone.

    A session begins at the first held-out position of a user of ``split``: the recommender and the user agent know
    nothing of what the user really did from there on. In a turn the user agent picks an item of the slate and judges
    it. A Yes is consumption, unless boredom wins: Mood.interest is the chance that it does not. Answers that cannot be
    read are turns without consumption, and counted. Raises OptionError, EpisodeError.
    """

    def __init__(self, user: SimulatedUser, config: SessionConfig, size: int, split: str = "test") -> None:
        self.user, self.world, self.config, self.size = user, user.world, config, size
        self.pool = Pool(self.world, config, size)
        self.positions = session_starts(user, config.slate, split)
        self._masks = genre_masks(self.world.catalog)
        self._draws = Draws(size)
        self.position = np.zeros((size, 2), np.int64)  # user, number of earlier real interactions
        self.history = np.zeros((size, config.history), np.int64)  # real and consumed, oldest first, 0 = empty
        self.response = np.zeros((size, 4), np.int64)  # see ``observe``
        self.instructions = [""] * size  # what would have kept the user who left last
        self.turns = np.zeros(size, np.int64)  # of the session so far
        self.patience = np.zeros(size)
        self._recent = np.zeros((size, config.mood.memory), self._masks.dtype)  # genres of consumed items, newest last
        self._taken = np.zeros((size, 8), np.int64)  # all consumed items, 0 = none yet
        self._taken_count = np.zeros(size, np.int64)
        self._consumed = np.zeros(size, np.int64)  # items of this visit
        self._visit = np.zeros(size, np.int64)  # turns of this visit

    def seed(self, row: int, generator: np.random.Generator) -> None:
        """Start the random numbers of one session anew."""
        self._draws.seed(row, generator)

    def begin(self, rows: np.ndarray, which: np.ndarray | None = None) -> None:
        """New sessions in rows int64 (B,); ``which`` int64 (B,): places in ``positions``, None = drawn."""
        if which is None:
            which = (self._draws.take(rows, 1)[:, 0] * len(self.positions)).astype(np.int64)
        start = self.positions[which]
        users, t = (column[start] for column in self.world.held_out)
        self.position[rows] = np.stack([users, t], axis=1)
        self.history[rows] = self.world.interactions.histories(users, t, self.config.history)
        for column in (self.response, self.turns, self._taken, self._taken_count):
            column[rows] = 0
        for row in rows.tolist():
            self.instructions[row] = ""
        self._rest(rows)
        self.pool.begin(rows, start, self.history[rows])

    def observe(self, rows: np.ndarray | slice = ALL) -> dict[str, np.ndarray]:
        """What the recommender sees of B sessions, fresh arrays.

        ``history`` int64 (B, H); ``candidates`` int64 (B, C); ``features`` float32 (B, C, F), see FEATURES;
        ``response`` int64 (B, 4) to the last slate: item picked, 1 = consumed, 1 = had left and came back (0 where
        there was no slate yet), and the genre last wished for: place in genre_names, from 1, 0 = none.
        """
        columns = {"history": self.history, "candidates": self.pool.items, "features": self.pool.features}
        return {name: column[rows].copy() for name, column in (columns | {"response": self.response}).items()}

    def show(self, rows: np.ndarray, places: np.ndarray) -> Turn:
        """Show candidates at places int64 (B, K), from 0 to C - 1, to the users of B different sessions."""
        mood, here = self.config.mood, np.arange(len(rows))
        position, history = self.position[rows], self.history[rows]
        places, repaired = repair(places, self.pool.items, rows)
        slate = self.pool.items[rows[:, None], places]
        picked, valid = self._pick(position, history, slate)
        item, place = slate[here, picked], places[here, picked]
        judged = self.user.judge(position, history, item[:, None])
        interest = mood.interest(self.pool.repetitions(rows, place, mood.memory))
        chance, returning = self._draws.take(rows, 2).T
        yes, both = judged.yes[:, 0] & valid, judged.valid[:, 0] & valid
        consumed = yes & (chance < interest)
        liking = yes if judged.probability is None else judged.probability[:, 0] * both
        item = np.where(valid, item, 0)

        self.turns[rows] += 1
        self._consumed[rows] += consumed
        self._visit[rows] += 1
        patience = self.patience[rows]
        patience = np.where(consumed, np.minimum(patience + mood.relief, mood.patience), patience - 1)
        self.patience[rows] = patience
        left = patience <= 0
        returned = left & (returning < mood.returns(self._consumed[rows], self._visit[rows]))
        self.pool.show(rows, places)
        self._remember(rows[consumed], item[consumed], place[consumed])
        self._wish(rows[left], slate[left])
        for column, told in enumerate((item, consumed, returned)):
            self.response[rows, column] = told
        if returned.any():
            self._rest(rows[returned])
            self.pool.rest(rows[returned])
        self._describe(rows[consumed | returned])
        exhausted = self.pool.items[rows, self.config.slate - 1] == 0
        return Turn(slate, repaired, item, consumed, liking * interest, both, left, returned, exhausted)

    def _pick(self, position: np.ndarray, history: np.ndarray, slate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The place that each user picks, int64 (B,), and whether the answer could be read, bool (B,)."""
        if slate.shape[1] == 1:
            return np.zeros(len(slate), np.int64), np.ones(len(slate), bool)
        decisions = self.user.choose(position, history, slate)
        return decisions.action, decisions.valid

    def _remember(self, rows: np.ndarray, item: np.ndarray, place: np.ndarray) -> None:
        """Histories grow by the items int64 (B,) that were consumed, at these places of the candidates."""
        if not len(rows):
            return
        if (self._taken_count[rows] == self._taken.shape[1]).any():
            self._taken = np.concatenate([self._taken, np.zeros_like(self._taken)], axis=1)
        self._taken[rows, self._taken_count[rows]] = item
        self._taken_count[rows] += 1
        self.pool.tire(rows, self._masks[item], self._recent[rows, 0])
        for table, new in ((self.history, item), (self._recent, self._masks[item])):
            own = table[rows]
            own[:, :-1] = own[:, 1:]
            own[:, -1] = new
            table[rows] = own
        recent = self._recent[rows]
        if self.config.rescore:
            self.pool.rescore(rows, self.position[rows], self.history[rows], self._taken[rows], recent)
        elif self.config.no_repeat:
            self.pool.take_out(rows, place, recent)

    def _wish(self, rows: np.ndarray, slate: np.ndarray) -> None:
        """Who leaves after slates int64 (B, K) says what would have kept them."""
        if not len(rows):
            return
        catalog, history = self.world.catalog, self.history[rows]
        words = self.user.wish(self.position[rows], history, slate)
        if words is None:
            genres = wished_genres(catalog, history, slate)
            words = [wish_in_words(catalog, genre) for genre in genres.tolist()]
        else:
            genres = np.array([named_genre(catalog, text) for text in words])
        for row, text in zip(rows.tolist(), words, strict=True):
            self.instructions[row] = text
        self.response[rows, 3] = genres
        self.pool.mark_wished(rows, genres)

    def _rest(self, rows: np.ndarray) -> None:
        """A visit begins."""
        self.patience[rows] = self.config.mood.patience
        self._recent[rows] = 0
        self._consumed[rows] = self._visit[rows] = 0

    def _describe(self, rows: np.ndarray) -> None:
        if len(rows):
            columns = self.history, self._taken, self.response[:, 3]
            self.pool.describe(rows, *(column[rows] for column in columns))
