"""The walk against a plain reference on graphs made up here, and what it may not read."""

import tracemalloc
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest

from vrsim.agent import Agent
from vrsim.baselines.graph import DAMPING, TIE, Graph
from vrsim.errors import OptionError, UnknownNameError
from vrsim.interactions import Interactions
from vrsim.registry import make_agent


@dataclass
class Fake:
    """What the agent needs of a world."""

    interactions: Interactions
    n_items: int
    holdout: int = 1

    @property
    def popularity(self):
        known = self.interactions.items[self.interactions.training_rows(self.holdout)]
        return np.bincount(known, minlength=self.n_items + 1)


def crowd_of(seed: int, n_items: int = 12, users: int = 15, holdout: int = 1) -> Fake:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(holdout + 1, 9, size=users)
    items = rng.integers(1, n_items + 1, size=lengths.sum()).astype(np.int32)
    return Fake(Interactions(np.r_[0, np.cumsum(lengths)], items), n_items, holdout)


def prepared(world: Fake, **options) -> Graph:
    agent = Graph(**options)
    agent.prepare(world)
    return agent


def ask(histories: list[list[int]], slates) -> dict[str, np.ndarray]:
    return {"history": np.array(histories), "slate": np.array(slates), "position": np.zeros((len(histories), 2), int)}


def reference(world: Fake, history: list[int], hops: int, last: int) -> np.ndarray:
    """The same number, float (n_items + 1,), with dense matrices and loops."""
    counts = np.zeros((world.n_items + 1, world.n_items + 1))
    for user in range(world.interactions.n_users):
        known = world.interactions.of(user)[: -world.holdout]
        for before, after in pairwise(known.tolist()):
            counts[before, after] += 1
    for row in counts:
        row /= max(1, row.sum())
    mass = np.zeros(world.n_items + 1)
    for back, item in enumerate(reversed(history[-last:])):
        mass[item] += DAMPING**back if item else 0
    mass /= mass.sum() or 1
    number = TIE * world.popularity / world.popularity.max()
    for hop in range(hops):
        mass = mass @ counts
        number += DAMPING**hop * mass
    return number


@pytest.mark.parametrize("holdout", [1, 2])
@pytest.mark.parametrize("last", [1, 2, 5])
@pytest.mark.parametrize("hops", [1, 2, 3, 4])
def test_the_number_is_the_damped_mass_that_arrives(hops, last, holdout):
    for seed in range(5):
        world = crowd_of(seed, holdout=holdout)
        rng = np.random.default_rng(seed)
        histories = [[0, *rng.integers(1, 13, size=3).tolist()] for _ in range(6)] + [[0, 0, 0, 4], [0] * 4]
        everything = np.tile(np.arange(1, 13), (len(histories), 1))
        found = prepared(world, hops=hops, last=last).score(ask(histories, everything))
        expected = [reference(world, history, hops, last)[1:] for history in histories]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)


def test_a_walk_by_hand():
    # 1 -> 2 twice and 1 -> 3 once, 2 -> 3 once; the last item of each user is held out
    items = [1, 2, 9, 1, 2, 3, 9, 1, 3, 9]
    world = Fake(Interactions(np.array([0, 3, 7, 10]), np.array(items, np.int32)), 9)
    one, two = (prepared(world, hops=hops, last=1).score(ask([[0, 1]], [[1, 2, 3, 9]]))[0] for hops in (1, 2))
    np.testing.assert_allclose(one, [0, 2 / 3, 1 / 3, 0], atol=1e-8)
    np.testing.assert_allclose(two, [0, 2 / 3, 1 / 3 + DAMPING * 2 / 3, 0], atol=1e-8)


