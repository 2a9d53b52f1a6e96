"""Worlds: the made-up one, and your own from tables and recommenders."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vrsim.building import RANKINGS, BuildConfig, build, make_world
from vrsim.errors import DataError, OptionError, WorldError
from vrsim.recommender import ItemTransitions
from vrsim.tiny import tiny_data
from vrsim.world import World

# Golden: these move only together with a new version of everything that is scored on the tiny world.
TINY_HASH = "c6adb936b6a806b2bae534ed7fc3fcd02049476b1c1bfc04137154a28f39ff56"
TINY_HASH_3 = "6b6770f37d489bcb2d91ab76a7e0ebf0a038a97409a8495aba2c1d9613389c91"

CONFIG = BuildConfig(recommender="transitions")
pytestmark = pytest.mark.usefixtures("no_recbole")


class Own:
    """A recommender with one method: its favourites depend on the user and on the last item seen."""

    def score(self, users, histories):
        items = np.arange(161)
        return (items * 37 + users[:, None] * 11 + histories[:, -1:] * 5) % 161 + 0.5


class Answers:
    """A recommender that returns whatever the test wants."""

    def __init__(self, make):
        self.make = make

    def score(self, users, histories):
        return self.make(len(users))


def plain_ranking(world, recommender, depth):
    """The rankings of every held-out position, one at a time in plain Python, as columns of the world."""
    rows = []
    for user in range(world.n_users):
        items = world.interactions.of(user).tolist()
        for t in range(len(items) - world.holdout, len(items)):
            history = np.array([([0] * 50 + items[:t])[-50:]])
            scores = np.asarray(recommender.score(np.array([user]), history))[0]
            unseen = sorted(set(range(1, world.n_items + 1)) - set(items[:t]), key=lambda i: (-scores[i], i))
            place = unseen.index(items[t])
            block = unseen[place // 20 * 20 :][:20]
            empty = [0] * (20 - len(block))
            rows.append(((unseen + [0] * depth)[:depth], place + 1, block + empty, [*scores[block].tolist(), *empty]))
    return dict(zip(RANKINGS, map(list, zip(*rows, strict=True)), strict=True))


def rankings_of(world):
    return {name: getattr(world, name).tolist() for name in RANKINGS}


# The tiny world


@pytest.mark.parametrize(("name", "expected"), [("tiny", TINY_HASH), ("tiny:holdout=3", TINY_HASH_3)])
def test_the_tiny_world_is_the_same_on_every_machine(name, expected):
    assert World.load(name).hash == expected


def test_the_tiny_world_made_twice_is_equal():
    worlds = [make_world("tiny", tiny_data(), CONFIG)[0] for _ in range(2)]
    assert worlds[0].hash == worlds[1].hash == TINY_HASH
    assert worlds[0].catalog.table.equals(worlds[1].catalog.table)
    for name in RANKINGS:
        np.testing.assert_array_equal(getattr(worlds[0], name), getattr(worlds[1], name))


@pytest.mark.parametrize("name", ["tiny", "tiny:holdout=3", "tiny:candidates=7", "tiny:candidates=500"])
def test_candidates_are_distinct_unseen_and_best_first(name):
    world = World.load(name)
    users, t = world.held_out
    scores = world.recommender.score(users, world.interactions.histories(users, t, 50))
    assert len(world.candidates) == len(users) == world.n_users * world.holdout
    assert world.candidates.shape[1] == min(world.manifest["config"]["candidates"], world.n_items)
    for position, listed in enumerate(world.candidates):
        history = world.history(users[position], t[position])
        own = listed[: np.count_nonzero(listed)]
        assert not listed[len(own) :].any()
        assert len(own) == min(len(listed), world.n_items - len(history))
        assert len(set(own.tolist())) == len(own)
        assert not set(own.tolist()) & set(history.tolist())
        assert (np.diff(scores[position, own]) <= 0).all()


@pytest.mark.parametrize("name", ["tiny", "tiny:holdout=3", "tiny:candidates=7"])
def test_the_rankings_equal_a_plain_reference(name):
    world = World.load(name)
    expected = plain_ranking(world, world.recommender, world.candidates.shape[1])
    np.testing.assert_allclose(world.block_scores, expected.pop("block_scores"), rtol=1e-6)
    assert {name: rankings_of(world)[name] for name in expected} == expected


def test_the_arrays_of_a_world_have_the_documented_types():
    world = World.load("tiny")
    types = {name: str(getattr(world, name).dtype) for name in RANKINGS}
    assert types == dict.fromkeys(RANKINGS[:3], "int32") | {"block_scores": "float32"}
    assert world.blocks.shape == world.block_scores.shape == (len(world.target_ranks), 20)
    assert world.interactions.offsets.dtype == np.int64
    assert world.interactions.items.dtype == np.int32
    assert world.popularity.dtype == np.int64


# Holdout


def test_held_out_positions_are_the_last_of_each_user_in_order():
    world = World.load("tiny:holdout=3")
    users, t = world.held_out
    lengths = world.interactions.lengths
    assert users.tolist() == [user for user in range(world.n_users) for _ in range(3)]
    assert t.tolist() == [n - back for n in lengths.tolist() for back in (3, 2, 1)]


def changed_holdout(data, holdout, seed=0):
    """The same data in which the last ``holdout`` items of every user are others that the user never had."""
    rng = np.random.default_rng(seed)
    items = data.interactions.items.copy()
    for user in range(data.interactions.n_users):
        end = data.interactions.offsets[user + 1]
        others = np.setdiff1d(np.arange(1, data.catalog.n_items + 1), data.interactions.of(user))
        items[end - holdout : end] = rng.choice(others, holdout, replace=False)
    return replace(data, interactions=replace(data.interactions, items=items))


def test_item_transitions_never_learn_from_held_out_items(data):
    changed = changed_holdout(data, 3)
    users, t = World.load("tiny:holdout=3").held_out
    histories = data.interactions.histories(users, t, 50)

    def scores(data, holdout):
        return ItemTransitions(data.interactions, data.catalog.n_items, holdout).score(users, histories)

    np.testing.assert_array_equal(scores(data, 3), scores(changed, 3))
    assert (scores(data, 2) != scores(changed, 2)).any()


def test_changed_held_out_items_leave_the_first_held_out_candidates_as_they_were(data):
    config = replace(CONFIG, holdout=3)
    before = make_world("before", data, config)[0]
    after = make_world("after", changed_holdout(data, 3), config)[0]
    np.testing.assert_array_equal(before.candidates[::3], after.candidates[::3])
    assert (before.target_ranks[::3] != after.target_ranks[::3]).any()
    np.testing.assert_array_equal(before.popularity, after.popularity)


@pytest.mark.parametrize("holdout", [4, 5])
def test_a_user_needs_two_interactions_more_than_are_held_out(holdout):
    assert World.load("tiny").interactions.lengths.min() == 5
    assert World.load("tiny:holdout=3").holdout == 3
    with pytest.raises(OptionError, match=f"holdout {holdout} needs users with {holdout + 2} interactions, one has 5"):
        World.load(f"tiny:holdout={holdout}")


# Your own recommender


@pytest.mark.parametrize("holdout", [1, 3])
def test_a_recommender_with_one_method_makes_a_world(tmp_path, data, holdout):
    world = build(tmp_path / "own", data, replace(CONFIG, holdout=holdout, candidates=20), recommender=Own())
    assert rankings_of(world) == plain_ranking(world, Own(), 20)
    assert world.manifest["recommender"] == {"kind": "candidates", "class": "Own"}
    assert world.manifest["config"]["recommender"] == "own"


def test_a_stored_world_of_your_own_recommender_scores_like_its_candidates(tmp_path, data):
    build(tmp_path / "own", data, CONFIG, recommender=Own())
    world = World.load(tmp_path / "own")
    users, t = world.held_out
    scores = world.recommender.score(users, world.interactions.histories(users, t, 50))
    best = np.argsort(-scores[:, 1:], axis=1, kind="stable")[:, :100] + 1
    np.testing.assert_array_equal(best, world.candidates)


def test_candidates_of_your_own_cannot_score_more_than_one_position_per_user(tmp_path, data):
    world = build(tmp_path / "own", data, replace(CONFIG, holdout=2), recommender=Own())
    with pytest.raises(WorldError, match="one held-out position per user only"):
        _ = world.recommender


@pytest.fixture
def ranked(tmp_path, data):
    """A parquet file that ranks, for every user, the last item first or not at all, then items 160, 159, ..."""
    rows = []
    for user in range(data.interactions.n_users):
        items = data.interactions.of(user)
        target = [items[-1]] if user % 2 == 0 else []
        others = [i for i in range(160, 0, -1) if i not in items][:9]
        listed = [*others[:3], *target, *others[3:], items[0]]  # items[0] was seen before: it is dropped
        rows += [(data.users[user].as_py(), f"f{item - 1}", rank) for rank, item in enumerate(listed, 1)]
    users, items, ranks = zip(*rows[::-1], strict=True)
    pq.write_table(pa.table({"user_id": users, "item_id": items, "rank": ranks}), tmp_path / "ranked.parquet")
    return tmp_path / "ranked.parquet"


def test_a_file_of_ranked_candidates_makes_a_world(tmp_path, data, ranked):
    world = build(tmp_path / "own", data, CONFIG, recommender=ranked)
    skipped = {"unknown": 0, "already_seen": world.n_users}
    assert world.manifest["recommender"] == {"kind": "candidates", "skipped": skipped}
    assert world.manifest["config"]["recommender"] == "own"
    assert world.candidates.shape == (world.n_users, 10)
    assert world.target_ranks.tolist() == [4, 0] * (world.n_users // 2)
    for user, listed in enumerate(world.candidates):
        items = world.interactions.of(user)
        others = [i for i in range(160, 0, -1) if i not in items][:9]
        assert listed.tolist() == ([*others[:3], items[-1], *others[3:]] if user % 2 == 0 else [*others, 0])
        assert world.blocks[user].tolist() == ([*listed.tolist(), *[0] * 10] if user % 2 == 0 else [0] * 20)
        assert world.block_scores[user].tolist() == ([*range(0, -10, -1), *[0] * 10] if user % 2 == 0 else [0] * 20)


def test_a_file_of_ranked_candidates_refuses_a_longer_holdout_and_leaves_nothing(tmp_path, data, ranked):
    with pytest.raises(DataError, match="holdout must be 1, not 2"):
        build(tmp_path / "own", data, replace(CONFIG, holdout=2), recommender=ranked)
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda rows: np.zeros((rows, 160)), r"score\(\) must return shape \(200, 161\), got \(200, 160\)"),
        (lambda rows: np.zeros((1, 161)), r"score\(\) must return shape \(200, 161\), got \(1, 161\)"),
        (lambda rows: None, r"score\(\) must return shape \(200, 161\), got \(\)"),
        (lambda rows: np.full((rows, 161), np.nan), r"score\(\) returned NaN"),
        (lambda rows: np.full((rows, 161), np.inf), r"score\(\) returned infinity"),
    ],
)
def test_scores_of_the_wrong_shape_or_without_a_value_are_refused(data, answer, message):
    with pytest.raises(ValueError, match=message):
        make_world("own", data, CONFIG, Answers(answer))


def test_column_zero_of_the_scores_is_not_used(data):
    items = np.r_[np.nan, np.arange(160.0)]
    world = make_world("own", data, CONFIG, Answers(lambda rows: np.tile(items, (rows, 1))))[0]
    assert world.candidates[:, 0].tolist() == [
        max(set(range(1, 161)) - set(world.history(user).tolist())) for user in range(world.n_users)
    ]


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.float16])
def test_equal_scores_and_negative_ones_are_ranked_as_numbers(data, kind):
    values = np.array([-7, -1.5, -0.0, 0.0, 2**-14, 3, 3, 60_000]).astype(kind)
    scores = np.random.default_rng(0).choice(values, (200, 161))

    class Given:
        def score(self, users, histories):
            return scores[users]

    world = make_world("own", data, CONFIG, Given())[0]
    assert rankings_of(world) == plain_ranking(world, Given(), 100)


def test_an_item_that_the_recommender_refuses_to_score_is_no_candidate(data):
    scores = np.where(np.arange(161) % 2, -np.inf, np.arange(161.0))
    world = make_world("own", data, CONFIG, Answers(lambda rows: np.tile(scores, (rows, 1))))[0]
    assert not (world.candidates % 2).any()
    refused = world.targets % 2 == 1
    assert refused.any()
    assert not world.blocks[refused].any()
    assert (world.blocks[~refused] == world.targets[~refused, None]).any(axis=1).all()
    assert world.target_ranks[refused].tolist() == [
        sum(item not in world.history(user) for item in range(2, 161, 2)) + 1 for user in np.flatnonzero(refused)
    ]


def test_scores_in_double_precision_keep_their_order(data):
    seconds = 1.6e9 + np.arange(161.0)  # the newest item first: neighbours are equal as float32
    world = make_world("own", data, CONFIG, Answers(lambda rows: np.tile(seconds, (rows, 1))))[0]
    assert world.candidates[:, 0].tolist() == [
        max(set(range(1, 161)) - set(world.history(user).tolist())) for user in range(world.n_users)
    ]


# Hash


def test_the_hash_moves_with_what_is_asked_and_shown(data):
    hashes = {
        make_world("x", data, CONFIG)[0].hash,
        make_world("x", data, replace(CONFIG, holdout=2))[0].hash,
        make_world("x", data, replace(CONFIG, candidates=99))[0].hash,
        make_world("x", data, CONFIG, Own())[0].hash,
        make_world("x", changed_holdout(data, 1), CONFIG)[0].hash,
        *(
            make_world("x", replace(data, interactions=replace(data.interactions, **change)), CONFIG)[0].hash
            for change in ({"ratings": None}, {"ratings": data.interactions.ratings + 1}, {"unordered": np.array([7])})
        ),
    }
    assert len(hashes) == 8
    assert make_world("other name", data, CONFIG)[0].hash in hashes
