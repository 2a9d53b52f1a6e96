"""Episodes: the questions that a protocol makes of a world, as columns."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vrsim.errors import EpisodeError, OptionError, UnknownNameError
from vrsim.protocols import COHORTS, SPLITS, TASKS, Protocol, get_protocol
from vrsim.scoring import REWARDS
from vrsim.seeding import generator
from vrsim.world import World
from vrsim.world_files import digest

__all__ = ["Episodes", "make_episodes"]


@dataclass(frozen=True, eq=False)
class Episodes:
    """N questions with their answers. One episode is one decision."""

    world: World
    protocol: Protocol
    task: str  # "judgment" or "selection"
    m: int  # negatives per slate (selection), 1 for judgment: one negative per positive
    split: str
    cohort: str
    seed: int
    positions: np.ndarray  # int64 (N, 2): user, number of earlier interactions
    slates: np.ndarray  # int64 (N, K): judgment K = 1, selection K = m + 1; items, distinct, never 0
    answers: np.ndarray  # int64 (N,): judgment 1 = Yes, 0 = No; selection: place of the target, from 0

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def n_options(self) -> int:
        """Number of possible actions."""
        return 2 if self.task == "judgment" else self.m + 1

    @cached_property
    def histories(self) -> np.ndarray:
        """What is shown of each history, int64 (N, protocol.history), oldest first, 0 = empty."""
        users, t = self.positions.T
        return self.world.interactions.histories(users, t, self.protocol.history)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the questions and answers, in order."""
        columns = {"positions": self.positions, "slates": self.slates, "answers": self.answers}
        return digest(columns | {"histories": self.histories})

    def training(self) -> "Episodes":
        """The same questions about the training users."""
        return make_episodes(self.world, self.protocol, self.task, self.m, "train", "all", self.seed)

    def observe(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """The observations of some episodes, fresh arrays; ``index`` is int (B,)."""
        return {
            "position": self.positions.take(index, axis=0),
            "history": self.histories.take(index, axis=0),
            "slate": self.slates.take(index, axis=0),
        }

    def correct(self, index: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Whether each action is the right one, bool (B,)."""
        return action == self.answers[index]

    def reward(self, correct: np.ndarray) -> np.ndarray:
        """The paper's reward, float64 (B,)."""
        return REWARDS[self.task](correct)


def make_episodes(
    world: World,
    protocol: str | Protocol,
    task: str,
    m: int = 3,
    split: str = "test",
    cohort: str = "all",
    seed: int = 0,
) -> Episodes:
    """The episodes of one task.

    Equal arguments give equal episodes. Episodes of one cohort are the same questions as in cohort
    "all". ``m`` counts the negatives of a selection; a judgment always pairs each positive with one
    negative. Raises UnknownNameError, OptionError, EpisodeError.
    """
    if not isinstance(world, World):
        raise OptionError(f"world must be a World, for example World.load('tiny'), found {world!r}")
    protocol = protocol if isinstance(protocol, Protocol) else get_protocol(protocol)
    for kind, value, known in (("task", task, TASKS), ("split", split, SPLITS), ("cohort", cohort, COHORTS)):
        if value not in known:
            raise UnknownNameError(kind, str(value), known)
    for name, value, least in (("m", m, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise OptionError(f"{name} must be an integer from {least}, found {value!r}")
    m = 1 if task == "judgment" else int(m)

    users, t = world.held_out
    rng = generator(int(seed), protocol.name, protocol.version, task, m)
    negatives = _negatives(world, protocol, m, rng)  # (positions, m)
    targets = world.interactions.items[world.interactions.offsets[users] + t].astype(np.int64)
    chosen = np.flatnonzero(_asked(world, protocol, split, cohort))
    if len(chosen) == 0:
        raise EpisodeError(f"world {world.name!r} has no {cohort} users in the {split} split of {protocol.name!r}")
    positions = np.stack([users, t], axis=1)
    if task == "judgment":
        items = np.stack([targets, negatives[:, 0]], axis=1)[chosen].reshape(-1, 1)
        answers = np.tile([1, 0], len(chosen))
        # Shuffled, so that a batch does not show a user's two items side by side in a known order.
        order = rng.permutation(2 * len(users))
        order = order[np.isin(order // 2, chosen)]
        order = np.searchsorted(chosen, order // 2) * 2 + order % 2
        positions = np.repeat(positions[chosen], 2, axis=0)[order]
        slates, answers = items[order], answers[order]
    else:
        answers = rng.integers(m + 1, size=len(users))
        slates = np.empty((len(users), m + 1), np.int64)
        is_target = np.arange(m + 1) == answers[:, None]
        slates[is_target] = targets
        slates[~is_target] = negatives.ravel()
        positions, slates, answers = positions[chosen], slates[chosen], answers[chosen]
    return Episodes(world, protocol, task, m, split, cohort, int(seed), positions, slates, answers.astype(np.int64))


def _asked(world: World, protocol: Protocol, split: str, cohort: str) -> np.ndarray:
    """Which held-out positions are asked about, bool (positions,)."""
    order = generator(protocol.split_seed, "split").permutation(world.n_users)
    tested = np.zeros(world.n_users, bool)
    tested[order[: round(protocol.test_share * world.n_users)]] = True
    lengths = world.interactions.lengths
    cold = lengths <= np.quantile(lengths, protocol.cold_share, method="lower")
    member = {"all": np.ones_like(cold), "cold": cold, "warm": ~cold}[cohort]
    asked = np.repeat(member & (tested == (split == "test")), world.holdout)
    if split == "test":
        asked &= np.arange(len(asked)) % world.holdout == world.holdout - 1
    return asked


def _negatives(world: World, protocol: Protocol, m: int, rng: np.random.Generator) -> np.ndarray:
    """m distinct items for every held-out position that the user never interacted with, int64 (positions, m)."""
    if protocol.negatives == "recommended":
        return _recommended(world, protocol, m, rng)
    return _uniform(world, m, rng)


def _recommended(world: World, protocol: Protocol, m: int, rng: np.random.Generator) -> np.ndarray:
    users, t = world.held_out
    # Candidates are unseen at their position; what the user does there or later is no negative either.
    later = np.arange(world.holdout)
    rows = world.interactions.offsets[users, None] + t[:, None] + later
    inside = rows < world.interactions.offsets[users + 1, None]
    future = np.where(inside, world.interactions.items[np.where(inside, rows, 0)], 0)
    usable = world.candidates > 0
    for column in future.T:
        usable &= world.candidates != column[:, None]
    first = usable & (np.cumsum(usable, axis=1) <= protocol.pool)
    least = int(first.sum(axis=1).min())
    if least < protocol.pool:
        raise EpisodeError(
            f"{protocol.name!r} draws from the first {protocol.pool} candidates of a position, and a position of "
            f"world {world.name!r} has {least}; build the world with more candidates"
        )
    if m > protocol.pool:
        raise EpisodeError(
            f"m = {m} negatives, but {protocol.name!r} draws from {protocol.pool}; the largest m is {protocol.pool}"
        )
    depth = int(np.flatnonzero(first.any(axis=0))[-1]) + 1
    keys = np.where(first[:, :depth], rng.random((len(users), depth)), 2.0)
    picks = np.argsort(keys, axis=1)[:, :m]
    return np.take_along_axis(world.candidates, picks, axis=1).astype(np.int64)


def _uniform(world: World, m: int, rng: np.random.Generator) -> np.ndarray:
    users, _ = world.held_out
    unseen = world.n_items - int(world.interactions.lengths.max())
    if m > unseen:
        raise EpisodeError(
            f"m = {m} negatives, but a user of world {world.name!r} has only {unseen} items left "
            f"that were never interacted with; the largest m is {unseen}"
        )
    items = rng.integers(1, world.n_items + 1, size=(len(users), m))
    rows = np.arange(len(users))
    while len(rows):  # draw again whatever the user knows or what stands in the slate already
        drawn = items[rows]
        bad = world.interactions.contains(users[rows, None], drawn)
        for column in range(1, m):
            bad[:, column] |= (drawn[:, :column] == drawn[:, column : column + 1]).any(axis=1)
        rows, bad = rows[bad.any(axis=1)], bad[bad.any(axis=1)]
        fresh = rng.integers(1, world.n_items + 1, size=bad.shape)
        items[rows] = np.where(bad, fresh, items[rows])
    return items
