"""``vrsim report`` on recorded runs."""

import pytest

from vrsim.audit import missing_shortcuts
from vrsim.registry import shortcuts
from vrsim.runs import read_run

pytest.importorskip("matplotlib", reason="the report's pictures need matplotlib (extra report)")

BENCH = ("bench", "--world", "tiny", "--task", "selection", "--m", 2, "--seeds", 1)


def test_a_report_holds_the_agents_and_the_shortcuts_they_must_beat(vrsim_command):
    assert vrsim_command(*BENCH, "--agent", "content", "--agent", "graph", "--out", "run")[0] == 0
    code, out, _ = vrsim_command("report", "run", "--out", "page.html")
    assert code == 0
    assert "report: page.html and" in out
    with open("page.html", encoding="utf-8") as page:
        text = page.read()
    assert all(name in text for name in shortcuts())


def test_a_report_can_do_without_the_shortcuts_that_were_not_played(vrsim_command):
    vrsim_command(*BENCH, "--agent", "content", "--out", "run")
    assert vrsim_command("report", "run", "--no-audit")[0] == 0
    with open("report.html", encoding="utf-8") as page:
        assert "title:order=longest" not in page.read()


def test_shortcuts_of_a_run_are_not_played_again(vrsim_command):
    vrsim_command(*BENCH, "--agent", "content", "--agent", "uniform", "--out", "run")
    ((_, played),) = missing_shortcuts([read_run("run")]).items()
    assert set(played) == set(shortcuts()) - {"content"}


def test_what_is_no_run_is_refused(vrsim_command):
    code, _, err = vrsim_command("report", "nothing")
    assert code == 1
    assert "nothing is not a run" in err


def test_runs_of_different_worlds_are_refused_with_both_hashes(vrsim_command):
    vrsim_command(*BENCH, "--agent", "content", "--out", "one")
    vrsim_command("bench", "--world", "tiny:holdout=2", *BENCH[3:], "--agent", "content", "--out", "two")
    code, _, err = vrsim_command("report", "one", "two")
    assert code == 1
    assert "different worlds" in err
    assert not any(name in err for name in ("Traceback", "report:"))
