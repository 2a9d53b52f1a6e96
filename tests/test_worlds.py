"""Worlds: the made-up one, your own from tables and recommenders, and how they are named and found."""

import itertools
import mmap
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from platformdirs import user_cache_path

from vrsim.building import BuildConfig, build, make_world
from vrsim.data import read_data
from vrsim.errors import DataError, EpisodeError, OptionError, UnknownNameError, WorldError
from vrsim.recommender import ItemTransitions
from vrsim.tiny import tiny_data
from vrsim.world import World
from vrsim.worlds import home, listing

# Golden: these move only together with a new version of everything that is scored on the tiny world.
TINY_HASH = "4c8c8f3456a80791e96b7312f2eb49900474022563ea2a916b37012820d6fb47"
TINY_HASH_3 = "365ea13e729242c4c17f759e0fe1410d9fbaf83949866600849f12f9445b175a"

CONFIG = BuildConfig(recommender="transitions")


@pytest.fixture(autouse=True)
def _no_recbole(monkeypatch):
    """Nothing in this module may need RecBole: importing it fails."""
    for name in ("recbole", "vrsim.recommender.recbole_models", "vrsim.recommender.recbole_setup"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture(scope="module")
def data():
    return tiny_data()


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
    """Candidates and target ranks of every held-out position, one at a time in plain Python."""
    candidates, ranks = [], []
    for user in range(world.n_users):
        items = world.interactions.of(user).tolist()
        for t in range(len(items) - world.holdout, len(items)):
            history = np.array([([0] * 50 + items[:t])[-50:]])
            scores = np.asarray(recommender.score(np.array([user]), history))[0]
            unseen = sorted(set(range(1, world.n_items + 1)) - set(items[:t]), key=lambda i: (-scores[i], i))
            candidates.append((unseen + [0] * depth)[:depth])
            ranks.append(unseen.index(items[t]) + 1)
    return candidates, ranks


# The tiny world


@pytest.mark.parametrize(("name", "expected"), [("tiny", TINY_HASH), ("tiny:holdout=3", TINY_HASH_3)])
def test_the_tiny_world_is_the_same_on_every_machine(name, expected):
    assert World.load(name).hash == expected


def test_the_tiny_world_made_twice_is_equal():
    worlds = [make_world("tiny", tiny_data(), CONFIG)[0] for _ in range(2)]
    assert worlds[0].hash == worlds[1].hash == TINY_HASH
    assert worlds[0].catalog.table.equals(worlds[1].catalog.table)
    for name in ("candidates", "target_ranks"):
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
def test_candidates_and_target_ranks_equal_a_plain_reference(name):
    world = World.load(name)
    candidates, ranks = plain_ranking(world, world.recommender, world.candidates.shape[1])
    assert world.candidates.tolist() == candidates
    assert world.target_ranks.tolist() == ranks


def test_the_arrays_of_a_world_have_the_documented_types():
    world = World.load("tiny")
    types = {name: str(getattr(world, name).dtype) for name in ("candidates", "target_ranks")}
    assert types == {"candidates": "int32", "target_ranks": "int32"}
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


def test_a_holdout_longer_than_a_history_is_refused():
    with pytest.raises(OptionError, match="holdout 5 needs users with 6 interactions, one has 5"):
        World.load("tiny:holdout=5")


# Your own recommender


@pytest.mark.parametrize("holdout", [1, 3])
def test_a_recommender_with_one_method_makes_a_world(tmp_path, data, holdout):
    world = build(tmp_path / "own", data, replace(CONFIG, holdout=holdout, candidates=20), recommender=Own())
    candidates, ranks = plain_ranking(world, Own(), 20)
    assert world.candidates.tolist() == candidates
    assert world.target_ranks.tolist() == ranks
    assert world.manifest["recommender"] == {"kind": "candidates", "class": "Own"}


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
    assert world.manifest["recommender"] == {"kind": "candidates", "already_seen": world.n_users}
    assert world.candidates.shape == (world.n_users, 10)
    assert world.target_ranks.tolist() == [4, 0] * (world.n_users // 2)
    for user, listed in enumerate(world.candidates):
        items = world.interactions.of(user)
        others = [i for i in range(160, 0, -1) if i not in items][:9]
        assert listed.tolist() == ([*others[:3], items[-1], *others[3:]] if user % 2 == 0 else [*others, 0])


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


def test_scores_in_double_precision_keep_their_order(data):
    seconds = 1.6e9 + np.arange(161.0)  # the newest item first: neighbours are equal as float32
    world = make_world("own", data, CONFIG, Answers(lambda rows: np.tile(seconds, (rows, 1))))[0]
    assert world.candidates[:, 0].tolist() == [
        max(set(range(1, 161)) - set(world.history(user).tolist())) for user in range(world.n_users)
    ]


# There and back


@pytest.fixture
def own_data(tmp_path):
    """Five users and six items, with ratings, comments and everything the catalog can hold."""
    log, items = tmp_path / "log.csv", tmp_path / "items.csv"
    rows = [
        f"user {u},item {(u + n) % 6},{100 * u + n},{n + 0.5},{'' if n == 2 else f'words {u} {n}'}\n"
        for u, n in itertools.product(range(5), range(4))
    ]
    log.write_text("user,item,time,rating,comment\n" + "".join(rows))
    films = [f"item {i},Film {i},{1990 + i},{'War|Western' if i % 2 else 'Drama'},About {i}\n" for i in range(5)]
    items.write_text("item,title,year,genres,caption\n" + "".join(films))
    return read_data(log, items)


def same(first, second):
    """Whether two arrays, or two optional arrays, are equal."""
    if first is None or second is None:
        return first is second
    return first.dtype == second.dtype and np.array_equal(first, second, equal_nan=first.dtype.kind == "f")


@pytest.mark.parametrize("source", ["tiny", "own"])
def test_a_stored_world_is_loaded_as_it_was(tmp_path, data, own_data, source):
    data = {"tiny": data, "own": own_data}[source]
    made = make_world("mine", data, CONFIG)[0]
    build(tmp_path / "mine", data, CONFIG)
    loaded = World.load(tmp_path / "mine")
    assert loaded.name == "mine"
    assert loaded.path == tmp_path / "mine"
    assert loaded.hash == made.hash
    for name in ("offsets", "items", "times", "ratings"):
        assert same(getattr(made.interactions, name), getattr(loaded.interactions, name)), name
    for name in ("candidates", "target_ranks"):
        assert same(getattr(made, name), getattr(loaded, name)), name
    for name in ("ids", "titles", "years", "genres", "captions"):
        assert getattr(made.catalog, name) == getattr(loaded.catalog, name), name
    assert made.users.to_pylist() == loaded.users.to_pylist()
    comments = [c and c.to_pylist() for c in (made.interactions.comments, loaded.interactions.comments)]
    assert comments[0] == comments[1]
    assert {key: loaded.manifest[key] for key in made.manifest} == made.manifest


def test_a_world_of_your_own_holds_what_its_tables_say(tmp_path, own_data):
    build(tmp_path / "mine", own_data, CONFIG)
    world = World.load(str(tmp_path / "mine"))
    assert world.users.to_pylist() == [f"user {u}" for u in range(5)]
    assert world.catalog.titles == ["", *(f"Film {i}" for i in range(5)), "Untitled item 5"]
    assert world.catalog.years == [0, 1990, 1991, 1992, 1993, 1994, 0]
    assert world.catalog.genres == [[], ["Drama"], ["War", "Western"], ["Drama"], ["War", "Western"], ["Drama"], []]
    assert world.catalog.captions == ["", *(f"About {i}" for i in range(5)), ""]
    assert world.interactions.of(4).tolist() == [5, 6, 1, 2]
    assert world.interactions.ratings[:4].tolist() == [0.5, 1.5, 2.5, 3.5]
    assert world.interactions.comments[-4:].to_pylist() == ["words 4 0", "words 4 1", "", "words 4 3"]
    assert world.manifest["counts"] == {"users": 5, "items": 6, "interactions": 20}
    assert world.manifest["skipped"]["untitled_items"] == 1


@pytest.mark.parametrize("name", ["offsets", "items", "times", "ratings", "candidates", "target_ranks"])
def test_the_arrays_of_a_stored_world_stay_on_disk_and_cannot_be_changed(tmp_path, own_data, name):
    world = build(tmp_path / "mine", own_data, CONFIG)
    array = getattr(world if name in ("candidates", "target_ranks") else world.interactions, name)
    base = array
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap | mmap.mmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


# Hash


def test_the_hash_moves_with_what_is_asked_and_shown(data):
    hashes = {
        make_world("x", data, CONFIG)[0].hash,
        make_world("x", data, replace(CONFIG, holdout=2))[0].hash,
        make_world("x", data, replace(CONFIG, candidates=99))[0].hash,
        make_world("x", data, CONFIG, Own())[0].hash,
        make_world("x", changed_holdout(data, 1), CONFIG)[0].hash,
    }
    assert len(hashes) == 5
    assert make_world("other name", data, CONFIG)[0].hash in hashes


# Names


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tinny", r"unknown world 'tinny'\. Did you mean 'tiny'\? Known: ml-100k, tiny"),
        ("ml100k", r"unknown world 'ml100k'\. Did you mean 'ml-100k'\?"),
        ("tiny:holdot=3", r"'holdot'\. Did you mean 'holdout'\?"),
        ("tiny:hidden_size=64", r"unknown option .* 'hidden_size'\. Known: candidates, holdout, recommender, seed"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(name, message):
    with pytest.raises(UnknownNameError, match=message):
        World.load(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tiny:holdout=0", "holdout must be an integer from 1, found 0"),
        ("tiny:holdout=two", "holdout must be an integer from 1, found 'two'"),
        ("tiny:holdout=1.5", r"holdout must be an integer from 1, found 1\.5"),
        ("tiny:holdout=True", "holdout must be an integer from 1, found True"),
        ("tiny:candidates=-1", "candidates must be an integer from 1, found -1"),
        ("tiny:seed=soon", "seed must be an integer.* found 'soon'"),
        ("tiny:holdout", "expected name:option=value"),
        ("tiny:holdout=1,holdout=2", "'holdout' stands twice"),
    ],
)
def test_a_bad_option_value_is_refused(name, message):
    with pytest.raises(OptionError, match=message):
        World.load(name)


def test_options_at_their_defaults_are_no_part_of_the_name():
    assert World.load("tiny:holdout=1,candidates=100").name == "tiny"
    assert World.load("tiny:holdout=3,seed=2020,candidates=9").name == "tiny:candidates=9,holdout=3"


@pytest.mark.parametrize("make", [lambda folder: folder, lambda folder: str(folder)])
def test_a_folder_that_does_not_exist_is_refused(tmp_path, make):
    with pytest.raises(WorldError, match=r"no world folder at .*nowhere"):
        World.load(make(tmp_path / "nowhere"))


def test_a_folder_named_like_a_built_in_world_does_not_hide_it(tmp_path, monkeypatch):
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    assert World.load("tiny").hash == TINY_HASH


# The cache folder


def test_worlds_are_kept_where_vrsim_home_says(tmp_path, monkeypatch):
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path / "there"))
    assert home() == tmp_path / "there"
    for value in ("", None):
        if value is None:
            monkeypatch.delenv("VRSIM_HOME")
        else:
            monkeypatch.setenv("VRSIM_HOME", value)
        assert home() == user_cache_path("vrsim")


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("ml-100k", ["ml-100k", "ml-100k:holdout=1", "ml-100k:recommender=SASRec,seed=2020"]),
        ("ml-100k--holdout=2,recommender=EASE", ["ml-100k:recommender=EASE,holdout=2"]),
    ],
)
def test_a_built_in_world_is_built_once_and_then_read_from_vrsim_home(tmp_path, monkeypatch, data, folder, names):
    build(tmp_path / "worlds" / folder, data, CONFIG)  # stands in for a world that needs RecBole to be built
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path))
    for name in names:
        assert World.load(name).path == tmp_path / "worlds" / folder


