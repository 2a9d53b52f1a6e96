"""Episodes come back from a file as they were written, on every machine, or are refused."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vrsim.building import BuildConfig, make_world
from vrsim.catalog import Catalog
from vrsim.episode_files import read_episodes, save_episodes
from vrsim.episodes import Episodes, make_episodes
from vrsim.errors import OptionError
from vrsim.protocols import list_protocols
from vrsim.world import World

GOLDEN = Path(__file__).parent / "episodes.jsonl"
GOLDEN_HASH = "5203513768f9785050b113034260e6d3f53fc6fa79eab4f2d923016e51f5547f"
KINDS = ("jsonl", "parquet")
ASKED = [(protocol.name, task) for protocol in list_protocols() for task in protocol.tasks]

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def fans(data):
    """The tiny world without ratings: everything taken counts as liked, which Agent4Rec's protocols need."""
    liked = replace(data, interactions=replace(data.interactions, ratings=None))
    return make_world("fans", liked, BuildConfig("transitions", holdout=3))[0]


@pytest.fixture
def stored(tmp_path, kind):
    """A file of 100 selections to damage, and its hash."""
    episodes = make_episodes(World.load("tiny"), "uniform", "selection")
    file = tmp_path / f"mine.{kind}"
    save_episodes(episodes, file)
    return file, episodes.hash


def same(one: Episodes, other: Episodes) -> bool:
    columns = ("positions", "slates", "answers", "histories")
    rest = ("protocol", "task", "m", "split", "cohort", "seed", "left_out", "hash")
    for name in columns:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype == np.int64
    return [getattr(one, name) for name in rest] == [getattr(other, name) for name in rest]


def parts(file: Path) -> tuple[dict, list[dict]]:
    """What a file says about itself, and its rows, read without vrsim."""
    if file.suffix == ".parquet":
        table = pq.read_table(file)
        return json.loads(table.schema.metadata[b"vrsim"]), table.to_pylist()
    head, *rows = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]]
    return head["vrsim"], rows


# Round trips

COPY = """
import sys
from vrsim.episode_files import read_episodes, save_episodes

episodes = read_episodes(sys.argv[1])
save_episodes(episodes, sys.argv[2])
print(episodes.hash)
"""


@every_kind
@pytest.mark.parametrize(("protocol", "task"), ASKED)
def test_episodes_come_back_as_they_were(tmp_path, fans, protocol, task, kind):
    world = fans if protocol.startswith("agent4rec") else World.load("tiny")
    episodes = make_episodes(world, protocol, task)
    save_episodes(episodes, tmp_path / f"mine.{kind}")
    assert same(read_episodes(tmp_path / f"mine.{kind}", world), episodes)


@every_kind
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_other_arguments_come_back_too(tmp_path, kind, split):
    world = World.load("tiny:holdout=2")
    for task in ("judgment", "selection"):
        episodes = make_episodes(world, "rank-matched", task, 5, split, "warm", 2**40)
        save_episodes(episodes, tmp_path / f"{task}.{kind}")
        assert same(read_episodes(tmp_path / f"{task}.{kind}"), episodes)
        assert episodes.left_out > 0


@every_kind
def test_a_file_is_read_without_vrsim(stored):
    file, _ = stored
    world = World.load("tiny")
    head, rows = parts(file)
    assert (head["world"], head["task"], head["episodes"]) == ("tiny", "selection", len(rows))
    for row in rows:
        taken = [world.catalog.ids[item] for item in world.interactions.of(world.users.to_pylist().index(row["user"]))]
        assert row["history"] == taken[: row["t"]][-20:]
        assert row["slate"][row["answer"]] == taken[row["t"]]
        assert len(set(row["slate"])) == 4


