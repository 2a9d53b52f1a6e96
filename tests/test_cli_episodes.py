"""Questions in files: written, shown and asked from the command line, and asked of fewer users."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vrsim import probabilities, registry
from vrsim.agent import Agent, Decisions
from vrsim.episode_files import read_episodes, save_episodes
from vrsim.episodes import make_episodes
from vrsim.protocols import get_protocol
from vrsim.registry import register_agent
from vrsim.runs import read_run
from vrsim.world import World

BENCH = ("bench", "--world", "tiny", "--agent", "content", "--agent", "uniform")


class Counting(Agent):
    """Answer 0 and count the questions."""

    asked = 0

    def act(self, observations):
        Counting.asked += len(observations["slate"])
        return Decisions(np.zeros(len(observations["slate"]), np.int64))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(probabilities, "RESAMPLES", 5)
    monkeypatch.setattr(registry, "_registered", {})


def flat(text: str) -> str:
    return " ".join(text.split())


def decided(folder: str) -> dict[tuple, list]:
    """Every decision of a run, by question, agent and seed."""
    return {
        (question, agent, run.episodes.seed): run.decisions.action.tolist()
        for question, agents in read_run(Path(folder)).played.items()
        for agent, runs in agents.items()
        for run in runs
    }


# Episodes


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_episodes_are_written_and_read_back(kind, vrsim_command):
    words = ("--world", "tiny", "--protocol", "rank-matched", "--task", "selection", "--m", 4, "--seed", 7)
    code, out, _ = vrsim_command("episodes", "export", f"q.{kind}", *words, "--users", 30)
    assert code == 0
    world = World.load("tiny")
    made = make_episodes(world, "rank-matched", "selection", 4, seed=7, users=30)
    assert read_episodes(Path(f"q.{kind}")).hash == made.hash
    for text in (made.hash, world.hash, made.protocol.hash, f"{made.left_out} positions left out", f"{len(made)} sel"):
        assert text in out
    assert 0 < len(made) == 30 - made.left_out
    assert vrsim_command("episodes", "show", f"q.{kind}") == (0, out, "")


def test_split_and_cohort_of_episodes_are_those_asked_for(vrsim_command):
    words = ("--world", "tiny", "--protocol", "uniform", "--task", "judgment", "--split", "train", "--cohort", "cold")
    assert vrsim_command("episodes", "export", "q.jsonl", *words)[0] == 0
    expected = make_episodes(World.load("tiny"), "uniform", "judgment", 3, "train", "cold")
    assert read_episodes(Path("q.jsonl")).hash == expected.hash


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("export q.csv --world tiny", "a file of episodes ends in .jsonl or .parquet, found 'q.csv'"),
        ("export q.jsonl --world tiny --protocol tallrec", "'tallrec' asks no selection; it asks judgment"),
        ("export q.jsonl --world tiny --split tset", "Did you mean 'test'?"),
        ("export q.jsonl --world tiny --users -1", "users must be an integer from 0"),
        ("show q.jsonl", "q.jsonl: not a file of episodes, or damaged"),
    ],
)
def test_episodes_that_cannot_be_are_refused(words, message, vrsim_command, tmp_path):
    code, out, err = vrsim_command("episodes", *words.split())
    assert (code, out) == (1, "")
    assert message in err
    assert not list(tmp_path.glob("*.jsonl"))


def test_a_file_of_a_world_of_ones_own_is_shown_from_elsewhere(vrsim_command, town, tmp_path, monkeypatch):
    save_episodes(make_episodes(World.load(town), "uniform", "selection"), tmp_path / "q.jsonl")
    code, _, err = vrsim_command("episodes", "show", "q.jsonl")
    assert (code, "unknown world 'town'" in err) == (1, True)
    code, out, _ = vrsim_command("episodes", "show", "q.jsonl", "--world", town)
    assert (code, "350 selections, m = 3" in out) == (0, True)


# Bench on files


@pytest.fixture
def files(tmp_path) -> list[str]:
    """Judgments and selections of two seeds, in no order."""
    names = []
    for seed in (1, 0):
        for task in ("selection", "judgment"):
            names.append(f"{task}-{seed}.{'jsonl' if seed else 'parquet'}")
            save_episodes(make_episodes(World.load("tiny"), "uniform", task, 3, seed=seed), tmp_path / names[-1])
    return [word for name in names for word in ("--episodes", name)]


def test_the_questions_of_files_get_the_decisions_that_the_protocol_gets(vrsim_command, files):
    code, out, _ = vrsim_command(*BENCH, *files, "--out", "of-files")
    assert code == 0
    assert "2 seeds" in out
    assert vrsim_command(*BENCH, "--protocol", "uniform", "--m", 3, "--seeds", 2, "--out", "of-protocol")[0] == 0
    found = decided("of-files")
    assert found == decided("of-protocol")
    assert len(found) == 2 * 2 * 2
    assert [seed for *_, seed in found] == [0, 1] * 4  # in order of the seeds, though the files were not


def test_a_run_on_files_goes_on_and_is_refused_for_other_files(vrsim_command, files, monkeypatch):
    monkeypatch.setattr(Counting, "asked", 0)
    register_agent("counting", f"{__name__}:Counting")
    words = ("bench", "--world", "tiny", "--agent", "counting", "--out", "run")
    assert vrsim_command(*words, *files)[0] == 0
    assert Counting.asked == 2 * (200 + 100)
    [cell] = Path("run/cells").glob("uniform.selection.m3.all.seed1.*")
    cell.unlink()
    assert vrsim_command(*words, *files)[0] == 0
    assert Counting.asked == 2 * (200 + 100) + 100
    code, _, err = vrsim_command(*words, *files[:-2])
    assert (code, "run already holds another run" in err) == (1, True)
    save_episodes(make_episodes(World.load("tiny"), "uniform", "selection", 3, seed=1, users=9), Path(files[1]))
    code, _, err = vrsim_command(*words, *files)  # the same names, other questions
    assert (code, "run already holds another run: uniform selection 3 all 1 was" in err) == (1, True)


def test_files_of_another_world_are_refused_with_both_hashes(vrsim_command, files, town):
    code, _, err = vrsim_command("bench", "--world", town, *files, "--out", "run")
    assert code == 1
    assert World.load("tiny").hash in err
    assert World.load(town).hash in err
    assert not Path("run").exists()


def other(**changes) -> str:
    """A file of selections that does not go with those of seed 0."""
    options = {"split": "test", "seed": 1} | {key: changes.pop(key) for key in ("split", "seed") if key in changes}
    protocol = replace(get_protocol("uniform"), **changes)
    save_episodes(make_episodes(World.load("tiny"), protocol, "selection", 3, **options), Path("other.jsonl"))
    return "other.jsonl"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 0}, "other.jsonl: another file has uniform, selection, m = 3 with seed 0 too; one run asks it once"),
        ({"history": 5}, "other.jsonl: another file has another protocol by the name 'uniform'"),
        ({"split": "train"}, "other.jsonl asks training users, whose answers the agents learn"),
    ],
    ids=str,
)
def test_files_that_do_not_go_together_are_refused(changes, message, vrsim_command, files):
    code, out, err = vrsim_command(*BENCH, *files[2:], "--episodes", other(**changes), "--out", "run")
    assert (code, out) == (1, "")
    assert message in err
    assert not Path("run").exists()


def test_a_protocol_of_ones_own_is_asked_recorded_and_audited(vrsim_command):
    code, out, _ = vrsim_command(*BENCH, "--episodes", other(name="my own: 5 shown", history=5), "--out", "run")
    assert (code, "tiny, my own: 5 shown: selection" in out) == (0, True)
    assert {(question.protocol, seed) for question, _, seed in decided("run")} == {("my own: 5 shown", 1)}
    code, out, _ = vrsim_command("audit", "--run", "run")
    assert (code, "my own: 5 shown, selection, m = 3: lift over" in flat(out)) == (0, True)


# Bench with fewer users


def test_a_bench_of_fewer_users_asks_the_first_of_those_that_all_are(vrsim_command):
    words = (*BENCH, "--protocol", "uniform", "--task", "selection", "--m", 3, "--seeds", 2)
    assert vrsim_command(*words, "--out", "all")[0] == 0
    code, out, _ = vrsim_command(*words, "--users", 20, "--out", "few")
    assert code == 0
    assert "20 test users, 2 seeds" in out
    few, everyone = (read_run(Path(folder)).played for folder in ("few", "all"))
    for question, agents in few.items():
        for one, whole in zip(agents["content"], everyone[question]["content"], strict=True):
            asked = np.isin(whole.episodes.positions[:, 0], one.episodes.positions[:, 0])
            assert asked.sum() == 20
            np.testing.assert_array_equal(one.episodes.slates, whole.episodes.slates[asked])
            np.testing.assert_array_equal(one.decisions.action, whole.decisions.action[asked])  # trained on as many
