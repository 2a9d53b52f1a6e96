"""World folders: checked when read, and never replaced unless asked."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from vrsim.building import BuildConfig, build
from vrsim.errors import WorldError
from vrsim.interactions import pair_keys
from vrsim.tiny import tiny_data
from vrsim.world import World
from vrsim.world_files import KNOWN

CONFIG = BuildConfig(recommender="transitions")


class Backwards:
    """A recommender that likes the last item of the catalog best."""

    def score(self, users, histories):
        return np.tile(np.arange(161.0), (len(users), 1))


@pytest.fixture(scope="module")
def data():
    """The tiny data with comments and rows without an order, so that a world has every kind of file."""
    tiny = tiny_data()
    columns = tiny.interactions
    comments = World.load("tiny").users.take(np.zeros(len(columns), int))
    return replace(tiny, interactions=replace(columns, comments=comments, unordered=pair_keys(np.arange(3), 1)))


@pytest.fixture(scope="module")
def original(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("worlds") / "mine"
    build(folder, data, CONFIG)
    return folder


@pytest.fixture
def stored(tmp_path, original):
    """A finished world of one's own to damage."""
    return shutil.copytree(original, tmp_path / "mine")


def contents(folder):
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def folders(parent):
    """Names of all folders in ``parent``, hidden ones too; what locks leave behind is no folder."""
    return sorted(path.name for path in parent.iterdir() if path.is_dir())


def assert_refused(folder, *words):
    """Loading raises one WorldError that names the folder, contains the words and says what to do."""
    with pytest.raises(WorldError) as caught:
        World.load(folder)
    message = str(caught.value)
    for word in (str(folder), *words, "vrsim world build"):
        assert word in message


# Damage


EVERY_FILE = [
    "block_scores.npy",
    "blocks.npy",
    "candidates.npy",
    "catalog.parquet",
    "comments.parquet",
    "items.npy",
    "offsets.npy",
    "ratings.npy",
    "target_ranks.npy",
    "times.npy",
    "unordered.npy",
    "users.parquet",
]


def test_every_file_of_a_world_is_tested_here(stored):
    assert sorted(path.name for path in stored.iterdir()) == sorted([*EVERY_FILE, "manifest.json"])
    assert set(EVERY_FILE) == {name for name in KNOWN if "/" not in name}


@pytest.mark.parametrize("name", EVERY_FILE)
def test_a_changed_file_is_refused(stored, name):
    content = bytearray((stored / name).read_bytes())
    content[len(content) // 2] ^= 1
    (stored / name).write_bytes(content)
    assert_refused(stored, name, "was changed")


@pytest.mark.parametrize("name", EVERY_FILE)
def test_a_missing_file_is_refused(stored, name):
    (stored / name).unlink()
    assert_refused(stored, name, "is missing")


@pytest.mark.parametrize("left", [0, 40, -1])
def test_a_truncated_file_is_refused(stored, left):
    content = (stored / "items.npy").read_bytes()
    (stored / "items.npy").write_bytes(content[:left])
    assert_refused(stored, "items.npy", "was changed")


@pytest.mark.parametrize("number", [0, 1, 999])
def test_another_format_number_is_refused(stored, number):
    manifest = json.loads((stored / "manifest.json").read_text(encoding="utf-8"))
    (stored / "manifest.json").write_text(json.dumps(manifest | {"format": number}), encoding="utf-8")
    assert_refused(stored, f"format {number}", "reads 2")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b"null", b"3", b"{}", b'{"format": 1}', b'{"files": {}}'],
)
def test_a_manifest_that_is_none_is_refused(stored, content):
    (stored / "manifest.json").write_bytes(content)
    assert_refused(stored, "manifest.json is damaged")


def test_a_truncated_manifest_is_refused(stored):
    content = (stored / "manifest.json").read_bytes()
    (stored / "manifest.json").write_bytes(content[: len(content) // 2])
    assert_refused(stored, "manifest.json is damaged")


def without(manifest, key):
    return {name: value for name, value in manifest.items() if name != key}


@pytest.mark.parametrize(
    "damage",
    [
        lambda manifest: manifest | {"files": list(manifest["files"])},
        lambda manifest: manifest | {"files": dict.fromkeys(manifest["files"], 3)},
        lambda manifest: manifest | {"files": without(manifest["files"], "items.npy")},
        lambda manifest: manifest | {"files": without(manifest["files"], "times.npy")},
        lambda manifest: manifest | {"files": without(manifest["files"], "unordered.npy")},
        lambda manifest: manifest | {"config": manifest["config"] | {"holdout": 2}},
        lambda manifest: manifest | {"hash": "0" * 64},
        lambda manifest: without(manifest, "name"),
        lambda manifest: without(manifest, "config"),
        lambda manifest: without(manifest, "hash"),
    ],
    ids=[
        "files-as-list",
        "files-without-checksums",
        "items-not-listed",
        "times-not-listed",
        "unordered-not-listed",
        "other-holdout",
        "other-hash",
        "no-name",
        "no-config",
        "no-hash",
    ],
)
def test_a_manifest_that_was_edited_is_refused(stored, damage):
    manifest = json.loads((stored / "manifest.json").read_text(encoding="utf-8"))
    (stored / "manifest.json").write_text(json.dumps(damage(manifest)), encoding="utf-8")
    assert_refused(stored, "manifest.json")


def test_a_folder_without_a_manifest_is_refused(stored):
    (stored / "manifest.json").unlink()
    assert_refused(stored, "not a finished world", "no manifest.json")


def test_an_empty_folder_is_refused(tmp_path):
    assert_refused(tmp_path, "not a finished world")


def test_a_folder_may_be_moved_and_hold_other_files(stored, tmp_path):
    (stored / "notes.txt").write_text("mine")
    stored.rename(tmp_path / "elsewhere")
    assert World.load(tmp_path / "elsewhere").name == "mine"


# A folder that exists


def test_a_folder_that_exists_is_not_replaced_without_force(stored, data):
    before = contents(stored)
    with pytest.raises(WorldError, match=r"exists already.*another folder.*--force"):
        build(stored, data, CONFIG, recommender=Backwards())
    assert contents(stored) == before


def test_a_folder_that_exists_is_replaced_with_force(stored, data):
    before = World.load(stored).hash
    (stored / "items.npy").write_bytes(b"damaged")
    world = build(stored, data, CONFIG, recommender=Backwards(), force=True)
    assert world.hash != before
    assert World.load(stored).hash == world.hash
    assert folders(stored.parent) == ["mine"]


def test_force_builds_a_folder_that_does_not_exist_too(tmp_path, data):
    assert build(tmp_path / "mine", data, CONFIG, force=True).path == tmp_path / "mine"


def test_a_failed_replacement_keeps_the_old_world(stored, data, failing):
    before = contents(stored)
    with pytest.raises(ArithmeticError, match="in the middle"):
        build(stored, data, CONFIG, recommender=failing(ArithmeticError("in the middle")), force=True)
    assert contents(stored) == before
    assert folders(stored.parent) == ["mine"]


def test_a_world_that_exists_can_be_taken_as_it_is(stored, data):
    before = World.load(stored).hash
    assert build(stored, data, CONFIG, recommender=Backwards(), exist_ok=True).hash == before


def test_a_damaged_world_is_not_taken_as_it_is(stored, data):
    (stored / "items.npy").unlink()
    with pytest.raises(WorldError, match="is missing"):
        build(stored, data, CONFIG, exist_ok=True)
