"""Worlds and episodes are published as folders with cards, and data that may not be passed on stay at home."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from vrsim.building import RANKINGS, BuildConfig, make_world
from vrsim.episode_files import read_episodes
from vrsim.episodes import make_episodes
from vrsim.errors import OptionError, WorldError
from vrsim.publishing import publish_world, rebuild_world
from vrsim.sources import SOURCES, terms_of
from vrsim.world import World
from vrsim.worlds import BUILT_IN

FREE = "cc0-1.0"


@pytest.fixture
def recipe(tmp_path) -> Path:
    """The tiny world without its data."""
    publish_world(World.load("tiny"), tmp_path / "recipe", FREE, data=False)
    return tmp_path / "recipe"


def words(folder: Path) -> str:
    return " ".join((folder / "README.md").read_text(encoding="utf-8").split())


# A world of one's own


def test_a_published_world_is_the_world(tmp_path, town):
    world = World.load(town)
    publish_world(world, tmp_path / "out", FREE)
    there = World.load(tmp_path / "out")
    assert (there.hash, there.manifest) == (world.hash, world.manifest)
    assert {file.name for file in (tmp_path / "out").iterdir()} - {file.name for file in town.iterdir()} == {
        "README.md"
    }
    card = words(tmp_path / "out")
    for text in (f"license: {FREE}", world.hash, "700 users, 40 items, 3,500 interactions", "vrsim bench --world"):
        assert text in card


def test_a_world_that_was_never_stored_is_published(tmp_path):
    publish_world(World.load("tiny"), tmp_path / "out", FREE)
    assert World.load(tmp_path / "out").hash == World.load("tiny").hash


def test_nothing_is_replaced_and_nothing_half_written(tmp_path, town):
    (tmp_path / "out").mkdir()
    with pytest.raises(WorldError, match="exists already"):
        publish_world(World.load(town), tmp_path / "out", FREE)
    with pytest.raises(OptionError, match="expected the name of a licence"):
        publish_world(World.load(town), tmp_path / "other", "do what you want")
    assert not (tmp_path / "other").exists()


# Without the data


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name != "tiny"])
def test_data_that_may_not_be_passed_on_are_refused(tmp_path, crowd, name):
    world, _ = make_world(f"{name}:holdout=1", crowd(20), BuildConfig(recommender="transitions"))
    with pytest.raises(OptionError, match=r"not ours to publish: .* --without-data"):
        publish_world(world, tmp_path / "out", FREE)
    assert not (tmp_path / "out").exists()
    assert terms_of(name)
    assert terms_of("tiny") == terms_of("my-world") == ""
    assert all(source.terms for source in SOURCES.values())


def test_a_recipe_and_the_data_make_the_same_world(tmp_path, recipe):
    world = World.load("tiny")
    built = rebuild_world(recipe, tmp_path / "out")
    assert (built.hash, built.name, built.manifest["config"]) == (world.hash, world.name, world.manifest["config"])
    for name in RANKINGS:
        np.testing.assert_array_equal(getattr(built, name), getattr(world, name))
    asked = [make_episodes(w, "rank-matched", "selection").hash for w in (built, world)]
    assert asked[0] == asked[1]


def test_a_recipe_does_not_tell_what_anybody_took(recipe):
    world = World.load("tiny")
    first, blocks = np.load(recipe / "first_ranks.npy"), np.load(recipe / "blocks.npy")
    assert (first % 20 == 1).all()
    assert (blocks == world.targets[:, None]).any(axis=1).all()  # it is among them
    assert len({tuple(np.flatnonzero(row)) for row in blocks == world.targets[:, None]}) > 10  # at no certain place
    assert not {"items.npy", "catalog.parquet", "users.parquet", "target_ranks.npy"} & {
        file.name for file in recipe.iterdir()
    }
    assert "vrsim world rebuild" in words(recipe)


def test_a_recipe_of_other_data_is_refused(tmp_path, recipe):
    candidates = np.load(recipe / "candidates.npy")
    np.save(recipe / "candidates.npy", candidates[:, ::-1])
    with pytest.raises(WorldError, match=r"other data than the copy of tiny here: expected hash c6.*, found"):
        rebuild_world(recipe, tmp_path / "out")
    np.save(recipe / "blocks.npy", candidates[:50, :20])  # of fewer users
    with pytest.raises(WorldError, match="other data than the copy of tiny here"):
        rebuild_world(recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["recipe.json", "blocks.npy"])
def test_a_damaged_recipe_is_refused(tmp_path, recipe, damage):
    (recipe / damage).write_bytes((recipe / damage).read_bytes()[:40])
    with pytest.raises(WorldError, match=r"no recipe of a world, or damaged"):
        rebuild_world(recipe, tmp_path / "out")
    told = shutil.copytree(recipe, tmp_path / "copy") / "recipe.json"
    told.write_text(json.dumps({"format": 2}))
    with pytest.raises(WorldError, match="format 2, this version of vrsim reads 1"):
        rebuild_world(tmp_path / "copy", tmp_path / "out")


@pytest.mark.ml100k
def test_weights_travel_with_a_recipe(tmp_path, monkeypatch):
    pytest.importorskip("recbole", reason="RecBole, which holds MovieLens-100K, is not installed")
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path / "home"))
    world = World.load("ml-100k:recommender=Pop")
    publish_world(world, tmp_path / "recipe", FREE, data=False)
    built = rebuild_world(tmp_path / "recipe", tmp_path / "out")
    users, histories = np.arange(3), np.zeros((3, 5), np.int64)
    expected = world.recommender.score(users, histories)
    np.testing.assert_array_equal(built.recommender.score(users, histories), expected)
    weights = tmp_path / "recipe" / "recommender" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(WorldError, match=r"weights\.safetensors was changed"):
        rebuild_world(tmp_path / "recipe", tmp_path / "other")


def test_a_recipe_of_data_that_nobody_else_has_is_refused(tmp_path, town):
    with pytest.raises(OptionError, match="can only be published with its data"):
        publish_world(World.load(town), tmp_path / "out", FREE, data=False)


def test_the_commands_publish_and_rebuild(vrsim_command):
    code, out, _ = vrsim_command("world", "publish", "tiny", "there", "--license", FREE, "--without-data")
    assert (code, World.load("tiny").hash in out) == (0, True)
    code, out, _ = vrsim_command("world", "rebuild", "there", "here")
    assert (code, World.load("tiny").hash in out) == (0, True)
    assert World.load(Path("here").resolve()).hash == World.load("tiny").hash
    assert vrsim_command("world", "publish", "tiny", "elsewhere")[0] == 2  # under which terms?


# Episodes


def test_a_folder_of_episodes_is_read_by_datasets_and_by_vrsim(vrsim_command, monkeypatch, tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    code, out, _ = vrsim_command("episodes", "export", "folder", "--world", "tiny", "--protocol", "uniform", "--m", 4)
    assert code == 0
    world, expected = World.load("tiny"), {}
    for task in ("judgment", "selection"):
        found = datasets.load_dataset("folder", task, cache_dir=str(tmp_path / "cache"))
        for split in ("train", "test"):
            expected[task, split] = made = make_episodes(world, "uniform", task, 4, split)
            assert found[split].num_rows == len(made)
            assert read_episodes(Path(f"folder/{task}/{split}.parquet")).hash == made.hash
            assert made.hash in out
            assert made.hash in words(Path("folder"))
    row, made = found["test"][7], expected["selection", "test"]
    assert row["slate_titles"] == [world.catalog.label(item) for item in made.slates[7]]
    assert row["history_titles"] == [world.catalog.label(item) for item in made.histories[7] if item]
    assert row["slate"][row["answer"]] == world.catalog.ids[world.interactions.of(made.positions[7, 0])[row["t"]]]
    assert world.hash in words(Path("folder"))
    code, _, err = vrsim_command("episodes", "export", "folder", "--world", "tiny")
    assert (code, "folder exists already" in err) == (1, True)


def test_a_folder_holds_the_task_and_the_split_that_were_asked_for(vrsim_command):
    options = ("--world", "tiny", "--protocol", "uniform", "--task", "selection", "--split", "test")
    assert vrsim_command("episodes", "export", "folder", *options)[0] == 0
    assert [str(file) for file in sorted(Path("folder").rglob("*.parquet"))] == ["folder/selection/test.parquet"]
    assert vrsim_command("bench", "--world", "tiny", "--agent", "uniform", "--out", "run", "--episodes",
                         "folder/selection/test.parquet")[0] == 0  # fmt: skip


@pytest.mark.ml100k
def test_the_card_of_episodes_says_that_they_may_not_be_passed_on(vrsim_command):
    pytest.importorskip("recbole", reason="RecBole, which holds MovieLens-100K, is not installed")
    assert vrsim_command("episodes", "export", "folder", "--world", "ml-100k:recommender=transitions")[0] == 0
    assert "**No.**" in words(Path("folder"))
    assert "GroupLens forbids" in words(Path("folder"))
