"""Matched slates say nothing: whoever knows the ranking, and nothing else, is right by chance."""

from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom
from sklearn.ensemble import HistGradientBoostingClassifier

from vrsim.building import BuildConfig, make_world
from vrsim.catalog import Catalog
from vrsim.data import Data
from vrsim.interactions import Interactions, pair_keys
from vrsim.negatives import Wrongs, _falling, draw
from vrsim.protocols import Protocol
from vrsim.recommender import BLOCK
from vrsim.world import World

USERS, ITEMS = 6000, 62
CARD = Protocol(name="mine", measures="", cannot="", source="")
MADE = {"steep": "rank-matched", "unequal": "rank-matched", "halves": "rank-matched", "hits": "popularity-matched"}

every_m = pytest.mark.parametrize("m", [1, 3, 4])
every_world = pytest.mark.parametrize(("made", "rule"), MADE.items())


class Known:
    """A recommender whose scores are made up beforehand, float32 (users, items + 1)."""

    def __init__(self, scores):
        self.scores = scores.astype(np.float32)

    def score(self, users, histories):
        return self.scores[users]


def people(items: np.ndarray, scores: np.ndarray) -> World:
    """Users who take the first three items of a row, the third is asked about, and the others nobody knows when."""
    ids = [f"i{i}" for i in range(ITEMS)]
    table = {"item_id": ids, "title": ids, "year": [0] * ITEMS, "genres": [[]] * ITEMS, "caption": [""] * ITEMS}
    loose = np.sort(pair_keys(np.arange(USERS)[:, None], items[:, 3:]).ravel()) if items.shape[1] > 3 else None
    columns = Interactions(np.arange(USERS + 1) * 3, items[:, :3].ravel().astype(np.int32), unordered=loose)
    data = Data(columns, Catalog(pa.table(table, schema=Catalog.SCHEMA)), pa.array([f"u{i}" for i in range(USERS)]), {})
    return make_world("people", data, BuildConfig(), Known(scores))[0]


@cache
def world_of(made: str, seed: int = 0) -> tuple[World, np.ndarray]:
    """A world, and what somebody may know of it: the scores, or popularity, of every item, (users, items + 1).

    People take what wins a race among all items. "steep": the top of the ranking is quick, whatever the scores.
    "unequal": the recommender is sure of some users and not of others, and is right to be so. "halves": the same, and
    half of what they took has lost its time. "hits": popular items are quick.
    """
    rng = np.random.default_rng([seed, sorted(MADE).index(made)])
    scores = rng.normal(size=(USERS, ITEMS + 1)).astype(np.float32)
    race = rng.exponential(size=(USERS, ITEMS))
    if made == "steep":
        race *= (1 + np.argsort(np.argsort(-scores[:, 1:], axis=1), axis=1)) ** 1.2
        race[:, -2:] = -1  # everybody has had these two
        return people(np.argsort(race, axis=1)[:, :3] + 1, scores), scores
    if made == "hits":
        race *= np.arange(1, ITEMS + 1)
        world = people(np.argsort(race, axis=1)[:, :3] + 1, scores)
        return world, np.tile(world.popularity - np.arange(ITEMS + 1) / 1000, (USERS, 1))
    scores *= rng.choice(np.array([0.2, 3], np.float32), USERS)[:, None]
    taken = np.argsort(race / np.exp(scores[:, 1:]), axis=1)[:, : 6 if made == "halves" else 3] + 1
    return people(rng.permuted(taken, axis=1), scores), scores


def accepted(world: World, rule: str, m: int, seed: int) -> Wrongs:
    return draw(world, CARD, rule, m, np.random.default_rng(seed))


def unfiltered(world: World, rule: str, m: int, seed: int) -> Wrongs:
    """The slates before some of them are accepted."""
    wrongs = accepted(world, rule, m, seed)
    distinct = (np.diff(np.sort(wrongs.items, axis=1), axis=1) > 0).all(axis=1) & (wrongs.items > 0).all(axis=1)
    taken = world.interactions.contains(np.arange(USERS)[:, None], wrongs.items).any(axis=1)
    return replace(wrongs, usable=distinct & ~taken)


def slates(known: tuple[World, np.ndarray], wrongs: Wrongs) -> tuple[np.ndarray, np.ndarray]:
    """What is known of each slate, best item first: scores, ranks and gaps; and the place of the target, from 0."""
    world, scores = known
    users = np.flatnonzero(wrongs.usable)
    own = scores[users[:, None], np.concatenate([world.targets[:, None], wrongs.items], axis=1)[users]]
    rank = (scores[users, None, 1:] > own[:, :, None]).sum(axis=2)
    order = np.argsort(-own, axis=1)
    own, rank = (np.take_along_axis(values, order, axis=1) for values in (own, rank))
    return np.hstack([own, rank, rank % BLOCK, -np.diff(own, axis=1)]), np.argmax(order == 0, axis=1)


