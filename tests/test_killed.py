"""A run in a process of its own can be killed at any moment, and is in the way of a second one only while it lives."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from vrsim.loop import BATCH

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

    def learn(self, observations, decisions, rewards):
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


def rows_of(folder: Path) -> dict[str, list[dict]]:
    """Every record of a run by file, without the milliseconds."""
    found = {}
    for file in sorted((folder / "cells").iterdir()):
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        found[file.name] = [{key: value for key, value in row.items() if key != "ms"} for row in rows]
    return found


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

    def start(out: Path, asked: Path, hang: int = 10**9, errors: int | None = None) -> subprocess.Popen:
        path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
        env = os.environ | {"PYTHONPATH": path, "ASKED": str(asked), "HANG": str(hang)}
        command = [sys.executable, "-c", RUN, str(town), str(out)]
        started.append(subprocess.Popen(command, env=env, stderr=errors, text=True))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_for(process: subprocess.Popen, asked: Path, questions: int) -> None:
    """Come back as soon as more than that many questions were asked."""
    until = time.monotonic() + 30
    while not asked.exists() or len(asked.read_bytes().splitlines()) <= questions:
        assert process.poll() is None, "the run ended before it came that far"
        assert time.monotonic() < until, "the run never came that far"
        time.sleep(0.01)


def kill_after(process: subprocess.Popen, asked: Path, questions: int) -> None:
    """SIGKILL as soon as more than that many questions were asked."""
    wait_for(process, asked, questions)
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
    assert snapshot(killed / "episodes") == snapshot(whole / "episodes")
    assert manifest_of(killed)["finished"] is manifest_of(whole)["finished"] is True
    everything = questions_in(logs[0])
    assert len(everything) == len(set(everything)) == 1050
    torn = Counter(everything[BATCH : 2 * BATCH] + everything[700 : 700 + BATCH])  # asked when the kill came
    assert Counter(q for log in logs[1:] for q in questions_in(log)) == Counter(everything) + torn


# One process at a time


def test_a_second_process_with_the_same_folder_is_refused_and_the_first_one_goes_on(tmp_path, slow_user):
    run, logs = tmp_path / "run", [tmp_path / "asked-0", tmp_path / "asked-1"]
    first = slow_user(run, logs[0], BATCH)
    wait_for(first, logs[0], BATCH)
    before = snapshot(run / "cells")
    second = slow_user(run, logs[1], errors=subprocess.PIPE)
    _, errors = second.communicate(timeout=30)
    assert second.returncode == 1
    assert f"ResultsError: {run} is in use by another process" in errors
    assert not logs[1].exists()
    assert snapshot(run / "cells") == before
    assert first.poll() is None
    first.kill()  # the lock of a dead process holds nobody up
    first.wait()
    assert slow_user(run, logs[1]).wait(30) == 0
    assert manifest_of(run)["finished"] is True
