"""The command fidelity: its tables, its JSON, and what it refuses."""

import json

import pytest

from tests.judges import JUDGES
from vrsim import estimates
from vrsim.fidelity.suite import FidelityConfig, fidelity_json, run_fidelity
from vrsim.registry import register_agent

WORDS = (
    "fidelity",
    "--world",
    "tiny",
    "--agent",
    "content",
    "--agent",
    "terse",
    "--model",
    "transitions",
    "--seeds",
    2,
)


@pytest.fixture(autouse=True)
def judges(vrsim_command, monkeypatch):
    monkeypatch.setattr(estimates, "RESAMPLES", 50)
    for name, target in JUDGES.items():
        register_agent(name, target)


def flat(text: str) -> str:
    return " ".join(text.split())


def test_it_prints_tables_that_fit_a_terminal(vrsim_command):
    code, out, _ = vrsim_command(*WORDS, "--out", "run")
    assert code == 0
    assert "tiny, uniform: who orders recommenders as the truth does?" in out
    for text in (
        "content*",
        "terse",
        "recommender*",
        "popularity*",
        "transitions, 50 % random",
        "invalid",
        "records: run",
    ):
        assert text in out
    assert "100 test users, 2 seeds" in out
    assert "useful: tau lies above 0" in out
    assert "not useful: content: " in out
    table = [line for line in out.splitlines() if "\N{BOX DRAWINGS LIGHT HORIZONTAL}" in line]
    assert len(table) == 3
    assert max(map(len, table)) <= 80


def test_it_prints_json_that_is_what_the_library_says(vrsim_command, tmp_path):
    code, out, _ = vrsim_command(*WORDS, "--users", 30, "--shown", 5, "--out", "run", "--json")
    assert code == 0
    told = json.loads(out)
    config = FidelityConfig(("content", "terse"), "tiny", users=30, seeds=2, shown=5, models=("transitions",))
    expected = fidelity_json(run_fidelity(config, tmp_path / "other"))
    assert {name: told[name] for name in expected} == json.loads(json.dumps(expected))
    assert (told["out"], told["costs"], told["users"], told["shown"]) == ("run", [], 30, 5)
    assert [row["agent"] for row in told["rows"]] == [row["agent"] for row in expected["rows"]]


def test_what_is_left_out_is_said(vrsim_command, no_recbole):
    code, out, _ = vrsim_command(*WORDS[:5], "--model", "BPR", "--seeds", 1, "--users", 20, "--out", "run")
    assert code == 0
    assert "left out: BPR: a trained recommender needs" in flat(out)


def test_it_says_how_to_go_on(vrsim_command, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("vrsim.fidelity.suite.ask_all", stop)
        code, _, err = vrsim_command(*WORDS)
    assert code == 130
    assert "the same command with --out runs/" in flat(err)


def test_costs_of_language_models_are_told(vrsim_command, small_pocket):
    words = ("--agent", f"us-agent:model={small_pocket}", "--model", "transitions", "--users", 6, "--seeds", 1)
    code, out, _ = vrsim_command("fidelity", "--world", "tiny", *words, "--out", "run", "--json")
    assert code == 0
    told = json.loads(out)
    assert [row["calls"] for row in told["costs"]] == [told["questions"]]
    code, _, err = vrsim_command("fidelity", "--world", "tiny", *words, "--token-budget", 50, "--out", "other")
    assert code == 1
    assert "the budget is spent" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--agent contnet --world tiny", "Did you mean 'content'"),
        ("--agent content --world tiny --shown 3", "a slate must have 4 to 50 items, found 3"),
        ("--agent content --world tiny --seeds 0", "seeds must be an integer from 1"),
        ("--agent content --world tiny --option epochs", "expected --option NAME=VALUE"),
        ("--agent content --world tiny:candidates=20 --model transitions", "is too small for slates down to rank 100"),
    ],
)
def test_what_cannot_be_asked_exits_with_1_and_a_reason(words, message, vrsim_command):
    code, out, err = vrsim_command("fidelity", *words.split())
    assert (code, out) == (1, "")
    assert message in flat(err)


def test_it_needs_an_agent(vrsim_command):
    assert vrsim_command("fidelity", "--world", "tiny")[0] == 2
