"""Worlds by name: which options there are, where built ones are kept, and what a world says of its users."""

import pytest
from platformdirs import user_cache_path

from vrsim.building import BuildConfig, build
from vrsim.errors import EpisodeError, OptionError, UnknownNameError, WorldError
from vrsim.world import World
from vrsim.worlds import BUILT_IN, home, listing

CONFIG = BuildConfig(recommender="transitions")
pytestmark = pytest.mark.usefixtures("no_recbole")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tinny", rf"unknown world 'tinny'\. Did you mean 'tiny'\? Known: {', '.join(sorted(BUILT_IN))}\.$"),
        ("ml100k", r"unknown world 'ml100k'\. Did you mean 'ml-100k'\?"),
        ("tiny:holdot=3", r"'holdot'\. Did you mean 'holdout'\?"),
        ("tiny:hidden_size=64", r"unknown option .* 'hidden_size'\. Known: candidates, holdout, recommender\.$"),
        (
            "tiny:seed=3",
            r"unknown option of a world with recommender transitions 'seed'\. Known: candidates, holdout, ",
        ),
        ("tiny:holdout", r"unknown option of a world with recommender transitions ''\."),
        ("ml-100k:recommender=transitions,seed=3", r"recommender transitions 'seed'\."),
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
        ("ml-100k:seed=soon", "seed must be an integer from 0, found 'soon'"),
        ("ml-100k:seed=-1", "seed must be an integer from 0, found -1"),
        ("tiny:holdout=1,candidates", "expected name:option=value"),
        ("tiny:holdout=1,holdout=2", "'holdout' stands twice"),
    ],
)
def test_a_bad_option_value_is_refused(name, message):
    with pytest.raises(OptionError, match=message):
        World.load(name)


def test_options_at_their_defaults_are_no_part_of_the_name():
    assert World.load("tiny:holdout=1,candidates=100").name == "tiny"
    assert World.load("tiny:holdout=3,candidates=9").name == "tiny:candidates=9,holdout=3"


@pytest.mark.parametrize("make", [lambda folder: folder, lambda folder: str(folder)])
def test_a_folder_that_does_not_exist_is_refused(tmp_path, make):
    with pytest.raises(WorldError, match=r"no world folder at .*nowhere"):
        World.load(make(tmp_path / "nowhere"))


def test_a_folder_named_like_a_built_in_world_does_not_hide_it(tmp_path, monkeypatch):
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    assert World.load("tiny").path is None


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


def test_a_name_never_leaves_the_cache_folder(tmp_path, monkeypatch, data):
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path))
    folder = "ml-100k%3Arecommender=..%2F..%2FEASE"
    build(tmp_path / "worlds" / folder, data, CONFIG)
    assert World.load("ml-100k:recommender=../../EASE").path == tmp_path / "worlds" / folder


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("ml-100k", ["ml-100k", "ml-100k:holdout=1", "ml-100k:recommender=SASRec,seed=2020"]),
        ("ml-100k%3Aholdout=2,recommender=EASE", ["ml-100k:recommender=EASE,holdout=2"]),
    ],
)
def test_a_built_in_world_is_built_once_and_then_read_from_vrsim_home(tmp_path, monkeypatch, data, folder, names):
    build(tmp_path / "worlds" / folder, data, CONFIG)  # stands in for a world that needs RecBole to be built
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path))
    for name in names:
        assert World.load(name).path == tmp_path / "worlds" / folder


def test_the_list_of_worlds_says_which_are_built(tmp_path, monkeypatch, data):
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path))
    unbuilt = dict.fromkeys(BUILT_IN, "built on first use") | {"tiny": "in memory"}
    assert {row["name"]: row["state"] for row in listing()} == unbuilt
    assert {row["name"]: row["about"] for row in listing()} == BUILT_IN
    build(tmp_path / "worlds" / "ml-100k", data, CONFIG)
    build(tmp_path / "worlds" / "ml-100k%3Aholdout=2", data, CONFIG)
    (tmp_path / "worlds" / ".ml-100k.building-x1").mkdir()
    states = {row["name"]: row["state"] for row in listing()}
    assert states == unbuilt | {"ml-100k": "built", "ml-100k:holdout=2": "built"}
    assert all("MovieLens" in row["about"] for row in listing() if row["name"].startswith("ml-100k"))


def test_a_folder_of_your_own_in_the_cache_does_not_break_the_list(tmp_path, monkeypatch, data):
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path))
    build(tmp_path / "worlds" / "my--films", data, CONFIG)
    assert {*BUILT_IN, "my--films"} == {row["name"] for row in listing()}


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
