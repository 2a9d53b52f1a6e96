"""A run can be killed at any moment, goes on where it stopped, and is never overwritten."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import vrsim
from vrsim import registry
from vrsim.agent import Agent, Decisions
from vrsim.bench import BenchConfig, Row, as_json, run_bench
from vrsim.building import BuildConfig, build
from vrsim.catalog import Catalog
from vrsim.data import Data
from vrsim.episodes import make_episodes
from vrsim.errors import ResultsError, UnknownNameError
from vrsim.interactions import Interactions
from vrsim.loop import BATCH, play
from vrsim.protocols import get_protocol
from vrsim.records import Cell, RunFolder
from vrsim.world import World

QUICK = BenchConfig(world="tiny", agents=("logging",), protocols=("uniform",), m=(3,), seeds=2)

SLOW_USER = '''
"""A user who is random, learns, writes down every question, and hangs when there were too many."""

import json
import os
import time

import numpy as np

from vrsim.agent import Agent, Decisions

asked = 0


class SlowUser(Agent):
    def __init__(self):
        self.share = 0.5

    def reset(self, seed):
        self.rng = np.random.default_rng(seed)

    def act(self, observations):
        with open(os.environ["ASKED"], "a") as log:
            for row in np.hstack([observations["position"], observations["slate"]]).tolist():
                log.write(json.dumps(row) + "\\n")
        global asked
        asked += len(observations["slate"])
        if asked > int(os.environ["HANG"]):
            time.sleep(100)
        size = len(observations["slate"])
        options = max(2, observations["slate"].shape[1])
        first = self.rng.random(size) < self.share
        action = np.where(first, 0, self.rng.integers(options, size=size))
        return Decisions(action, self.rng.random(size) < 0.9, [f"I take {a}" for a in action])

    def learn(self, decisions, rewards):
        self.share = float(np.clip(self.share + rewards.mean() / 4, 0.1, 0.9))
'''

RUN = """
import sys
from pathlib import Path

from vrsim.bench import BenchConfig, run_bench
from vrsim.registry import register_agent