def test_the_list_of_worlds_says_which_are_built(tmp_path, monkeypatch, data):
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path))
    assert {row["name"]: row["state"] for row in listing()} == {"tiny": "in memory", "ml-100k": "built on first use"}
    build(tmp_path / "worlds" / "ml-100k", data, CONFIG)
    build(tmp_path / "worlds" / "ml-100k--holdout=2", data, CONFIG)
    (tmp_path / "worlds" / ".ml-100k.building-x1").mkdir()
    states = {row["name"]: row["state"] for row in listing()}
    assert states == {"tiny": "in memory", "ml-100k": "built", "ml-100k:holdout=2": "built"}
    assert all("MovieLens" in row["about"] for row in listing() if row["name"].startswith("ml-100k"))


def test_a_folder_of_your_own_in_the_cache_does_not_break_the_list(tmp_path, monkeypatch, data):
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path))
    build(tmp_path / "worlds" / "my--films", data, CONFIG)
    assert {"tiny", "ml-100k"} < {row["name"] for row in listing()}


# Histories


def test_a_history_holds_everything_before_the_position():
    world = World.load("tiny:holdout=3")
    items = world.interactions.of(7).tolist()
    assert world.history(7, 0).tolist() == []
    assert world.history(7, 2).tolist() == items[:2]
    assert world.history(7, len(items)).tolist() == items
    assert world.history(7).tolist() == items[:-1]


@pytest.mark.parametrize("user", [-1, 200, 10**6])
def test_the_history_of_a_user_who_does_not_exist_is_refused(user):
    with pytest.raises(EpisodeError, match=f"user {user} does not exist: world 'tiny' has users 0 to 199"):
        World.load("tiny").history(user)


@pytest.mark.parametrize("past_the_end", [True, False])
def test_a_position_that_does_not_exist_is_refused(past_the_end):
    world = World.load("tiny")
    length = int(world.interactions.lengths[0])
    t = length + 1 if past_the_end else -1
    with pytest.raises(EpisodeError, match=f"position {t} does not exist: user 0 has {length} interactions"):
        world.history(0, t)