def test_mass_is_neither_made_nor_lost_where_every_item_leads_on():
    users, length, n_items = 40, 30, 10
    rng = np.random.default_rng(0)
    items = rng.integers(1, n_items + 1, size=users * length).astype(np.int32)
    world = Fake(Interactions(np.arange(users + 1) * length, items), n_items)
    everything = np.arange(1, n_items + 1)[None]
    number = prepared(world, hops=3).score(ask([[3, 7]], everything))
    assert number.sum() == pytest.approx(1 + DAMPING + DAMPING**2, abs=1e-6)


def test_two_users_are_not_one_after_the_other():
    # the first user's 1 and the second user's 2 are neighbours in the columns, and no transition
    items = np.array([5, 1, 9, 2, 6, 9], np.int32)
    world = Fake(Interactions(np.array([0, 3, 6]), items), 9)
    assert prepared(world, hops=1).score(ask([[1]], [[2, 9]])).max() < 2 * TIE
    assert prepared(world, hops=1).score(ask([[5]], [[1, 9]])).argmax() == 0


@pytest.mark.parametrize("holdout", [1, 2, 3])
def test_the_held_out_part_is_never_read(holdout):
    world = crowd_of(3, holdout=holdout)
    old = world.interactions
    held = ~old.training_rows(holdout)
    other = replace(world, interactions=replace(old, items=np.where(held, old.items % 12 + 1, old.items)))
    everything = np.tile(np.arange(1, 13), (12, 1))
    observations = ask([[item] for item in range(1, 13)], everything)
    scores = prepared(world).score(observations)
    np.testing.assert_array_equal(scores, prepared(other).score(observations))
    longer = prepared(Fake(old, 12, holdout - 1) if holdout > 1 else Fake(old, 12, 0))
    assert (scores != longer.score(observations)).any()  # one interaction more of each user would show


def test_popularity_decides_where_the_walk_does_not_arrive_and_nowhere_else():
    world = crowd_of(1)
    popular = np.argsort(-world.popularity[1:], kind="stable") + 1
    agent = prepared(world)
    assert agent.act(ask([[0, 0]], [popular[[3, 0, 5]]])).action.tolist() == [1]
    numbers = agent.score(ask([[0, 1]], [popular]))[0]
    mass = reference(world, [0, 1], 2, 2)[popular] - TIE * world.popularity[popular] / world.popularity.max()
    reached = mass > 1e-12
    assert reached.any()
    assert not reached.all()
    assert numbers[reached].min() > numbers[~reached].max()


def test_most_and_least_are_opposites():
    world = crowd_of(2)
    observations = ask([[0, 3], [2, 1]], [[4, 5, 6, 7], [8, 1, 2, 3]])
    numbers = prepared(world).score(observations)
    assert prepared(world).act(observations).action.tolist() == numbers.argmax(axis=1).tolist()
    assert prepared(world, order="least").act(observations).action.tolist() == numbers.argmin(axis=1).tolist()


def test_a_large_catalog_is_never_spread_out_over_a_batch():
    n_items, users, length = 200_000, 20_000, 10
    rng = np.random.default_rng(0)
    items = rng.integers(1, n_items + 1, size=users * length).astype(np.int32)
    world = Fake(Interactions(np.arange(users + 1) * length, items), n_items)
    agent = prepared(world, hops=3)
    histories = world.interactions.histories(np.arange(256), np.full(256, length - 1), 20)
    observations = {"history": histories, "slate": rng.integers(1, n_items + 1, size=(256, 4))}
    tracemalloc.start()
    agent.score(observations)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 256 * n_items * 8 / 20


@pytest.mark.parametrize("options", ["hops=0", "hops=1.5", "hops=True", "last=0", "last=None"])
def test_a_bad_value_is_refused(options):
    with pytest.raises(OptionError, match="must be an integer from 1"):
        make_agent(f"graph:{options}")


def test_it_is_made_by_name():
    assert isinstance(make_agent("graph:hops=3,last=1"), Agent)
    with pytest.raises(UnknownNameError, match="Did you mean 'most'"):
        make_agent("graph:order=mots")
