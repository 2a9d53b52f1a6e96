"""Worlds that are stored and loaded, pickled and handed round come back as they were, and nobody can change them."""

import itertools
import mmap
import pickle

import numpy as np
import pytest

from vrsim.building import RANKINGS, BuildConfig, build, make_world
from vrsim.data import read_data
from vrsim.tiny import tiny_data
from vrsim.world import World

CONFIG = BuildConfig(recommender="transitions")

COLUMNS = ("offsets", "items", "times", "ratings", "unordered")

every_array = pytest.mark.parametrize("name", [*COLUMNS, *RANKINGS])


@pytest.fixture(scope="module")
def data():
    return tiny_data()


@pytest.fixture
def own_data(tmp_path):
    """Five users and six items, with ratings, comments, rows of unknown time and everything the catalog can hold."""
    log, items = tmp_path / "log.csv", tmp_path / "items.csv"
    rows = [
        f"user {u},item {(u + n) % 6},{n + 1},{100 * u + n},{n + 0.5},{'' if n == 2 else f'words {u} {n}'}\n"
        for u, n in itertools.product(range(5), range(4))
    ]
    rows += [f"user {u},item {(u + 4) % 6},,,,\n" for u in range(3)]
    log.write_text("user,item,position,time,rating,comment\n" + "".join(rows))
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
    for name in COLUMNS:
        assert same(getattr(made.interactions, name), getattr(loaded.interactions, name)), name
    for name in RANKINGS:
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
    assert world.interactions.unordered.tolist() == [u << 32 | (u + 4) % 6 + 1 for u in range(3)]
    assert world.interactions.comments[-4:].to_pylist() == ["words 4 0", "words 4 1", "", "words 4 3"]
    assert world.manifest["counts"] == {"users": 5, "items": 6, "interactions": 20}
    assert world.manifest["skipped"] == {
        "repeated": 0, "short_users": 0, "unordered": 3, "unused_items": 0, "untitled_items": 1
    }  # fmt: skip


@every_array
def test_the_arrays_of_a_stored_world_stay_on_disk_and_cannot_be_changed(tmp_path, own_data, name):
    world = build(tmp_path / "mine", own_data, CONFIG)
    array = getattr(world if name in RANKINGS else world.interactions, name)
    base = array
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap | mmap.mmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


@every_array
def test_the_arrays_of_a_world_in_memory_cannot_be_changed_and_those_it_was_made_of_can(own_data, name):
    world = make_world("mine", own_data, CONFIG)[0]
    array = getattr(world if name in RANKINGS else world.interactions, name)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    if name not in RANKINGS:
        assert getattr(own_data.interactions, name).flags.writeable


@pytest.mark.parametrize("source", ["tiny", "own"])
def test_a_pickled_world_leaves_out_what_is_computed_on_first_use(tmp_path, data, own_data, source):
    world = build(tmp_path / "mine", {"tiny": data, "own": own_data}[source], CONFIG)
    users, t = world.held_out
    histories = world.interactions.histories(users, t, 50)
    scores, popularity = world.recommender.score(users, histories), world.popularity
    stored = pickle.dumps(world)
    assert b"ItemTransitions" not in stored
    again = pickle.loads(stored)
    assert not {"recommender", "popularity", "held_out"} & again.__dict__.keys()
    assert (again.name, again.hash, again.path) == (world.name, world.hash, world.path)
    np.testing.assert_array_equal(again.recommender.score(users, histories), scores)
    np.testing.assert_array_equal(again.popularity, popularity)
    for name in RANKINGS:
        assert same(getattr(again, name), getattr(world, name))
    assert again.catalog.table.equals(world.catalog.table)
