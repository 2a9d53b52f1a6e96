"""The command line: help, a table or JSON for every command, and records that are found again."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import vrsim
from vrsim import cli
from vrsim.agent import Agent, Decisions
from vrsim.cli import lists
from vrsim.registry import baselines, list_agents, register_agent
from vrsim.world import World


class Counting(Agent):
    """Answer 0 and count the questions."""

    asked = 0

    def act(self, observations):
        Counting.asked += len(observations["slate"])
        return Decisions(np.zeros(len(observations["slate"]), np.int64))


@pytest.fixture
def tables(tmp_path):
    """CSV files as somebody else would write them: 30 users, 12 items, in no order."""
    rng = np.random.default_rng(0)
    rows = [
        (f"user-{u}", f"b{i}", 1_600_000_000 + 60 * t) for u in range(30) for t, i in enumerate(rng.permutation(12)[:6])
    ]
    log = "user,item,time\n" + "\n".join(f"{u},{i},{t}" for u, i, t in rng.permutation(rows).tolist()) + "\n"
    (tmp_path / "log.csv").write_text(log, encoding="utf-8")
    books = "item,title,year,genres\n" + "".join(
        f'b{i},"Book [{i}], a novel",19{50 + i},Crime|Drama\n' for i in range(12)
    )
    (tmp_path / "books.csv").write_text(books, encoding="utf-8")
    build = ["world", "build", "--interactions", "log.csv", "--items", "books.csv", "--out", "mine"]
    return [*build, "--option", "recommender=transitions"]


def strict_json(text: str):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def commands() -> list[tuple[str, ...]]:
    def name(info):
        return info.name or info.callback.__name__.replace("_", "-")

    groups = [(group.name, group.typer_instance) for group in cli.app.registered_groups]
    inner = [(group, name(info)) for group, app in groups for info in app.registered_commands]
    return [*[(name(info),) for info in cli.app.registered_commands], *inner]


def flat(text: str) -> str:
    """Without line breaks, boxes and double blanks."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


# Help


def test_the_commands_are_those_of_the_documentation():
    assert {" ".join(words) for words in commands()} == {
        "audit", "report", "bench", "agents", "envs", "doctor", "world build", "world info", "world list",
        "protocols show", "episodes export", "episodes show", "play", "pocket build", "train sft",
        "train grpo", "train launcher", "train presets", "caption", "augment", "fidelity", "policies",
        "sessions export", "world publish", "world rebuild",
    }  # fmt: skip


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(words, vrsim_command):
    code, out, _ = vrsim_command(*words, "--help")
    assert code == 0
    usage, _, rest = flat(out).partition("[OPTIONS]")
    assert usage.startswith("Usage:")
    assert "Example" in rest
    assert f"vrsim {' '.join(words)}" in rest


def test_the_version_is_printed(vrsim_command):
    assert vrsim_command("--version") == (0, f"{vrsim.__version__}\n", "")


# Bench


def test_bench_prints_tables_that_fit_a_terminal(vrsim_command):
    code, out, _ = vrsim_command("bench", "--world", "tiny", "--seeds", 1, "--out", "run")
    assert code == 0
    for name in baselines():
        assert name in out
    for word in ("judgment", "selection", "accuracy", "f1", "m = 3", "chance .250", "records: run"):
        assert word in flat(out)
    explained = [line for line in out.splitlines() if line.startswith("100 test users, 1 seed; ")]
    assert len(explained) == 2  # one below each table of scores
    assert all("95 % interval" in line and len(line) <= 100 for line in explained)
    assert max(len(line) for line in out.splitlines() if line not in explained) <= 80
    assert json.loads(Path("run/manifest.json").read_text(encoding="utf-8"))["finished"] is True


def test_bench_prints_json_without_nan(vrsim_command):
    words = ("bench", "--world", "tiny", "--agent", "constant:answer=no", "--agent", "uniform", "--seeds", 1, "--m", 3)
    code, out, _ = vrsim_command(*words, "--out", "run", "--json")
    assert code == 0
    told = strict_json(out)
    assert (told["world"], told["out"]) == ("tiny", "run")
    assert [(row["agent"], row["task"], row["m"]) for row in told["rows"]] == [
        ("constant:answer=no", "judgment", 1), ("constant:answer=no", "selection", 3),
        ("uniform", "judgment", 1), ("uniform", "selection", 3),
    ]  # fmt: skip
    never_yes = told["rows"][0]["score"]
    assert never_yes["metrics"]["precision"] == {"value": None, "low": None, "high": None}
    assert never_yes["metrics"]["accuracy"]["value"] == 0.5
    assert never_yes["base_rate"] is None


def test_the_same_bench_again_asks_nobody(vrsim_command, monkeypatch):
    monkeypatch.setattr(Counting, "asked", 0)
    register_agent("counting", f"{__name__}:Counting")
    words = ("bench", "--world", "tiny", "--agent", "counting", "--seeds", 2, "--m", 3, "--out", "run", "--json")
    code, first, _ = vrsim_command(*words)
    assert (code, Counting.asked) == (0, 2 * (200 + 100))
    code, again, _ = vrsim_command(*words)
    assert (code, Counting.asked) == (0, 2 * (200 + 100))

    def metrics(text):
        return [row["score"]["metrics"] for row in strict_json(text)["rows"]]

    assert metrics(again) == metrics(first)


def test_other_settings_do_not_overwrite_a_run(vrsim_command):
    words = ("bench", "--world", "tiny", "--agent", "uniform", "--out", "run", "--seeds")
    assert vrsim_command(*words, 1)[0] == 0
    code, out, err = vrsim_command(*words, 2)
    assert (code, out) == (1, "")
    assert "run already holds another run" in err
    assert "--out" in err


