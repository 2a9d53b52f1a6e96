"""The protocols of the papers ask whom and what their cards say, each by a plain reference."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from vrsim.building import BuildConfig, make_world
from vrsim.catalog import Catalog
from vrsim.data import Data
from vrsim.episodes import make_episodes
from vrsim.errors import EpisodeError, OptionError
from vrsim.interactions import Interactions
from vrsim.protocols import get_protocol
from vrsim.tiny import tiny_data
from vrsim.world import World

AGENT4REC = {"agent4rec-1to1": 10, "agent4rec-1to2": 6, "agent4rec-1to3": 5, "agent4rec-1to9": 2}  # right items a page


def people(lengths, ratings=None, n_items=60, holdout=1) -> World:
    """People with so many interactions each, and perhaps ratings, in a world without any training."""
    rng = np.random.default_rng(0)
    items = np.concatenate([rng.permutation(n_items)[:length] + 1 for length in lengths]).astype(np.int32)
    ids = [f"i{i}" for i in range(n_items)]
    table = {"item_id": ids, "title": ids, "year": [0] * n_items, "genres": [[]] * n_items, "caption": [""] * n_items}
    ratings = None if ratings is None else np.concatenate(ratings).astype(np.float32)
    columns = Interactions(np.r_[0, np.cumsum(lengths)].astype(np.int64), items, None, ratings)
    users = pa.array([f"u{i}" for i in range(len(lengths))])
    data = Data(columns, Catalog(pa.table(table, schema=Catalog.SCHEMA)), users, {})
    return make_world("people", data, BuildConfig("transitions", holdout=holdout))[0]


def users_of(*episodes) -> set[int]:
    return {user for part in episodes for user in part.positions[:, 0].tolist()}


def both(world, protocol, **options):
    """Training and test questions."""
    task = "judgment"
    return [make_episodes(world, protocol, task, split=split, **options) for split in ("train", "test")]


# Agent4Rec


@pytest.mark.parametrize("protocol", AGENT4REC)
def test_agent4rec_asks_users_who_liked_twenty_items(protocol):
    likes = [*[19, 20, 21] * 4, 0]
    ratings = [np.r_[np.full(n, 3.5), np.full(21 - n, 3), [np.nan] * 9] for n in likes]
    world = people([30] * len(likes), ratings)
    assert users_of(*both(world, protocol)) == {user for user, n in enumerate(likes) if n >= 20}


def test_agent4rec_counts_interactions_where_there_are_no_ratings():
    lengths = [19, 20, 21, 3, 40]
    assert users_of(*both(people(lengths), "agent4rec-1to1")) == {1, 2, 4}


def test_agent4rec_says_what_a_world_without_such_users_lacks():
    with pytest.raises(EpisodeError, match=r"at least 20 ratings above 3; the most that a user of world .* has is 19$"):
        make_episodes(people([30] * 4, [np.r_[[5] * 19, [1] * 11]] * 4), "agent4rec-1to1", "judgment")
    with pytest.raises(EpisodeError, match=r"at least 20 interactions \(it has no ratings\); the most .* has is 19$"):
        make_episodes(people([19] * 4), "agent4rec-1to1", "judgment")


@pytest.mark.parametrize(("eligible", "tested"), [(5, 3), (6, 3), (1999, 1000), (2300, 1000)])
def test_agent4rec_tests_a_thousand_users_or_half_of_fewer(eligible, tested):
    world = people([20] * eligible + [19] * 7)
    train, test = both(world, "agent4rec-1to3")
    assert len(users_of(test)) == tested
    assert len(users_of(train)) == eligible - tested
    assert not users_of(train) & users_of(test)
    for other in (both(world, "agent4rec-1to1")[1], both(world, "agent4rec-1to3", seed=5)[1]):
        assert users_of(other) == users_of(test), "the split does not depend on the seed or on the page"


@pytest.mark.parametrize(("protocol", "right"), AGENT4REC.items())
def test_agent4rec_asks_a_page_of_twenty_about_the_last_items(protocol, right):
    world = people([25] * 8, holdout=12)
    episodes = both(world, protocol)[1]
    wrong = episodes.protocol.per_positive
    for user in users_of(episodes):
        own = episodes.positions[:, 0] == user
        assert own.sum() == right * (1 + wrong) == (20 if wrong != 2 else 18)
        yes = own & (episodes.answers == 1)
        assert set(episodes.slates[yes, 0].tolist()) == set(world.interactions.of(user)[-right:].tolist())
        assert not set(episodes.slates[own & ~yes, 0].tolist()) & set(world.interactions.of(user).tolist())


# TALLRec


def test_tallrec_takes_the_answers_from_the_ratings():
    world = World.load("tiny:holdout=2")
    for episodes in both(world, "tallrec"):
        assert set(episodes.answers.tolist()) == {0, 1}
        assert len({tuple(p) for p in episodes.positions.tolist()}) == len(episodes)
        for (user, t), item, answer in zip(episodes.positions, episodes.slates[:, 0], episodes.answers, strict=True):
            row = world.interactions.offsets[user] + t
            assert item == world.interactions.items[row]
            assert answer == (world.interactions.ratings[row] > 3)
        assert (episodes.m, episodes.left_out) == (0, 0)


def test_tallrec_asks_a_tenth_of_the_users_and_only_those_with_eleven_interactions():
    world = people([*[10, 11, 12] * 40], [np.full(n, 5) for n in [10, 11, 12] * 40])
    train, test = both(world, "tallrec")
    assert users_of(train, test) == {user for user in range(120) if user % 3}
    assert 1 <= len(users_of(test)) <= 12
    assert train.histories.shape[1] == 10


def test_tallrec_leaves_out_what_was_not_rated_and_counts_it():
    ratings = [np.r_[np.full(11, 4.0), last] for last in (3, 3.5, np.nan, 5)] * 30
    episodes = both(people([12] * 120, ratings), "tallrec")
    assert users_of(*episodes) == {user for user in range(120) if user % 4 != 2}
    assert sum(part.left_out for part in episodes) == 30
    answers = {
        user: answer for part in episodes for (user, _), answer in zip(part.positions, part.answers, strict=True)
    }
    assert all(answer == (user % 4 != 0) for user, answer in answers.items())


def test_tallrec_needs_ratings():
    with pytest.raises(EpisodeError, match="'tallrec' asks about ratings, and world 'people' has none"):
        make_episodes(people([12] * 30), "tallrec", "judgment")


def test_tallrec_has_training_questions_too():
    train, test = both(World.load("tiny"), "tallrec")
    assert test.training().hash == train.hash
    with pytest.raises(OptionError, match="m must be an integer from 1"):
        make_episodes(World.load("tiny"), "tallrec", "judgment", m=0)


# MLLM-MSR


@pytest.mark.parametrize("world", ["tiny", "tiny:holdout=2"])
def test_mllm_msr_shows_the_most_popular_items_and_asks_about_a_popular_one(world):
    world = World.load(world)
    popularity = np.zeros(world.n_items + 1, int)
    for user in range(world.n_users):
        np.add.at(popularity, world.interactions.of(user)[: -world.holdout], 1)
    frequency = np.bincount(world.interactions.items, minlength=world.n_items + 1)
    asked = set()
    for episodes in both(world, "mllm-msr"):
        for (user, t), history in zip(episodes.positions.tolist(), episodes.histories.tolist(), strict=True):
            earlier = world.interactions.of(user)[:t].tolist()
            ranked = sorted(range(t), key=lambda place: (-popularity[earlier[place]], place))
            chosen = [earlier[place] for place in sorted(ranked[:5])]
            assert history == [0] * (5 - len(chosen)) + chosen
            asked.add((user, t))
    expected = set()
    for user in range(world.n_users):
        items = world.interactions.of(user).tolist()
        for t in range(len(items) - world.holdout, len(items)):
            ahead = sum(popularity[item] >= popularity[items[t]] for item in items[:t])
            if len(items) >= 7 and ahead <= 5 and frequency[items[t]] >= 5:
                expected.add((user, t))
    tested = users_of(both(world, "mllm-msr")[1])
    assert asked == {
        (user, t) for user, t in expected if user not in tested or t == world.interactions.lengths[user] - 1
    }


def test_mllm_msr_asks_about_no_rare_item():
    data = tiny_data()
    items = data.interactions.items.copy()
    items[np.flatnonzero(items == 7)[4:]] = 8  # four are left
    items[np.flatnonzero(items == 9)[5:]] = 8  # five are left
    columns = replace(data.interactions, items=items)
    world = make_world("rare", replace(data, interactions=columns), BuildConfig("transitions"))[0]
    frequency = np.bincount(items, minlength=161)
    assert (frequency[7], frequency[9]) == (4, 5)
    shown = np.concatenate([part.slates[:, 0] for seed in range(3) for part in both(world, "mllm-msr", seed=seed)])
    assert set(np.unique(shown).tolist()) == set(np.flatnonzero(frequency >= 5).tolist())


# VRAgent-R1's code


@pytest.mark.parametrize("world", ["tiny", "tiny:holdout=2"])
@pytest.mark.parametrize("m", [1, 2, 3, 4, 7])
def test_vragent_code_draws_from_places_eight_to_ten_and_then_from_all_items(world, m):
    world = World.load(world)
    seen = set()
    for seed in range(3):
        for split in ("train", "test"):
            episodes = make_episodes(world, "vragent-code", "selection", m, split, seed=seed)
            for (user, t), slate, answer in zip(episodes.positions, episodes.slates, episodes.answers, strict=True):
                row = user * world.holdout + world.holdout - (world.interactions.lengths[user] - t)
                taken = set(world.interactions.of(user).tolist())
                usable = [item for item in world.candidates[row].tolist() if item and item not in taken]
                wrong = np.delete(slate, answer).tolist()
                pool = set(usable[7:10])
                assert len(pool & set(wrong)) == min(m, 3)
                assert not set(wrong) & taken
                assert len(set(wrong)) == m
                seen |= {usable.index(item) for item in wrong if item in usable}
    assert {7, 8, 9} <= seen
    assert (seen == {7, 8, 9}) == (m <= 3)


def test_vragent_code_shows_eight_items_and_its_cold_users_have_exactly_five():
    world = people([3, 4, 5, 6, 7] * 20)
    episodes = make_episodes(world, "vragent-code", "judgment", cohort="cold")
    assert episodes.histories.shape[1] == get_protocol("vragent-code").history == 8
    everyone = make_episodes(world, "vragent-code", "judgment")
    five = {user for user in users_of(everyone) if world.interactions.lengths[user] == 5}
    assert users_of(episodes) == five
    assert users_of(make_episodes(world, "vragent-code", "judgment", cohort="warm")) == users_of(everyone) - five