@every_kind
def test_another_process_reads_and_writes_the_same(stored, tmp_path):
    file, expected = stored
    command = [sys.executable, "-c", COPY, file, tmp_path / f"again{file.suffix}"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONHASHSEED": "7"})
    assert (done.stdout.strip(), done.stderr) == (expected, "")
    assert (tmp_path / f"again{file.suffix}").read_bytes() == file.read_bytes()


def test_a_file_of_an_earlier_time_is_read_and_would_be_written_again(tmp_path):
    """``save_episodes(make_episodes(World.load("tiny"), "uniform", "selection", 3, cohort="cold"), GOLDEN)``."""
    episodes = read_episodes(GOLDEN)
    assert episodes.hash == parts(GOLDEN)[0]["hash"] == GOLDEN_HASH
    save_episodes(episodes, tmp_path / "again.jsonl")
    rows = [file.read_text(encoding="utf-8").splitlines()[1:] for file in (GOLDEN, tmp_path / "again.jsonl")]
    assert rows[0] == rows[1]
    save_episodes(episodes, tmp_path / "again.parquet")
    assert same(read_episodes(tmp_path / "again.parquet"), episodes)


@every_kind
def test_ids_may_be_any_text(tmp_path, crowd, kind):
    names = [
        "映画", "é", "e\u0301", 'quo"ted\\', "two words", "\u2028", "\x85", "line\nbreak\r", "🎬", "0", "-1", "ß/..",
    ]  # fmt: skip
    made = crowd(24)
    ids = [f"{names[i % len(names)]}{i // len(names) or ''}" for i in range(40)]
    table = made.catalog.table.set_column(0, "item_id", pa.array(ids, pa.string()))
    own = replace(made, catalog=Catalog(table), users=pa.array(ids[:24], pa.string()))
    world = make_world("own", own, BuildConfig("transitions"))[0]
    episodes = make_episodes(world, "uniform", "judgment", seed=3)
    save_episodes(episodes, tmp_path / f"mine.{kind}")
    assert same(read_episodes(tmp_path / f"mine.{kind}", world), episodes)
    _, rows = parts(tmp_path / f"mine.{kind}")
    assert [row["slate"] for row in rows] == [[world.catalog.ids[item]] for item in episodes.slates[:, 0]]
    assert "映画".encode() in (tmp_path / f"mine.{kind}").read_bytes()  # a person can read it


# Writing


def test_a_file_ends_in_jsonl_or_parquet(tmp_path):
    episodes = make_episodes(World.load("tiny"), "uniform", "selection")
    for name in ("mine.json", "mine.csv", "mine", "jsonl", ".parquet"):
        for act in (lambda file: save_episodes(episodes, file), read_episodes):
            with pytest.raises(OptionError, match=r"ends in \.jsonl or \.parquet, found '" + name):
                act(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@every_kind
def test_a_file_that_is_there_is_replaced_and_its_folder_is_made(tmp_path, kind):
    file = tmp_path / "new" / "folder" / f"mine.{kind}"
    for seed in (0, 1):
        episodes = make_episodes(World.load("tiny"), "uniform", "selection", seed=seed)
        save_episodes(episodes, str(file))
        assert read_episodes(str(file)).hash == episodes.hash
    assert list(file.parent.iterdir()) == [file]


@every_kind
def test_what_cannot_be_written_is_an_error_and_leaves_what_was_there(stored, monkeypatch):
    file, _ = stored
    before = file.read_bytes()
    episodes = make_episodes(World.load("tiny"), "uniform", "selection", seed=1)
    for folder in (file, file / "deep"):  # a file, where a folder should be
        with pytest.raises(OptionError, match=f"{file.name}.*cannot be written"):
            save_episodes(episodes, folder / f"a{file.suffix}")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OptionError, match=rf"{file.name} cannot be written: .*No space left"):
        save_episodes(episodes, file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


KILLED = """
import os, signal, sys
from pathlib import Path
import vrsim.episode_files as files

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

def half_a_text(self, text, **options):
    self.write_bytes(text.encode()[: len(text) // 2])
    die()

def half_a_table(table, file):
    Path(file).write_bytes(b"PAR1")
    die()

_, source, target, moment = sys.argv
episodes = files.read_episodes(source)
if moment == "while":
    Path.write_text, files.pq.write_table = half_a_text, half_a_table
else:
    Path.replace = die
files.save_episodes(episodes, target)
"""


@every_kind
@pytest.mark.parametrize(("moment", "before"), [("while", None), ("after", b"what was there")])
def test_a_kill_leaves_no_half_file(stored, tmp_path, moment, before):
    file, _ = stored
    target = tmp_path / f"other{file.suffix}"
    if before:
        target.write_bytes(before)
    done = subprocess.run([sys.executable, "-c", KILLED, file, target, moment])
    assert done.returncode == -signal.SIGKILL
    assert (target.read_bytes() if target.exists() else None) == before
    assert len(list(tmp_path.iterdir())) == 2 + bool(before)  # the part that was written does not get in the way
    save_episodes(read_episodes(file), target)
    assert {path.name for path in tmp_path.iterdir()} == {file.name, target.name}
    assert target.read_bytes() == file.read_bytes()
