"""Episodes: the questions that a protocol makes of a world, as columns."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from vrsim.errors import EpisodeError, OptionError, UnknownNameError
from vrsim.negatives import draw
from vrsim.protocols import COHORTS, SPLITS, TASKS, Protocol, get_protocol
from vrsim.scoring import REWARDS
from vrsim.seeding import generator
from vrsim.world import World
from vrsim.world_files import digest

__all__ = ["LIKED", "Episodes", "make_episodes", "shown_histories", "split_users"]

LIKED = 3  # ratings above this are likes, as in Agent4Rec and TALLRec


@dataclass(frozen=True, eq=False)
class Episodes:
    """N questions with their answers. One episode is one decision."""

    world: World
    protocol: Protocol
    task: str  # "judgment" or "selection"
    m: int  # wrong items beside the right one: in the slate (selection), or as questions of their own (judgment)
    split: str
    cohort: str
    seed: int
    positions: np.ndarray  # int64 (N, 2): user, number of earlier interactions
    slates: np.ndarray  # int64 (N, K): judgment K = 1, selection K = m + 1; items, distinct, never 0
    answers: np.ndarray  # int64 (N,): judgment 1 = Yes, 0 = No; selection: place of the target, from 0
    left_out: int = 0  # positions of these users that the protocol cannot ask about

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def n_options(self) -> int:
        """Number of possible actions."""
        return 2 if self.task == "judgment" else self.m + 1

    @cached_property
    def histories(self) -> np.ndarray:
        """What is shown of each history, int64 (N, protocol.history), oldest first, 0 = empty."""
        return shown_histories(self.world, self.protocol, *self.positions.T)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the questions and answers, in order."""
        columns = {"positions": self.positions, "slates": self.slates, "answers": self.answers}
        return digest(columns | {"histories": self.histories})

    def training(self, seed: int | None = None) -> "Episodes":
        """The same questions about the training users; another ``seed`` draws other wrong items."""
        m = max(self.m, 1)  # a judgment has as many wrong items as its protocol says, perhaps none
        seed = self.seed if seed is None else seed
        return make_episodes(self.world, self.protocol, self.task, m, "train", "all", seed)

    def thinned(self, most: int) -> "Episodes":
        """At most ``most`` of them, evenly spaced: enough to fit a few numbers."""
        if len(self) <= most:
            return self
        return self.chosen(np.linspace(0, len(self) - 1, most).astype(np.int64))

    def chosen(self, index: np.ndarray) -> "Episodes":
        """Some of them, in the order of ``index`` int (B,)."""
        return replace(self, positions=self.positions[index], slates=self.slates[index], answers=self.answers[index])

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
    users: int = 0,
) -> Episodes:
    """The episodes of one task.

    Equal arguments give equal episodes. Episodes of one cohort are the same questions as in cohort
    "all". ``m`` counts the wrong items of a selection; for a judgment the protocol says how many go with
    each right one. ``users`` asks at most that many users, 0 = all; a smaller number asks some of those that a
    larger one does. Raises UnknownNameError, OptionError, EpisodeError.
    """
    if not isinstance(world, World):
        raise OptionError(f"world must be a World, for example World.load('tiny'), found {world!r}")
    protocol = protocol if isinstance(protocol, Protocol) else get_protocol(protocol)
    for kind, value, known in (("task", task, TASKS), ("split", split, SPLITS), ("cohort", cohort, COHORTS)):
        if value not in known:
            raise UnknownNameError(kind, str(value), known)
    for name, value, least in (("m", m, 1), ("seed", seed, 0), ("users", users, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise OptionError(f"{name} must be an integer from {least}, found {value!r}")
    if task not in protocol.tasks:
        raise EpisodeError(f"{protocol.name!r} asks no {task}; it asks {' and '.join(protocol.tasks)}")
    rule = getattr(protocol, task)
    (m,) = protocol.sizes(task, (int(m),))

    positions = np.stack(world.held_out, axis=1)
    rng = generator(int(seed), protocol.name, protocol.version, task, m)
    asked = _asked(world, protocol, split, cohort, users)
    wrongs = draw(world, protocol, rule, m, rng)
    chosen = np.flatnonzero(asked & wrongs.usable & _suitable(world, protocol, rule))
    if len(chosen) == 0:
        raise EpisodeError(
            f"{protocol.name!r} finds nothing to ask {cohort} users in the {split} split of world {world.name!r}: "
            f"of their {int(asked.sum())} held-out positions none is suitable"
        )
    if task == "judgment":
        size = m + 1
        items = np.concatenate([world.targets[:, None], wrongs.items], axis=1)[chosen].reshape(-1, 1)
        answers = np.tile(np.r_[1, np.zeros(m, np.int64)], len(chosen))
        if rule == "rated":
            answers = (world.interactions.ratings[world.target_rows[chosen]] > LIKED).astype(np.int64)
        # Shuffled, so that a batch does not show a user's items side by side in a known order.
        order = rng.permutation(size * len(positions))
        order = order[np.isin(order // size, chosen)]
        order = np.searchsorted(chosen, order // size) * size + order % size
        positions = np.repeat(positions[chosen], size, axis=0)[order]
        slates, answers = items[order], answers[order]
    else:
        answers = rng.integers(m + 1, size=len(positions))
        slates = np.empty((len(positions), m + 1), np.int64)
        is_target = np.arange(m + 1) == answers[:, None]
        slates[is_target] = world.targets
        slates[~is_target] = wrongs.items.ravel()
        positions, slates, answers = positions[chosen], slates[chosen], answers[chosen]
    left_out = int(asked.sum()) - len(chosen)
    columns = positions, slates, answers.astype(np.int64), left_out
    return Episodes(world, protocol, task, m, split, cohort, int(seed), *columns)


def split_users(world: World, protocol: Protocol, split: str) -> np.ndarray:
    """The users of one split whom the protocol may ask, int64, ascending. Raises EpisodeError if there is none."""
    eligible, tested, _ = _split(world, protocol)
    return np.flatnonzero(eligible & (tested == (split == "test")))


def _split(world: World, protocol: Protocol) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Who is eligible and who a test user, each bool (users,), and the drawn order of the users."""
    eligible = _eligible(world, protocol)
    order = generator(protocol.split_seed, "split").permutation(world.n_users)
    if protocol.test_users:
        order = order[eligible[order]]
        size = min(protocol.test_users, (len(order) + 1) // 2)
    else:
        size = round(protocol.test_share * world.n_users)
    tested = np.zeros(world.n_users, bool)
    tested[order[:size]] = True
    return eligible, tested, order


def _asked(world: World, protocol: Protocol, split: str, cohort: str, users: int) -> np.ndarray:
    """Which held-out positions are asked about, as far as it depends on the user, bool (positions,)."""
    eligible, tested, order = _split(world, protocol)
    lengths = world.interactions.lengths
    if protocol.cold_length:
        cold = lengths == protocol.cold_length
    else:
        cold = lengths <= np.quantile(lengths, protocol.cold_share, method="lower")
    member = {"all": np.ones_like(cold), "cold": cold, "warm": ~cold}[cohort]
    member &= eligible & (tested == (split == "test"))
    if users:
        member[order[np.cumsum(member[order]) > users]] = False
    asked = np.repeat(member, world.holdout)
    if split == "test":
        asked &= np.arange(len(asked)) % world.holdout >= world.holdout - protocol.per_user
    if not asked.any():
        raise EpisodeError(f"world {world.name!r} has no {cohort} users in the {split} split of {protocol.name!r}")
    return asked


def _eligible(world: World, protocol: Protocol) -> np.ndarray:
    """Which users have enough behind them, bool (users,). Raises EpisodeError if none has."""
    lengths, ratings = world.interactions.lengths, world.interactions.ratings
    liked, what = lengths, "interactions (it has no ratings)"
    if ratings is not None:
        liked = np.add.reduceat((ratings > LIKED).astype(np.int64), world.interactions.offsets[:-1])
        what = f"ratings above {LIKED}"
    needs = ((protocol.least_interactions, lengths, "interactions"), (protocol.least_liked, liked, what))
    eligible = np.ones(world.n_users, bool)
    for least, counts, name in needs:
        eligible &= counts >= least
        if not eligible.any():
            raise EpisodeError(
                f"{protocol.name!r} needs users with at least {least} {name}; the most that a user of world "
                f"{world.name!r} has is {int(counts.max())}"
            )
    return eligible


def _suitable(world: World, protocol: Protocol, rule: str) -> np.ndarray:
    """Which held-out positions have a target that the protocol can ask about, bool (positions,)."""
    suitable = np.ones(len(world.targets), bool)
    if rule == "rated":
        ratings = world.interactions.ratings
        if ratings is None:
            raise EpisodeError(f"{protocol.name!r} asks about ratings, and world {world.name!r} has none")
        suitable &= np.isfinite(ratings[world.target_rows])
    if protocol.popular_target:
        users, t = world.held_out
        row, items = world.interactions.before(users, t)
        ahead = world.popularity[items] >= world.popularity[world.targets][row]
        suitable &= np.bincount(row[ahead], minlength=len(users)) <= protocol.history
    return suitable


def shown_histories(world: World, protocol: Protocol, users: np.ndarray, t: np.ndarray) -> np.ndarray:
    """What the protocol shows of the history at each position, int64 (B, protocol.history), oldest first, 0 = empty."""
    if protocol.shows == "newest":
        return world.interactions.histories(users, t, protocol.history)
    return _most_popular(world, users, t, protocol.history)


def _most_popular(world: World, users: np.ndarray, t: np.ndarray, length: int) -> np.ndarray:
    """The ``length`` most popular items before each position, int64 (B, length), oldest first, 0 = empty."""
    row, items = world.interactions.before(users, t)
    order = np.lexsort((np.arange(len(row)), -world.popularity[items], row))
    begin = np.cumsum(t) - t
    kept = np.sort(order[np.arange(len(row)) - begin[row] < length])  # in order of row and time again
    counts = np.minimum(t, length)
    place = np.arange(len(kept)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(length - counts, counts)
    histories = np.zeros((len(users), length), np.int64)
    histories[row[kept], place] = items[kept]
    return histories