register_agent("slow-user", "slow_user:SlowUser")
config = BenchConfig(sys.argv[1], ("slow-user", "uniform"), ("uniform",), m=(3,), seeds=1)
run_bench(config, Path(sys.argv[2]))
"""


class Logging(Agent):
    """Answer 0 and count the questions."""

    asked = 0

    def act(self, observations):
        Logging.asked += len(observations["slate"])
        return Decisions(np.zeros(len(observations["slate"]), np.int64))


class Breaking(Logging):
    """Give up on selections."""

    def act(self, observations):
        if observations["slate"].shape[1] > 1:
            raise RuntimeError("the model has gone away")
        return super().act(observations)


class Talkative(Agent):
    """Use every column of Decisions, with words that are hard to store."""

    def act(self, observations):
        size, width = observations["slate"].shape
        words = ["", "two\nlines", "\u2028 and \u0085", "\ud800 alone", '"quoted" \\', "日本語"]
        return Decisions(
            np.arange(size) % max(2, width),
            np.arange(size) % 3 > 0,
            [words[i % len(words)] for i in range(size)],
            np.full((size, width), 1 / 3),
        )


@pytest.fixture(autouse=True)
def agents(monkeypatch, tmp_path):
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(Logging, "asked", 0)
    for name in ("Logging", "Breaking", "Talkative"):
        registry.register_agent(name.lower(), f"{__name__}:{name}")


def crowd(users: int = 700, seed: int = 0) -> Data:
    """Made-up people with five interactions each: enough test users for several batches."""
    rng = np.random.default_rng(seed)
    items = np.concatenate([rng.permutation(40)[:5] + 1 for _ in range(users)]).astype(np.int32)
    columns = {"item_id": [f"i{i}" for i in range(40)], "title": [f"Film {i}" for i in range(40)], "year": [0] * 40}
    table = pa.table(columns | {"genres": [[]] * 40, "caption": [""] * 40}, schema=Catalog.SCHEMA)
    names = pa.array([f"u{i}" for i in range(users)], pa.string())
    return Data(Interactions(np.arange(users + 1) * 5, items), Catalog(table), names, {})


@pytest.fixture(scope="module")
def town(tmp_path_factory) -> Path:
    """The folder of a world with 350 test users: judgments come in three batches, selections in two."""
    folder = tmp_path_factory.mktemp("worlds") / "town"
    build(folder, crowd(), BuildConfig(recommender="transitions"))
    return folder


def rows_of(folder: Path) -> dict[str, list[dict]]:
    """Every record of a run by file, without the milliseconds."""
    found = {}
    for file in sorted((folder / "cells").iterdir()):
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        found[file.name] = [{key: value for key, value in row.items() if key != "ms"} for row in rows]
    return found


def without_speed(rows: list[Row]) -> list[dict]:
    """Results as plain data, without what differs from machine to machine."""
    return [row | {"score": row["score"] | {"per_second": None}} for row in as_json(rows)]


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# Killed and resumed


@pytest.fixture
def slow_user(tmp_path, town):
    """Start ``run_bench`` with the slow user in a process of its own."""
    (tmp_path / "slow_user.py").write_text(SLOW_USER, encoding="utf-8")
    started = []

    def start(out: Path, asked: Path, hang: int = 10**9) -> subprocess.Popen:
        path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
        env = os.environ | {"PYTHONPATH": path, "ASKED": str(asked), "HANG": str(hang)}
        started.append(subprocess.Popen([sys.executable, "-c", RUN, str(town), str(out)], env=env))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def kill_after(process: subprocess.Popen, asked: Path, questions: int) -> None:
    """SIGKILL as soon as more than that many questions were asked."""
    until = time.monotonic() + 30
    while not asked.exists() or len(asked.read_bytes().splitlines()) <= questions:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < until, "the run never came that far"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def questions_in(asked: Path) -> list[tuple[int, ...]]:
    return [tuple(json.loads(line)) for line in asked.read_text(encoding="utf-8").splitlines()]


def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_happened(tmp_path, slow_user):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    logs = [tmp_path / f"asked-{i}" for i in range(4)]
    reference = slow_user(whole, logs[0])

    first = slow_user(killed, logs[1], BATCH)
    kill_after(first, logs[1], BATCH)  # while the second batch of the judgments is asked
    [cell] = rows_of(killed)
    assert len(rows_of(killed)[cell]) == BATCH
    assert manifest_of(killed)["finished"] is False
    assert reference.wait(30) == 0
    lines = (whole / "cells" / cell).read_bytes().splitlines(keepends=True)
    with (killed / "cells" / cell).open("ab") as file:  # as if the kill had cut a batch while it was written
        file.write(b"".join(lines[BATCH : BATCH + 40]) + lines[BATCH + 40][:25])

    second = slow_user(killed, logs[2], 700 - BATCH)
    kill_after(second, logs[2], 700 - BATCH)  # in the first batch of the selections
    assert len(rows_of(killed)[cell]) == 700
    assert slow_user(killed, logs[3]).wait(30) == 0

    assert rows_of(killed) == rows_of(whole)
    assert manifest_of(killed)["finished"] is manifest_of(whole)["finished"] is True
    everything = questions_in(logs[0])
    assert len(everything) == len(set(everything)) == 1050
    torn = Counter(everything[BATCH : 2 * BATCH] + everything[700 : 700 + BATCH])  # asked when the kill came
    assert Counter(q for log in logs[1:] for q in questions_in(log)) == Counter(everything) + torn


# One process


def test_a_finished_run_is_read_and_not_asked_again(tmp_path):
    first = without_speed(run_bench(QUICK, tmp_path / "run"))
    asked, before = Logging.asked, snapshot(tmp_path / "run")
    assert asked == 2 * (200 + 100)
    assert without_speed(run_bench(QUICK, tmp_path / "run")) == first
    assert Logging.asked == asked
    assert snapshot(tmp_path / "run") == before


@pytest.mark.parametrize(
    "change",
    [{"seeds": 3}, {"m": (4,)}, {"protocols": ("vragent-paper",)}, {"cohort": "cold"}, {"agents": ("uniform",)},
     {"tasks": ("judgment",)}, {"world": "tiny:holdout=2"}],
    ids=str,
)  # fmt: skip
def test_a_run_of_other_settings_is_refused_and_left_alone(tmp_path, change):
    run_bench(QUICK, tmp_path / "run")
    before = snapshot(tmp_path / "run")
    with pytest.raises(ResultsError, match="already holds another run"):
        run_bench(replace(QUICK, **change), tmp_path / "run")
    assert snapshot(tmp_path / "run") == before


def test_a_folder_with_other_things_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work", encoding="utf-8")
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    before = snapshot(tmp_path)
    for name in ("thesis", "file"):
        with pytest.raises(ResultsError, match="--out"):
            run_bench(QUICK, tmp_path / name)
    with pytest.raises(ResultsError, match="cannot be made"):
        run_bench(QUICK, tmp_path / "file" / "run")
    assert snapshot(tmp_path) == before


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "run" / "deep").mkdir(parents=True)
    run_bench(QUICK, tmp_path / "run" / "deep")
    assert manifest_of(tmp_path / "run" / "deep")["finished"] is True


def test_a_damaged_manifest_is_refused(tmp_path):
    run_bench(QUICK, tmp_path / "run")
    (tmp_path / "run" / "manifest.json").write_text('{"config": {', encoding="utf-8")
    with pytest.raises(ResultsError, match=r"manifest.json is damaged"):
        run_bench(QUICK, tmp_path / "run")


def test_nothing_is_written_when_the_settings_cannot_be_played(tmp_path):
    for change in ({"agents": ("unifrom",)}, {"protocols": ("unifrom",)}, {"m": (500,)}, {"world": "tiyn"}):
        with pytest.raises((UnknownNameError, ValueError)):
            run_bench(replace(QUICK, **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_an_agent_broke_off_is_not_finished_and_goes_on(tmp_path, monkeypatch):
    config = replace(QUICK, agents=("breaking",))
    with pytest.raises(RuntimeError, match="gone away"):
        run_bench(config, tmp_path / "run")
    assert manifest_of(tmp_path / "run")["finished"] is False
    assert "ended" not in manifest_of(tmp_path / "run")
    asked = Logging.asked
    monkeypatch.setattr(Breaking, "act", Logging.act)
    run_bench(config, tmp_path / "run")
    assert manifest_of(tmp_path / "run")["finished"] is True
    assert Logging.asked == asked + 2 * 100


def test_another_world_at_the_same_place_is_refused(tmp_path):
    folder = tmp_path / "world"
    config = replace(QUICK, world=str(folder))
    build(folder, crowd(60), BuildConfig(recommender="transitions"))
    run_bench(config, tmp_path / "run")
    shutil.rmtree(folder)
    build(folder, crowd(60, seed=1), BuildConfig(recommender="transitions"))
    with pytest.raises(ResultsError, match=r"already holds another run .*world_hash"):
        run_bench(config, tmp_path / "run")


def test_the_manifest_says_what_was_run_on_what(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["vrsim", "bench", "--seeds", "2"])
    run_bench(QUICK, tmp_path / "run")
    manifest = manifest_of(tmp_path / "run")
    assert manifest["command"] == "vrsim bench --seeds 2"
    assert manifest["config"] == {
        "world": "tiny", "agents": ["logging"], "protocols": ["uniform"], "tasks": ["judgment", "selection"],
        "m": [3], "cohort": "all", "seeds": 2,
    }  # fmt: skip
    assert manifest["world_hash"] == World.load("tiny").hash
    assert manifest["protocol_hashes"] == {"uniform": get_protocol("uniform").hash}
    assert manifest["versions"]["vrsim"] == vrsim.__version__
    assert manifest["versions"]["numpy"] == np.__version__
    assert manifest["started"] <= manifest["ended"]
    assert {"commit", "dirty"} <= set(manifest)
    if manifest["commit"] is not None:
        assert len(manifest["commit"]) == 40
        assert type(manifest["dirty"]) is bool


def test_a_record_holds_the_question_the_answer_and_the_decision(tmp_path):
    run_bench(replace(QUICK, seeds=1), tmp_path / "run")
    judgment, selection = rows_of(tmp_path / "run")
    for file, cell in ((judgment, "uniform.judgment.m1.all.seed0"), (selection, "uniform.selection.m3.all.seed0")):
        assert file.startswith(cell)
        assert "logging" in file
    episodes = make_episodes(World.load("tiny"), "uniform", "selection", 3)
    rows = rows_of(tmp_path / "run")[selection]
    assert [row["episode"] for row in rows] == list(range(len(episodes)))
    for row, position, slate, answer in zip(rows, episodes.positions, episodes.slates, episodes.answers, strict=True):
        assert [row["user"], row["t"]] == position.tolist()
        assert row["slate"] == slate.tolist()
        assert row["answer"] == answer
        assert row["correct"] is bool(answer == 0)
        assert (row["action"], row["valid"], row["reward"]) == (0, True, 2.0 * row["correct"])


def test_rows_are_plain_data(tmp_path):
    rows = as_json(run_bench(replace(QUICK, agents=("constant:answer=no",)), tmp_path / "run"))
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert rows[0]["score"]["base_rate"] is None


def test_cells_of_different_agents_never_share_a_file():
    names = ("llm:model=a/b", "llm:model=a-b", "llm:model=a b", "llm-model=a-b", "llm:model=a_b")
    cells = [Cell(name, "uniform", "selection", 3, "all", 0) for name in names]
    assert len({cell.file for cell in cells}) == len(names)


# The lines of one cell


@pytest.fixture
def cell(tmp_path, town):
    """A run folder with one whole cell of two batches, its episodes and its file."""
    episodes = make_episodes(World.load(str(town)), "uniform", "selection", 3)
    run = RunFolder.open(tmp_path / "run", {}, {"world_hash": "none"})
    name = Cell("talkative", "uniform", "selection", 3, "all", 0)
    played = play(Talkative(), episodes, write=lambda part: run.append(name, part))
    return run, name, episodes, played, tmp_path / "run" / "cells" / name.file


def test_records_come_back_as_they_were_played(cell):
    run, name, episodes, played, _ = cell
    parts = run.recorded(name, episodes)
    assert [len(part.index) for part in parts] == [BATCH, len(episodes) - BATCH]
    for field in ("action", "valid", "probability"):
        found = np.concatenate([getattr(part.decisions, field) for part in parts])
        np.testing.assert_array_equal(found, getattr(played.decisions, field))
    assert [word for part in parts for word in part.decisions.text] == played.decisions.text
    for field in ("index", "correct", "reward"):
        found = np.concatenate([getattr(part, field) for part in parts])
        np.testing.assert_array_equal(found, getattr(played, field))


def test_the_time_of_a_fast_agent_comes_back_too(cell):
    run, name, episodes, played, _ = cell
    fast = replace(name, agent="fast")
    run.append(fast, replace(played, seconds=np.full(len(episodes), 1.44e-7)))
    seconds = sum(part.seconds.sum() for part in run.recorded(fast, episodes))
    assert seconds == pytest.approx(1.44e-7 * len(episodes), rel=0.01)


@pytest.mark.parametrize("missing", [1, 30, 5000])
def test_a_torn_last_batch_is_dropped_and_cut_off(cell, missing):
    run, name, episodes, _, file = cell
    whole = file.read_bytes()
    file.write_bytes(whole[:-missing])
    parts = run.recorded(name, episodes)
    assert [part.index.tolist() for part in parts] == [list(range(BATCH))]
    assert file.read_bytes() == b"".join(whole.splitlines(keepends=True)[:BATCH])
    play(Talkative(), episodes, before=parts, write=lambda part: run.append(name, part))
    assert len(run.recorded(name, episodes)) == 2


def test_a_file_torn_in_its_first_batch_starts_again(cell):
    run, name, episodes, _, file = cell
    file.write_bytes(file.read_bytes()[:1000])
    assert run.recorded(name, episodes) == []
    assert file.read_bytes() == b""


def test_a_cell_that_was_never_played_has_no_records(cell):
    run, name, episodes, _, _ = cell
    assert run.recorded(replace(name, seed=1), episodes) == []


@pytest.mark.parametrize("damage", [b"\x00" * 20, b'{"episode": 3, "sla', b"3", b"{}", b"null", b"[]"], ids=repr)
def test_a_damaged_line_is_an_error_that_names_file_and_line(cell, damage):
    run, name, episodes, _, file = cell
    lines = file.read_bytes().split(b"\n")
    lines[3] = damage
    file.write_bytes(b"\n".join(lines))
    with pytest.raises(ResultsError, match=r"jsonl: line 4 is damaged"):
        run.recorded(name, episodes)
    assert file.read_bytes() == b"\n".join(lines)


def test_records_of_other_episodes_are_refused(cell, town):
    run, name, _, _, file = cell
    before = file.read_bytes()
    other = make_episodes(World.load(str(town)), "uniform", "selection", 3, seed=1)
    with pytest.raises(ResultsError, match="other episodes"):
        run.recorded(name, other)
    assert file.read_bytes() == before


def test_more_records_than_episodes_are_refused(cell):
    run, name, episodes, _, file = cell
    lines = file.read_bytes()
    file.write_bytes(lines + lines)
    with pytest.raises(ResultsError):
        run.recorded(name, episodes)


def test_records_that_cannot_be_written_are_an_error(cell):
    run, name, _, played, file = cell
    file.unlink()
    file.mkdir()
    with pytest.raises(ResultsError, match="could not be written"):
        run.append(name, played)