def excess(found: np.ndarray, m: int) -> float:
    """How far a share of right answers lies above chance, in standard errors."""
    chance = 1 / (m + 1)
    return float((found.mean() - chance) / np.sqrt(chance * (1 - chance) / len(found)))


def shortcuts(made: str, rule: str, m: int, make) -> dict[str, float]:
    """The ``excess`` of simple picks, and of trees that were trained on the slates of other people."""
    known, other = world_of(made), world_of(made, seed=1)
    seen, place = slates(known, make(known[0], rule, m, 0))
    own = seen[:, : m + 1]
    middle = np.abs(own - np.median(own, axis=1, keepdims=True)) + np.random.default_rng(0).random(own.shape) * 1e-6
    x, y = (np.concatenate(c) for c in zip(*(slates(other, make(other[0], rule, m, s)) for s in (1, 2)), strict=True))
    trees = HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=8, random_state=0).fit(x, y)
    picks = {"highest": 0, "lowest": m, "median": np.argmin(middle, axis=1), "trees": trees.predict(seen)}
    return {name: excess(pick == place, m) for name, pick in picks.items()}


@every_m
@every_world
def test_no_function_of_the_ranking_finds_the_target_of_a_matched_slate(made, rule, m):
    found = shortcuts(made, rule, m, accepted)
    assert max(map(abs, found.values())) < 3, found


@pytest.mark.parametrize("m", [1, 4])
@every_world
def test_before_some_are_accepted_the_slates_give_the_target_away(made, rule, m):
    found = shortcuts(made, rule, m, unfiltered)
    assert found["highest"] > 6
    assert found["trees"] > 6
    assert found["lowest"] < -6


@every_world
def test_several_thousand_slates_are_left_to_ask(made, rule):
    world, _ = world_of(made)
    assert accepted(world, rule, 4, 0).usable.sum() > USERS / 4


# The curve


def plain_falling(counts: list[float], chances: list[float]) -> list[float]:
    """Pool adjacent violators: neighbours that rise become one with their common rate."""
    pools: list[list[float]] = []  # [count, chances, ranks]
    for count, chance in zip(counts, chances, strict=True):
        pools.append([count, chance, 1])
        while len(pools) > 1 and pools[-1][0] / pools[-1][1] >= pools[-2][0] / pools[-2][1]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    return [count / chance for count, chance, ranks in pools for _ in range(int(ranks))]


@pytest.mark.parametrize("equal", [True, False])
def test_the_curve_is_the_falling_one_that_is_most_likely(equal):
    rng = np.random.default_rng(0)
    for n_items in (1, 2, 30, 200):
        ranks = np.minimum(rng.geometric(0.1, 400), n_items)
        chances = np.ones(n_items) if equal else rng.integers(400, 800, n_items)
        counts = [float((ranks == rank).sum()) + 1 / n_items for rank in range(1, n_items + 1)]
        curve = _falling(ranks, n_items) if equal else _falling(ranks, n_items, chances)
        assert curve.shape == (n_items + 1,)
        np.testing.assert_allclose(curve[1:], plain_falling(counts, chances.tolist()))
        assert (np.diff(curve[1:]) <= 0).all()
        assert curve[1:].min() > 0


def test_a_count_that_falls_already_is_the_curve():
    ranks = np.repeat([1, 2, 3], [9, 4, 1])
    np.testing.assert_allclose(_falling(ranks, 4), [0, 9.25, 4.25, 1.25, 0.25])


def test_a_slate_is_accepted_as_often_as_its_rarest_place_is_rarer_than_the_targets():
    world, _ = world_of("hits")
    popular = sorted(range(1, ITEMS + 1), key=lambda item: (-world.popularity[item], item))
    place = {item: rank for rank, item in enumerate(popular, 1)}
    takers = np.bincount(world.interactions.items, minlength=ITEMS + 1)
    targets = np.bincount(world.targets, minlength=ITEMS + 1)
    chances = [float(USERS - takers[item] + targets[item]) for item in popular]
    curve = [np.nan, *plain_falling([targets[item] + 1 / ITEMS for item in popular], chances)]
    found = {}
    for seed in range(3):
        wrongs = unfiltered(world, "popularity-matched", 1, seed)
        asked = accepted(world, "popularity-matched", 1, seed).usable
        for user in np.flatnonzero(wrongs.usable):
            pair = place[int(world.targets[user])], place[int(wrongs.items[user, 0])]
            found.setdefault(pair, []).append(bool(asked[user]))
    above, variance = 0.0, 0.0
    for (own, other), asked in found.items():
        chance = min(1, curve[other] / curve[own])
        assert binom.cdf(sum(asked), len(asked), chance) > 1e-6
        assert binom.sf(sum(asked) - 1, len(asked), chance) > 1e-6
        above += sum(asked) - chance * len(asked)
        variance += chance * (1 - chance) * len(asked)
    assert len(found) > 500
    assert abs(above) < 3 * np.sqrt(variance)
