"""Wrong answers come from where their rule says, each rule by a plain reference."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import chisquare

from vrsim.building import BuildConfig, make_world
from vrsim.catalog import Catalog
from vrsim.data import Data
from vrsim.episodes import make_episodes
from vrsim.errors import EpisodeError, UnknownNameError
from vrsim.interactions import Interactions, pair_keys
from vrsim.negatives import draw
from vrsim.protocols import Protocol, get_protocol
from vrsim.recommender import BLOCK
from vrsim.world import World

UNLIKELY = 1e-4  # a p-value below it is no accident; the seeds are fixed, so it cannot come and go
CARD = Protocol(name="mine", measures="", cannot="", source="")
RULES = ("recommended", "uniform", "rank-matched", "popularity-matched")


class Fixed:
    """A recommender with made-up favourites of every user."""

    def __init__(self, users: int, n_items: int, seed: int = 1):
        self.scores = np.random.default_rng(seed).random((users, n_items + 1)).astype(np.float32)

    def score(self, users, histories):
        return self.scores[users]


def crowd(users=60, n_items=47, length=6, unordered=0, holdout=1) -> World:
    """People with ``length`` interactions in order and ``unordered`` ones at an unknown time."""
    rng = np.random.default_rng(0)
    taken = np.stack([rng.permutation(n_items)[: length + unordered] + 1 for _ in range(users)])
    ids = [f"i{i}" for i in range(n_items)]
    table = {"item_id": ids, "title": ids, "year": [0] * n_items, "genres": [[]] * n_items, "caption": [""] * n_items}
    loose = np.sort(pair_keys(np.arange(users)[:, None], taken[:, length:]).ravel()) if unordered else None
    offsets, items = np.arange(users + 1) * length, taken[:, :length].ravel().astype(np.int32)
    columns = Interactions(offsets, items, unordered=loose)
    data = Data(columns, Catalog(pa.table(table, schema=Catalog.SCHEMA)), pa.array([f"u{i}" for i in range(users)]), {})
    return make_world("crowd", data, BuildConfig(holdout=holdout), Fixed(users, n_items))[0]


def drawn(world, rule, m, seed=0, **card):
    """What ``draw`` says, and a generator that is fresh for every seed."""
    return draw(world, replace(CARD, **card), rule, m, np.random.default_rng(seed))


def taken_by(world, user) -> set[int]:
    """Everything the user ever interacted with, at whatever time."""
    loose = [] if world.interactions.unordered is None else world.interactions.unordered.tolist()
    return {*world.interactions.of(user).tolist(), *(key & 0xFFFFFFFF for key in loose if key >> 32 == user)}


def unseen_by_score(world, user, t) -> list[int]:
    """Every item the user had not had before t, best first."""
    scores = Fixed(world.n_users, world.n_items).scores[user]
    unseen = set(range(1, world.n_items + 1)) - set(world.interactions.of(user)[:t].tolist())
    return sorted(unseen, key=lambda item: (-scores[item], item))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("unordered", [0, 5])
@pytest.mark.parametrize("holdout", [1, 3])
def test_wrong_items_are_distinct_and_never_taken_not_even_at_an_unknown_time(rule, unordered, holdout):
    world = crowd(unordered=unordered, holdout=holdout)
    for seed in range(5):
        wrongs = drawn(world, rule, 4, seed)
        assert wrongs.items.shape == (world.n_users * holdout, 4)
        assert (wrongs.items.dtype, wrongs.usable.dtype) == (np.int64, bool)
        assert wrongs.usable.any()
        for user, items, usable in zip(world.held_out[0], wrongs.items.tolist(), wrongs.usable, strict=True):
            if usable:
                assert len(set(items)) == 4
                assert min(items) >= 1
                assert not set(items) & taken_by(world, user)


def test_uniform_items_are_all_those_never_taken_equally_often():
    world = crowd(users=4, unordered=3)
    counts = sum(np.bincount(drawn(world, "uniform", 5, seed).items[2], minlength=48) for seed in range(2000))
    free = sorted(set(range(1, 48)) - taken_by(world, 2))
    assert set(np.flatnonzero(counts)) == set(free)
    assert chisquare(counts[free]).pvalue > UNLIKELY


@pytest.mark.parametrize("place", range(3))
def test_recommended_items_are_all_those_of_the_pool_equally_often(place):
    world = crowd(users=4, holdout=2, unordered=3)
    picks = [drawn(world, "recommended", 3, seed, pool=(3, 8)).items[5, place] for seed in range(2000)]
    usable = [item for item in unseen_by_score(world, 2, 5) if item not in taken_by(world, 2)]  # position 5: user 2
    counts = np.bincount(picks, minlength=48)
    assert set(np.flatnonzero(counts)) == set(usable[2:8])
    assert chisquare(counts[usable[2:8]]).pvalue > UNLIKELY


def test_items_that_are_too_rare_are_neither_right_nor_wrong():
    world = crowd()
    frequency = np.bincount(world.interactions.items, minlength=48)
    least = int(np.median(frequency[1:]))
    wrongs = [drawn(world, "uniform", 5, seed, least_item=least) for seed in range(20)]
    assert set(np.unique([w.items for w in wrongs])) == set(np.flatnonzero(frequency >= least))
    for one in wrongs:
        np.testing.assert_array_equal(one.usable, frequency[world.targets] >= least)


# Matched


@pytest.mark.parametrize("holdout", [1, 3])
def test_rank_matched_items_come_from_the_twenty_ranks_around_the_target(holdout):
    world = crowd(unordered=5, holdout=holdout)
    found = [set() for _ in world.targets]
    for seed in range(60):
        wrongs = drawn(world, "rank-matched", 2, seed)
        for position in np.flatnonzero(wrongs.usable):
            found[position] |= set(wrongs.items[position].tolist())
    whole = 0
    for user, t, target, items in zip(*world.held_out, world.targets, found, strict=True):
        ranked = unseen_by_score(world, user, t)
        begin = ranked.index(target) // BLOCK * BLOCK
        expected = set(ranked[begin : begin + BLOCK]) - taken_by(world, user)
        assert items <= expected
        whole += items == expected
    assert whole > len(found) / 2  # sixty draws show all of most blocks


@pytest.mark.parametrize("n_items", [19, 20, 39, 40, 47])
def test_popularity_matched_items_come_from_the_targets_twenty_in_order_of_popularity(n_items):
    world = crowd(n_items=n_items)
    popularity = np.bincount(world.interactions.items.reshape(-1, 6)[:, :5].ravel(), minlength=n_items + 1)
    ranked = sorted(range(1, n_items + 1), key=lambda item: (-popularity[item], item))
    ends = [*range(BLOCK, n_items - BLOCK + 1, BLOCK), n_items]  # what is left over joins the last block
    blocks = [set(ranked[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]
    found = [set() for _ in world.targets]
    for seed in range(60):
        wrongs = drawn(world, "popularity-matched", 3, seed)
        for position in np.flatnonzero(wrongs.usable):
            found[position] |= set(wrongs.items[position].tolist())
    whole = 0
    for user, (target, items) in enumerate(zip(world.targets, found, strict=True)):
        (block,) = [block for block in blocks if target in block]
        assert items <= block - taken_by(world, user)
        whole += items == block - taken_by(world, user)
    assert whole > len(found) / 2


def test_a_target_that_the_recommender_did_not_rank_is_left_out_and_counted():
    world = crowd()
    blocks, target_ranks = world.blocks.copy(), world.target_ranks.copy()
    blocks[::2], target_ranks[::2] = 0, 0
    world = replace(world, blocks=blocks, target_ranks=target_ranks)
    for seed in range(5):
        assert not drawn(world, "rank-matched", 1, seed).usable[::2].any()
    episodes = [make_episodes(world, "rank-matched", "selection", 1, split) for split in ("train", "test")]
    assert all(user % 2 for part in episodes for user in part.positions[:, 0])
    assert sum(len(part) + part.left_out for part in episodes) == 60


def test_a_block_with_too_few_items_is_left_out():
    world = crowd(n_items=47, length=6)  # 42 unseen: the third block has two items, the target is one of them
    last = world.target_ranks > 40
    assert last.any()
    usable = {m: np.any([drawn(world, "rank-matched", m, s).usable for s in range(20)], axis=0) for m in (1, 2)}
    assert usable[1][last].any()
    assert not usable[2][last].any()


# Errors


@pytest.mark.parametrize(("rule", "largest"), [("uniform", 41), ("recommended", 10), ("vragent-code", 41)])
def test_the_largest_m_works_and_one_more_names_it(rule, largest):
    world = crowd()
    card = get_protocol(rule) if rule == "vragent-code" else replace(CARD, selection=rule)
    assert len(set(make_episodes(world, card, "selection", largest).slates[0].tolist())) == largest + 1
    with pytest.raises(EpisodeError, match=f"m = {largest + 1} .*the largest m is {largest}$"):
        make_episodes(world, card, "selection", largest + 1)


@pytest.mark.parametrize("protocol", ["rank-matched", "popularity-matched"])
def test_a_matched_slate_holds_one_block_at_most(protocol):
    assert BLOCK == 20
    for m in (20, 30):
        with pytest.raises(EpisodeError, match=f"m = {m} wrong items, .* blocks of 20; the largest m is 19$"):
            make_episodes(crowd(), protocol, "selection", m)


def test_interactions_of_unknown_time_count_for_the_largest_m():
    world = crowd(unordered=9)
    with pytest.raises(EpisodeError, match=r"m = 99 .* only 32 items left .*; the largest m is 32$"):
        drawn(world, "uniform", 99)
    assert drawn(world, "uniform", 32).items.shape == (60, 32)


def test_items_that_are_too_rare_count_for_the_largest_m():
    world = crowd()
    least = int(np.bincount(world.interactions.items)[1:].max())
    with pytest.raises(EpisodeError, match="the largest m is"):
        drawn(world, "uniform", 5, least_item=least)


def test_a_rule_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"rule for wrong items 'rank_matched'\. Did you mean 'rank-matched'"):
        make_episodes(crowd(), replace(CARD, selection="rank_matched"), "selection")


def test_ratings_give_no_wrong_items():
    with pytest.raises(EpisodeError, match="'mine' takes answers from ratings: it needs 0 wrong items, not 3"):
        make_episodes(World.load("tiny"), replace(CARD, selection="rated"), "selection", 3)
    with pytest.raises(EpisodeError, match="0 wrong items, not 1"):
        make_episodes(World.load("tiny"), replace(CARD, judgment="rated"), "judgment")


def test_a_task_that_the_protocol_does_not_ask_is_refused():
    with pytest.raises(EpisodeError, match=r"'tallrec' asks no selection; it asks judgment$"):
        make_episodes(World.load("tiny"), "tallrec", "selection")
