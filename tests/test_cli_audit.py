"""The commands that say what a number is worth: audit, protocols, episodes, and bench on the questions of a file."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vrsim import probabilities, registry
from vrsim.ablations import ABLATIONS
from vrsim.agent import Agent, Decisions
from vrsim.audit import AuditConfig, audit
from vrsim.bench import plain
from vrsim.cli.app import app
from vrsim.episode_files import read_episodes, save_episodes
from vrsim.episodes import make_episodes
from vrsim.protocols import PROTOCOLS, get_protocol
from vrsim.published import published
from vrsim.registry import register_agent, shortcuts
from vrsim.runs import read_run
from vrsim.world import World

BENCH = ("bench", "--world", "tiny", "--agent", "content", "--agent", "uniform")
AUDIT = ("audit", "--world", "tiny", "--protocol", "uniform", "--task", "selection", "--m", 3, "--seeds", 2)


class Counting(Agent):
    """Answer 0 and count the questions."""

    asked = 0

    def act(self, observations):
        Counting.asked += len(observations["slate"])
        return Decisions(np.zeros(len(observations["slate"]), np.int64))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(probabilities, "RESAMPLES", 20)
    monkeypatch.setattr(registry, "_registered", {})


def strict_json(text: str):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


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


# Help


@pytest.mark.parametrize("words", [("protocols",), *[(info.name or info.callback.__name__,)
                                                     for info in app.registered_commands]], ids=" ".join)  # fmt: skip
def test_every_help_has_an_example(words, vrsim_command):
    code, out, _ = vrsim_command(*words, "--help")
    assert code == 0
    assert "Example" in out
    assert f"vrsim {words[0]}" in flat(out.partition("Example")[2])


# Audit


def test_an_audit_prints_every_shortcut_the_best_one_and_no_lift_without_an_agent(vrsim_command):
    code, out, _ = vrsim_command(*AUDIT)
    assert code == 0
    for name in shortcuts():
        assert name in out
    assert "tiny: the best shortcut" in out
    assert "uniform, selection, m = 3" in out
    assert "lift over" not in out
    assert "not asked" not in out
    told = [line for line in out.splitlines() if not line.startswith(("score:", "not "))]
    assert max(map(len, told)) <= 80


def test_an_audit_prints_json_that_is_what_the_library_says(vrsim_command):
    code, out, _ = vrsim_command(*AUDIT, "--json")
    assert code == 0
    told = strict_json(out)
    world = World.load("tiny")
    assert (told["world"], told["world_hash"], told["impossible"]) == ("tiny", world.hash, {})
    [row] = told["rows"]
    assert row["question"] == {"protocol": "uniform", "task": "selection", "m": 3, "cohort": "all"}
    [expected], _ = audit(world, AuditConfig(("uniform",), ("selection",), (3,), seeds=2))
    assert (row["best"], row["chance"], row["left_out"]) == (expected.best, 0.25, 0)
    assert list(row["scores"]) == shortcuts()
    for name, score in row["scores"].items():
        assert score["metrics"]["accuracy"] == plain(vars(expected.scores[name].metrics["accuracy"]))
    assert row["lifts"] == row["agents"] == {}


def test_an_agent_is_audited_with_and_without_its_history(vrsim_command):
    code, out, _ = vrsim_command(*AUDIT, "--agent", "content")
    assert code == 0
    assert "uniform, selection, m = 3: lift over" in flat(out)
    lines = out.partition("lift over")[2].splitlines()
    for name in ABLATIONS:
        assert any(f"content@{name}" in line for line in lines)
    [shuffled] = [line for line in lines if "content@shuffled-history" in line]
    assert shuffled.rstrip().endswith("0.0%")
    [row] = strict_json(vrsim_command(*AUDIT, "--agent", "content", "--json")[1])["rows"]
    assert row["lifts"]["content"]["changed"] is None
    assert row["lifts"]["content@no-history"]["difference"]["value"]["value"] < 0


def test_a_world_that_cannot_serve_a_protocol_says_why(vrsim_command, monkeypatch):
    monkeypatch.setattr("vrsim.audit.shortcuts", lambda: ["constant"])
    words = ("audit", "--world", "tiny", "--task", "judgment", "--seeds", 1, "--users", 9)
    code, out, _ = vrsim_command(*words)
    assert code == 0
    assert "not asked: agent4rec-1to9, judgment: 'agent4rec-1to9' needs users with at least 20 ratings" in flat(out)
    assert "- - " in flat(out)  # nobody has an AUC here
    told = strict_json(vrsim_command(*words, "--json")[1])
    assert [row["best"] for row in told["rows"] if row["question"]["protocol"] == "tallrec"] == [None]
    assert list(told["impossible"]) == [f"agent4rec-1to{k}, judgment" for k in (1, 2, 3, 9)]


def test_a_recorded_run_is_audited(vrsim_command):
    words = ("--protocol", "uniform", "--task", "selection", "--m", 3, "--seeds", 2, "--out", "mine")
    assert vrsim_command(*BENCH, *words)[0] == 0
    code, out, _ = vrsim_command("audit", "--run", "mine")
    assert code == 0
    assert "uniform, selection, m = 3: lift over" in flat(out)
    told = strict_json(vrsim_command("audit", "--run", "mine", "--json")[1])
    [row] = told["rows"]
    assert (told["world"], list(row["lifts"])) == ("tiny", ["content", "uniform"])
    [expected], _ = audit(World.load("tiny"), AuditConfig(("uniform",), ("selection",), (3,), seeds=2, agent="content"))
    assert row["best"] == expected.best
    found = expected.lifts["content"].difference
    assert row["lifts"]["content"]["difference"]["value"] == vars(found.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--run mine --protocol uniform", "leave out --protocol"),
        ("--run mine --agent content --world tiny", "leave out --world and --agent"),
        ("--run mine --seeds 3", "leave out --seeds"),
        ("--run mine", "mine is not a run"),
        ("--world tiny --protocol unifrom", "Did you mean 'uniform'?"),
        ("--world tiny --task judgement", "Did you mean 'judgment'?"),
        ("--world tiny --protocol tallrec --task selection", "tallrec asks no selection"),
        ("--world tiny --agent contnet", "Did you mean 'content'?"),
        ("--world tiny --agent content@no-histroy", "Did you mean 'no-history'?"),
        ("--world tiny --protocol agent4rec-1to1", "'agent4rec-1to1' needs users with at least 20 ratings above 3"),
        ("--world tiny --seeds 0", "seeds must be an integer from 1"),
        ("--world tiyn", "Did you mean 'tiny'?"),
    ],
)
def test_what_cannot_be_audited_exits_with_1_and_a_reason(words, message, vrsim_command):
    code, out, err = vrsim_command("audit", *words.split())
    assert (code, out) == (1, "")
    assert message in err


# Protocols


def test_protocols_are_listed(vrsim_command):
    code, out, _ = vrsim_command("protocols")
    assert code == 0
    rows = strict_json(vrsim_command("protocols", "--json")[1])
    assert [row["name"] for row in rows] == list(PROTOCOLS)
    for row in rows:
        assert row["name"] in out
        assert (tuple(row["tasks"]), row["measures"]) == (PROTOCOLS[row["name"]].tasks, PROTOCOLS[row["name"]].measures)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_card_says_everything_about_a_protocol(name, vrsim_command):
    protocol = get_protocol(name)
    code, out, _ = vrsim_command("protocols", "show", name)
    assert code == 0
    for text in (protocol.hash, protocol.measures, protocol.cannot, protocol.source, *protocol.differs):
        assert flat(text) in flat(out)
    for row in published(name):
        assert row.simulator.split(",")[0] in out
    told = strict_json(vrsim_command("protocols", "show", name, "--json")[1])
    assert (told["name"], told["hash"], told["per_positive"]) == (name, protocol.hash, protocol.per_positive)
    assert [row["simulator"] for row in told["published"]] == [row.simulator for row in published(name)]
    assert all("base_rate" in row for row in told["published"])


def test_an_unknown_protocol_has_no_card(vrsim_command):
    code, out, err = vrsim_command("protocols", "show", "rank-match")
    assert (code, out) == (1, "")
    assert "Did you mean 'rank-matched'?" in err


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
    if changes != {"seed": 0} or "selection-0.parquet" in files:
        assert message in err
    assert not Path("run").exists()


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
