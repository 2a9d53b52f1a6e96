"""The commands that say what a number is worth: audit, and the cards of the protocols."""

import json

import pytest

from vrsim import probabilities, registry
from vrsim.ablations import ABLATIONS
from vrsim.audit import AuditConfig, audit
from vrsim.bench import plain
from vrsim.cli.app import app
from vrsim.protocols import PROTOCOLS, get_protocol
from vrsim.published import published
from vrsim.registry import shortcuts
from vrsim.world import World

BENCH = ("bench", "--world", "tiny", "--agent", "content", "--agent", "uniform")
AUDIT = ("audit", "--world", "tiny", "--protocol", "uniform", "--task", "selection", "--m", 3, "--seeds", 2)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(probabilities, "RESAMPLES", 5)
    monkeypatch.setattr(registry, "_registered", {})


def strict_json(text: str):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def flat(text: str) -> str:
    return " ".join(text.split())


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
    [row] = strict_json(vrsim_command(*AUDIT, "--agent", "content", "--json")[1])["rows"]
    assert list(row["lifts"]) == ["content", *(f"content@{name}" for name in ABLATIONS)]
    assert row["lifts"]["content"]["changed"] is None
    assert row["lifts"]["content@shuffled-history"]["changed"] == 0
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