def test_without_out_every_run_has_a_folder_of_its_own(vrsim_command, tmp_path):
    for _ in range(2):
        assert vrsim_command("bench", "--world", "tiny", "--agent", "uniform", "--seeds", 1, "--m", 1)[0] == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2


# Worlds


def test_a_world_is_built_from_own_tables(vrsim_command, tables):
    code, out, _ = vrsim_command(*tables)
    assert code == 0
    assert "30 users, 12 items, 180 interactions" in out
    assert World.load("mine/").n_users == 30
    code, out, _ = vrsim_command("world", "info", "./mine", "--json")
    assert code == 0
    told = strict_json(out)
    assert told["counts"] == {"users": 30, "items": 12, "interactions": 180}
    assert told["config"]["recommender"] == "transitions"
    code, out, _ = vrsim_command("world", "info", "mine")
    assert code == 0
    assert told["hash"] in out


def test_a_world_of_ones_own_can_be_played(vrsim_command, tables):
    assert vrsim_command(*tables)[0] == 0
    code, out, _ = vrsim_command("bench", "--world", "mine", "--protocol", "uniform", "--m", 3, "--seeds", 1)
    assert code == 0
    assert "15 test users" in flat(out)


def test_a_world_is_not_overwritten_unless_forced(vrsim_command, tables):
    assert vrsim_command(*tables)[0] == 0
    before = World.load("mine/").hash
    code, _, err = vrsim_command(*tables)
    assert code == 1
    assert "--force" in err
    assert World.load("mine/").hash == before
    code, _, err = vrsim_command(*tables, "--option", "holdout=2", "--force")
    assert (code, err.count("error")) == (0, 0)
    assert World.load("mine/").holdout == 2


def test_a_refused_build_leaves_nothing_behind(vrsim_command, tables, tmp_path):
    (tmp_path / "log.csv").write_text("user,item,time\nu1,b1,yesterday\n", encoding="utf-8")
    code, _, err = vrsim_command(*tables)
    assert code == 1
    assert "log.csv" in err
    assert not (tmp_path / "mine").exists()


def test_worlds_are_listed(vrsim_command, tmp_path):
    code, out, _ = vrsim_command("world", "list")
    assert code == 0
    assert "tiny" in out
    assert "ml-100k" in out
    assert str(tmp_path / "home") in out
    code, out, _ = vrsim_command("world", "list", "--json")
    assert code == 0
    published = ("microlens-100k", "microlens-50k", "ml-100k", "ml-1m", "steam")
    states = {row["name"]: row["state"] for row in strict_json(out)}
    assert states == {"tiny": "in memory", **dict.fromkeys(published, "built on first use")}


def test_the_tiny_world_can_be_built_and_shown(vrsim_command):
    for words in (("world", "build", "tiny"), ("world", "info", "tiny")):
        code, out, _ = vrsim_command(*words)
        assert code == 0
        assert World.load("tiny").hash in out
    told = strict_json(vrsim_command("world", "info", "tiny", "--json")[1])
    assert told["path"] is None
    assert told["hash"] == World.load("tiny").hash


# Lists


def test_agents_are_listed(vrsim_command):
    code, out, _ = vrsim_command("agents")
    assert code == 0
    rows = strict_json(vrsim_command("agents", "--json")[1])
    assert [row["name"] for row in rows] == sorted(list_agents())
    for row in rows:
        assert row["name"] in out
        assert row["about"]
    assert any("order: str = 'most'" in row["options"] for row in rows)


@pytest.mark.parametrize("target", ["no_such_module_at_all:Agent", f"{__name__}:NoSuchClass", "json:JSONDecoder"])
def test_a_broken_plug_in_is_listed_with_its_error_beside_the_others(vrsim_command, target):
    register_agent("ghost", target)
    code, out, _ = vrsim_command("agents")
    assert code == 0
    assert "ghost" in out
    rows = {row["name"]: row for row in strict_json(vrsim_command("agents", "--json")[1])}
    assert list(rows) == sorted(list_agents())
    assert f"agent 'ghost' is registered as {target}, which" in rows["ghost"]["about"]
    assert "registered" not in rows["uniform"]["about"]


def test_environments_are_listed(vrsim_command):
    code, out, _ = vrsim_command("envs")
    assert code == 0
    rows = strict_json(vrsim_command("envs", "--json")[1])
    assert {"vrsim/Judgment-v0", "vrsim/Selection-v0"} <= {row["name"] for row in rows}
    for row in rows:
        assert row["name"] in out
        assert row["about"]
        assert any(option.startswith("world") for option in row["options"])


def test_the_doctor_says_what_is_there(vrsim_command, tmp_path):
    code, out, _ = vrsim_command("doctor")
    assert code == 0
    told = strict_json(vrsim_command("doctor", "--json")[1])
    assert told["versions"]["vrsim"] == vrsim.__version__
    assert told["cache"] == str(tmp_path / "home")
    assert [row["extra"] for row in told["extras"]] == ["llm", "recbole", "report", "minari", "sb3", "train"]
    for fact in (told["python"], told["cache"], f"numpy {np.__version__}", "[recbole]"):
        assert fact in flat(out)


def test_the_doctor_says_what_is_missing_and_how_to_get_it(vrsim_command, monkeypatch):
    monkeypatch.setattr(lists.importlib.util, "find_spec", lambda name: None)
    code, out, _ = vrsim_command("doctor")
    assert code == 0
    assert "[recbole] missing torch, recbole" in flat(out)
    assert "pip install -e '.[recbole]' in a checkout" in flat(out)
