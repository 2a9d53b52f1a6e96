"""The command line refuses with a message instead of a traceback, and an exit code that means something."""

import os
import signal
import subprocess
import sys
import time

import pytest

from vrsim.agent import Agent
from vrsim.registry import register_agent

SLOW = '''
"""A user who writes down every batch and hangs when there were too many."""

import os
import time

import numpy as np

from vrsim.agent import Agent, Decisions


batches = 0


class Slow(Agent):
    """Hang."""

    def act(self, observations):
        size, width = observations["slate"].shape
        with open(os.environ["ASKED"], "a") as log:
            log.write(f"{size} slates of {width}\\n")
        global batches
        batches += 1
        if batches > int(os.environ["HANG"]):
            time.sleep(100)
        return Decisions(np.zeros(size, np.int64))
'''

MAIN = """
import signal
from vrsim.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
main()
"""


class Interrupted(Agent):
    """Be interrupted at the first question."""

    def act(self, observations):
        raise KeyboardInterrupt


# Refusals


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        ("bench --world tiyn", "tiny"),
        ("bench --world tiny --agent unifrom", "uniform"),
        ("bench --world tiny --agent popularity:ordr=least", "order"),
        ("bench --world tiny --agent popularity:order=leest", "least"),
        ("bench --world tiny --protocol vragent-papr", "vragent-paper"),
        ("bench --world tiny --task judgement", "judgment"),
        ("bench --world tiny --cohort colt", "cold"),
        ("bench --world tiny:holdot=2", "holdout"),
        ("world info tiyn", "tiny"),
        ("world build ml-100kk", "ml-100k"),
    ],
)
def test_an_unknown_name_exits_with_1_and_the_nearest(words, nearest, vrsim_command, tmp_path):
    code, out, err = vrsim_command(*words.split())
    assert (code, out) == (1, "")
    assert f"Did you mean '{nearest}'?" in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("bench --world tiny --seeds 0", "seeds must be an integer from 1, found 0"),
        ("bench --world tiny --m 0", "m must be an integer from 1, found 0"),
        ("bench --world tiny --m 11", "the largest m is 10"),
        ("bench --world tiny --m 3 --m 3", "m must name at least one and none twice"),
        ("bench --world tiny --agent uniform --agent uniform", "agents must name at least one and none twice"),
        ("bench --world tiny --agent popularity:order=most,order=most", "'order' stands twice"),
        ("bench --world tiny --agent popularity:order", "unknown order 'order'"),
        ("bench --world tiny --agent popularity:order=most,least", "expected name:option=value"),
        ("bench --world tiny --agent constant:no,answer=no", "'answer' stands twice"),
        ("bench --world tiny:holdout", "unknown option of a world with recommender transitions ''"),
        ("bench --world tiny:seed=3", "unknown option of a world with recommender transitions 'seed'"),
        ("bench --world tiny:holdout=4", "holdout 4 needs users with 6 interactions, one has 5"),
        ("bench --world tiny:candidates=9 --m 3", "build the world with more candidates"),
        ("bench --world tiny --agent constant:place=-1", "place must be an integer from 0"),
        ("bench --world tiny --agent constant:place=3 --m 1", "place 3 is not in a slate of 2 items"),
        ("bench --world tiny:holdout=0", "holdout must be an integer from 1"),
        ("bench --world no/such/world", "no world folder at HERE/no/such/world"),
        ("world info no/such/world", "no world folder at HERE/no/such/world"),
        ("world build", "expected either the name of a built-in world or --interactions"),
        ("world build tiny --out x", "--out goes with --interactions"),
        ("world build --interactions log.csv", "--interactions needs --out"),
        ("world build --interactions none.csv --out x --option recommender=transitions", "none.csv: no such file"),
        ("world build --interactions a --out x --option x", "expected --option KEY=VALUE, found 'x'"),
        ("world build --interactions a --out x --option recommender=transitions --option epochs=3", "'epochs'"),
    ],
)
def test_what_cannot_be_done_exits_with_1_and_a_reason(words, message, vrsim_command, tmp_path):
    code, out, err = vrsim_command(*words.split())
    assert (code, out) == (1, "")
    assert "error:" in err
    assert message.replace("HERE", str(tmp_path)) in err


@pytest.mark.parametrize(
    "words",
    ["bench --m three", "bench --seeds", "bench --no-such-flag", "no-such-command", "world no-such-command",
     "world info", "world", "", "agents extra"],
)  # fmt: skip
def test_wrong_usage_exits_with_2_and_says_what_is_wrong(words, vrsim_command):
    code, out, err = vrsim_command(*words.split())
    assert code == 2
    assert "Usage:" in out + err or "requires an argument" in err


# Interruptions


def test_an_interrupted_bench_exits_with_130_and_says_how_to_go_on(vrsim_command, tmp_path):
    register_agent("interrupted", f"{__name__}:Interrupted")
    words = ("bench", "--world", "tiny", "--agent", "interrupted")
    code, _, err = vrsim_command(*words)
    assert code == 130
    [folder] = (tmp_path / "runs").iterdir()
    assert f"the same command with --out runs/{folder.name} goes on where it stopped" in " ".join(err.split())
    code, _, err = vrsim_command(*words, "--out", "mine")
    assert code == 130
    assert "the same command goes on where it stopped" in " ".join(err.split())


def test_ctrl_c_stops_a_run_that_then_goes_on(tmp_path):
    info = tmp_path / "slow_agents-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-agents\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[vrsim.agents]\nslow = slow_agents:Slow\n", encoding="utf-8")
    (tmp_path / "slow_agents.py").write_text(SLOW, encoding="utf-8")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    env = os.environ | {"PYTHONPATH": path, "ASKED": str(tmp_path / "asked"), "VRSIM_HOME": str(tmp_path / "home")}
    words = [sys.executable, "-c", MAIN, "bench", "--world", "tiny", "--agent", "slow", "--m", "3", "--out", "run"]

    def asked():
        return (tmp_path / "asked").read_text(encoding="utf-8").splitlines() if (tmp_path / "asked").exists() else []

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
    process = subprocess.Popen([*words, "--seeds", "2"], env=env | {"HANG": "1"}, **pipes)
    try:
        until = time.monotonic() + 30
        while len(asked()) < 2:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "the same command goes on where it stopped" in " ".join(err.split())
    assert "Traceback" not in out + err
    again = subprocess.run([*words, "--seeds", "2"], env=env | {"HANG": "9"}, **pipes)
    assert again.returncode == 0, again.stderr
    judgment, selection = "200 slates of 1", "100 slates of 4"
    assert asked() == [judgment, judgment, judgment, selection, selection]  # only the interrupted one twice
