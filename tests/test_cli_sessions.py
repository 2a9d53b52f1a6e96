"""The commands about sessions: bench --env session, policies, sessions export."""

import json

import pytest

from vrsim.cli.app import app
from vrsim.registry import list_policies
from vrsim.session.bench import SessionBenchConfig, run_session_bench, session_json

BENCH = ("bench", "--env", "session", "--world", "tiny", "--agent", "greedy", "--agent", "random")
QUICK = ("--users", 20, "--seeds", 2, "--turns", 6, "--option", "boredom=0.3")

assert app


def flat(text: str) -> str:
    return " ".join(text.split())


def test_a_benchmark_of_policies_prints_tables_of_80_columns(vrsim_command, tmp_path):
    code, out, _ = vrsim_command(*BENCH, *QUICK, "--out", tmp_path / "run")
    assert code == 0
    assert "tiny: sessions with content" in out
    assert "20 users, 2 seeds, at most 6 turns" in flat(out)
    tables = [line for line in out.splitlines() if line.startswith((" ", "random", "greedy"))]
    assert max(map(len, tables)) <= 80


def test_a_benchmark_of_policies_prints_json_that_is_what_the_library_says(vrsim_command, tmp_path):
    code, out, _ = vrsim_command(*BENCH, *QUICK, "--user", "popularity", "--out", tmp_path / "run", "--json")
    assert code == 0
    options = {"turns": 6, "options": {"boredom": 0.3}, "users": 20, "seeds": 2}
    config = SessionBenchConfig("tiny", ("greedy", "random"), "popularity", **options)
    expected = session_json(run_session_bench(config, tmp_path / "other"))
    assert json.loads(out) == {"out": str(tmp_path / "run"), **json.loads(json.dumps(expected))}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--env", "sesion"), "unknown env 'sesion'. Did you mean 'session'?"),
        (("--user", "content"), "--user does not go with --env decision"),
        (("--turns", 5), "--turns does not go with --env decision"),
        (("--env", "session", "--suite", "us-ablation"), "--suite does not go with --env session"),
        (("--env", "session", "--m", 3), "--m does not go with --env session"),
        (("--env", "session", "--episodes", "q.jsonl"), "--episodes does not go with --env session"),
        (("--env", "session", "--protocol", "uniform", "--protocol", "tallrec"), "expected one --protocol"),
        (("--env", "session", "--agent", "content"), "unknown policy 'content'"),
        (("--env", "session", "--turns", 0), "turns must be an integer from 1, found 0"),
        (("--env", "session", "--option", "slates=3"), "unknown option of a session 'slates'. Did you mean 'slate'?"),
    ],
)
def test_what_does_not_go_together_is_refused(words, told, vrsim_command):
    code, _, err = vrsim_command("bench", "--world", "tiny", *words)
    assert code == 1
    assert told in flat(err)


def test_every_policy_is_listed_with_its_options(vrsim_command):
    code, out, _ = vrsim_command("policies", "--json")
    assert code == 0
    rows = {row["name"]: row for row in json.loads(out)}
    assert rows.keys() == list_policies().keys()
    assert rows["greedy"]["options"] == ["fresh: bool = True"]
    assert all(row["about"] for row in rows.values())


def test_sessions_are_exported_once(vrsim_command, tmp_path, monkeypatch):
    pytest.importorskip("minari", reason="the extra vrsim[minari] is not installed")
    words = ("sessions", "export", "tiny/greedy-v0", "--world", "tiny", "--sessions", 2, "--out", tmp_path)
    code, out, _ = vrsim_command(*words)
    assert code == 0
    assert str(tmp_path / "tiny" / "greedy-v0") in out
    code, _, err = vrsim_command(*words)
    assert code == 1
    assert "exists already; choose another name, or delete it" in flat(err)
    monkeypatch.chdir(tmp_path)
    code, _, _ = vrsim_command(*words[:-1], "here")
    assert code == 0
    assert (tmp_path / "here" / "tiny" / "greedy-v0" / "data").is_dir()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--turns", 0), "turns must be an integer from 1, found 0"),
        (("--sessions", -1), "sessions must be an integer from 0, found -1"),
        (("--out", __file__), "cannot be made"),
    ],
)
def test_what_cannot_be_exported_is_refused(words, told, vrsim_command, tmp_path):
    pytest.importorskip("minari", reason="the extra vrsim[minari] is not installed")
    code, _, err = vrsim_command("sessions", "export", "a-v0", "--world", "tiny", "--out", tmp_path, *words)
    assert code == 1
    assert told in flat(err)
