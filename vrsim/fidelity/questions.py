"""What every simulated user is asked about a ladder of slates: each pair of user and item once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vrsim.fidelity.ladder import Ladder
from vrsim.interactions import pair_keys
from vrsim.progress import Progress, silent
from vrsim.seeding import derive, row_keys
from vrsim.simulated_user import SimulatedUser
from vrsim.world import World
from vrsim.world_files import digest

__all__ = ["ANSWER", "FidelityQuestions", "ask_all"]

ANSWER = np.dtype([("yes", "?"), ("valid", "?"), ("probability", "<f4")])  # NaN where an agent tells none
PART = 4096  # questions between two reports of progress


@dataclass(frozen=True, eq=False)
class FidelityQuestions:
    """N pairs of user and item: would the user take the item at the user's last position?

    Asked about are all slates, and what another user is shown or took next: the partner, who is of like activity.
    """

    world: World
    ladder: Ladder
    partner: np.ndarray  # int64 (U,): a place in ladder.users, never the own

    @staticmethod
    def of(world: World, ladder: Ladder) -> "FidelityQuestions":
        """The questions about at least two users: neighbours in the order of activity are partners."""
        lengths = world.interactions.lengths[ladder.users]
        chance = row_keys(derive(0, "fidelity", "partner"), ladder.users[:, None], 1)[:, 0]
        order = np.lexsort((chance, lengths))
        places = np.arange(len(order))
        beside = np.where(places ^ 1 < len(order), places ^ 1, places - 1)  # the last of an odd number has no own
        partner = np.empty_like(order)
        partner[order] = order[beside]
        return FidelityQuestions(world, ladder, partner)

    @cached_property
    def next_of_partner(self) -> np.ndarray:
        """What each user's partner took next, int64 (U, 1); 0 where the user ever takes it too."""
        items = self.ladder.targets[self.partner]
        return np.where(self.world.interactions.contains(self.ladder.users, items), 0, items)[:, None]

    @cached_property
    def _keys(self) -> np.ndarray:
        """The sorted pairs of a place in ladder.users and an item, int64 (N,)."""
        ladder = self.ladder
        slates = np.concatenate([*ladder.slates.values(), ladder.worse, self.next_of_partner], axis=1)
        own = pair_keys(np.arange(len(slates))[:, None], slates)[slates > 0]
        return np.unique(np.concatenate([own, pair_keys(self.partner[:, None], ladder.slates[ladder.own]).ravel()]))

    def __len__(self) -> int:
        return len(self._keys)

    @cached_property
    def positions(self) -> np.ndarray:
        """Whom each question asks, and when: int64 (N, 2)."""
        users = self.ladder.users[self._keys >> 32]
        return np.stack([users, self.world.interactions.lengths[users] - 1], axis=1)

    @cached_property
    def items(self) -> np.ndarray:
        """What each question asks about, int64 (N,)."""
        return self._keys & 0xFFFFFFFF

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the questions, in order."""
        return digest({"positions": self.positions, "items": self.items})

    def places(self, slates: np.ndarray) -> np.ndarray:
        """Where the answers of each user about a slate stand, both int64 (U, K); slates without 0."""
        return np.searchsorted(self._keys, pair_keys(np.arange(len(slates))[:, None], slates))

    @property
    def by_partner(self) -> np.ndarray:
        """Where the answers of the partners about the users' own slates stand, int64 (U, K)."""
        own = self.ladder.slates[self.ladder.own]
        return np.searchsorted(self._keys, pair_keys(self.partner[:, None], own))


def ask_all(user: SimulatedUser, questions: FidelityQuestions, progress: Progress = silent) -> np.ndarray:
    """What a simulated user answers, ANSWER (N,)."""
    answers = np.empty(len(questions), ANSWER)
    for start in range(0, len(questions), PART):
        progress(start, len(questions), "asking")
        positions, items = questions.positions[start : start + PART], questions.items[start : start + PART]
        judged = user.judge(positions, user.histories(positions), items[:, None], seed=start)
        part = answers[start : start + PART]
        part["yes"], part["valid"] = judged.yes[:, 0], judged.valid[:, 0]
        part["probability"] = np.nan if judged.probability is None else judged.probability[:, 0]
    progress(len(questions), len(questions), "asked")
    return answers
