"""Sessions and trainings on a local Ray cluster give what one process gives, also when a worker dies."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from vrsim import registry
from vrsim.augmentation.suite import AugmentConfig, augmentation_json, run_augmentation
from vrsim.bench import Budget
from vrsim.errors import BudgetError, DecisionError
from vrsim.models.ledger import Usage
from vrsim.session.bench import SessionBenchConfig, run_session_bench, session_json
from vrsim.session.policy import Policy

ray = pytest.importorskip("ray", reason="Ray is not installed")


class Mortal(Policy):
    """Shows the first candidates, and once takes its process along."""

    def __init__(self, folder: str = "", dies: bool = False, wrong: bool = False):
        self._died, self._dies, self._wrong = Path(folder) / "died", dies, wrong

    def account(self, name, ledger):
        ledger.add(name, "made up", Usage(calls=1, prompt_tokens=5))

    def act(self, observations, instructions):
        if self._dies and not self._died.exists():
            self._died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self._wrong:
            raise DecisionError("I show nothing")
        return np.tile(np.arange(self.setting.config.slate), (len(instructions), 1))


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def mortal(monkeypatch):
    monkeypatch.setattr(registry, "_registered_policies", {"mortal": f"{__name__}:Mortal"})


def config(*policies):
    return SessionBenchConfig("tiny", policies, users=15, seeds=2, turns=5)


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((folder / "sessions").iterdir())}


def test_two_workers_write_what_one_process_writes(tmp_path):
    one = run_session_bench(config("greedy", "random"), tmp_path / "one")
    two = run_session_bench(config("greedy", "random"), tmp_path / "two", ray="")
    assert session_json(one) == session_json(two)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_a_worker_that_dies_costs_time_and_no_results(tmp_path):
    (tmp_path / "note").mkdir()
    (tmp_path / "note" / "died").touch()
    name = f"mortal:folder={tmp_path / 'note'},dies=True"
    whole = run_session_bench(config(name), tmp_path / "whole")
    (tmp_path / "note" / "died").unlink()
    again = run_session_bench(config(name), tmp_path / "again", ray="")
    assert (tmp_path / "note" / "died").exists()
    assert session_json(whole) == session_json(again)
    assert files(tmp_path / "whole") == files(tmp_path / "again")


def test_recommenders_are_trained_again_on_two_workers_as_in_one_process(tmp_path):
    again = AugmentConfig("tiny", "content", users="cold:30", seeds=2)
    one = run_augmentation(again, tmp_path / "one")
    two = run_augmentation(again, tmp_path / "two", ray="")
    assert augmentation_json(one) == augmentation_json(two)
    names = [sorted(file.name for file in (tmp_path / run / "cells").iterdir()) for run in ("one", "two")]
    assert names[0] == names[1]


def test_errors_and_budgets_end_the_run_and_what_was_played_stays(tmp_path):
    with pytest.raises(DecisionError, match="I show nothing"):
        run_session_bench(config("mortal:wrong=True"), tmp_path / "wrong", ray="")
    with pytest.raises(BudgetError):
        run_session_bench(config("mortal"), tmp_path / "dear", budget=Budget(tokens=4), ray="")
    assert len(files(tmp_path / "dear")) == 1
