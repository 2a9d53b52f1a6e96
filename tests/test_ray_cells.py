"""A benchmark on a local Ray cluster of two workers gives what one process gives, also when workers die."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.chat_server import ChatServer, Reply
from vrsim import registry
from vrsim.agent import Agent, Decisions
from vrsim.bench import BenchConfig, Budget, as_json, run_bench
from vrsim.cluster import cells as ray_cells
from vrsim.cluster import connect as ray_connect
from vrsim.cluster.worker import Job, play_job
from vrsim.episodes import make_episodes
from vrsim.errors import BudgetError, DecisionError, OptionError, ResultsError
from vrsim.models.ledger import Ledger
from vrsim.records import Cell
from vrsim.world import World

ray = pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = pytest.mark.usefixtures("home")  # workers are used again where it is the same


class Mortal(Agent):
    """A random user who learns, writes down every batch, and at a certain question takes its process along."""

    def __init__(self, folder: str, dies_at: int = -1, always: bool = False, wrong: bool = False):
        self._folder, self._dies_at, self._always, self._wrong = Path(folder), dies_at, always, wrong
        self._share = 0.5

    def reset(self, seed):
        self._rng = np.random.default_rng(seed)

    def act(self, observations):
        size = len(observations["slate"])
        with (self._folder / "batches").open("a") as log:
            log.write(f"{size}\n")
        died = self._folder / "died"
        if size == self._dies_at and (self._always or not died.exists()):
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self._wrong:
            raise DecisionError("I decide nothing")
        first = self._rng.random(size) < self._share
        return Decisions(np.where(first, 0, self._rng.integers(2, size=size)), text=["so be it"] * size)

    def learn(self, observations, decisions, rewards):
        self._share = float(np.clip(self._share + rewards.mean() / 4, 0.1, 0.9))


class Equipped(Agent):
    """Tells which GPUs it was given, and where it looks for models."""

    wants_gpu = True

    def act(self, observations):
        size = len(observations["slate"])
        given = ray.get_runtime_context().get_accelerator_ids()["GPU"], os.environ["VRSIM_HOME"]
        return Decisions(np.zeros(size, np.int64), text=[json.dumps(given)] * size)


class Unequipped(Equipped):
    wants_gpu = False


@pytest.fixture(scope="module")
def cluster(home):
    ray.init(num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def mortal(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    for name in ("Mortal", "Equipped", "Unequipped"):
        registry.register_agent(name.lower(), f"{__name__}:{name}")


def config(world, *agents: str, seeds: int = 1) -> BenchConfig:
    return BenchConfig(str(world), agents, ("uniform",), m=(3,), seeds=seeds)


def records(folder: Path) -> dict[str, list[dict]]:
    """Every line of a run by file, without the milliseconds."""
    files = sorted((folder / "cells").iterdir())
    rows = {file.name: [json.loads(line) for line in file.read_text().splitlines()] for file in files}
    return {name: [{**row, "ms": None} for row in found] for name, found in rows.items()}


def facts(folder: Path) -> dict:
    """What a manifest says of a run, whenever and wherever it was made."""
    manifest = json.loads((folder / "manifest.json").read_text())
    return {key: manifest[key] for key in ("config", "world_hash", "episodes", "protocol_hashes", "agents", "finished")}


def without_speed(rows) -> list[dict]:
    return [row | {"score": row["score"] | {"per_second": None}} for row in as_json(rows)]


def test_records_hashes_and_scores_are_those_of_one_process(cluster, tmp_path):
    asked = config("tiny", "uniform", "content", "bandit", seeds=2)
    alone = run_bench(asked, tmp_path / "alone")
    told = []
    rows = run_bench(asked, tmp_path / "ray", lambda done, total, what: told.append((done, total)), ray="")
    assert without_speed(rows) == without_speed(alone)
    assert records(tmp_path / "ray") == records(tmp_path / "alone")
    assert len(records(tmp_path / "ray")) == 3 * 2 * 2
    assert facts(tmp_path / "ray") == facts(tmp_path / "alone")
    questions = [{file.name: file.read_bytes() for file in (tmp_path / run / "episodes").iterdir()} for run in
                 ("ray", "alone")]  # fmt: skip
    assert questions[0] == questions[1]
    assert told == sorted(told)
    assert told[-1] == (2 * 3 * (200 + 100), 2 * 3 * (200 + 100))


def test_a_worker_that_dies_in_the_middle_of_a_cell_costs_time_only(cluster, town, tmp_path):
    alone = config(town, f"mortal:folder={tmp_path}")
    run_bench(alone, tmp_path / "alone")
    batches = (tmp_path / "batches").read_text().split()
    assert sorted(batches, key=int) == ["94", "188", "256", "256", "256"]
    (tmp_path / "batches").unlink()
    run_bench(config(town, f"mortal:folder={tmp_path},dies_at=94"), tmp_path / "ray", ray="")
    assert (tmp_path / "died").exists()
    assert len((tmp_path / "batches").read_text().split()) == len(batches) + 2  # the cell's two once more
    assert list(records(tmp_path / "ray").values()) == list(records(tmp_path / "alone").values())


def test_what_is_recorded_is_not_played_again(cluster, town, tmp_path):
    asked = config(town, f"mortal:folder={tmp_path}")
    run_bench(asked, tmp_path / "run")
    expected = records(tmp_path / "run")
    [judgments] = (tmp_path / "run" / "cells").glob("uniform.judgment.*")
    [selections] = (tmp_path / "run" / "cells").glob("uniform.selection.*")
    lines = selections.read_bytes().splitlines(keepends=True)
    selections.write_bytes(b"".join(lines[:300]) + lines[300][:20])  # a batch, a part of the next one, a torn line
    before = judgments.read_bytes()
    (tmp_path / "batches").unlink()
    run_bench(asked, tmp_path / "run", ray="")
    assert (tmp_path / "batches").read_text() == "94\n"
    assert judgments.read_bytes() == before
    assert selections.read_bytes().startswith(b"".join(lines[:256]))
    assert records(tmp_path / "run") == expected


def test_costs_are_booked_and_a_budget_ends_a_run_that_a_larger_one_goes_on_with(cluster, town, tmp_path):
    pytest.importorskip("openai", reason="models behind a server need openai")
    with ChatServer(lambda request, before: Reply("<think>because</think><answer>A</answer>")) as server:
        agent = f"us-agent:model=openai:m,base_url={server.url},backoff=0.01,input_price=1,output_price=2"
        run_bench(config(town, f"{agent},store={tmp_path}/one"), tmp_path / "alone")
        spent = Ledger(tmp_path / "alone" / "costs.jsonl").total
        asked = config(town, f"{agent},store={tmp_path}/two")
        with pytest.raises(BudgetError, match="larger budget"):
            run_bench(asked, tmp_path / "ray", budget=Budget(tokens=spent.tokens // 4), ray="")
        assert not facts(tmp_path / "ray")["finished"]
        part = Ledger(tmp_path / "ray" / "costs.jsonl").total
        assert spent.tokens // 4 <= part.tokens < spent.tokens
        run_bench(asked, tmp_path / "ray", budget=Budget(spent.dollars * 2), ray="")
    whole = Ledger(tmp_path / "ray" / "costs.jsonl").total
    assert (whole.calls, whole.failed, whole.tokens) == (spent.calls, 0, spent.tokens)
    assert whole.dollars == pytest.approx(spent.dollars)
    assert list(records(tmp_path / "ray").values()) == list(records(tmp_path / "alone").values())


def test_an_error_of_an_agent_arrives_in_its_own_words(cluster, tmp_path):
    with pytest.raises(DecisionError, match=r"^I decide nothing$"):
        run_bench(config("tiny", f"mortal:folder={tmp_path},wrong=True"), tmp_path / "run", ray="")
    assert not facts(tmp_path / "run")["finished"]


def test_a_cell_that_kills_every_worker_is_given_up(cluster, tmp_path, monkeypatch):
    for module in (ray_connect, ray_cells):
        monkeypatch.setattr(module, "RETRIES", 1)
    with pytest.raises(ResultsError, match=r"mortal:.*selection, m = 3, seed 0: 2 workers died over it"):
        run_bench(config("tiny", f"mortal:folder={tmp_path},dies_at=100,always=True"), tmp_path / "run", ray="")


def test_only_agents_that_load_a_model_get_a_gpu(cluster, tmp_path):
    asked = replace(config("tiny", "equipped", "unequipped", "equipped@no-history"), tasks=("selection",))
    run_bench(asked, tmp_path / "run", ray="")
    told = {name.split(".")[-3]: json.loads(rows[0]["text"]) for name, rows in records(tmp_path / "run").items()}
    home = os.environ["VRSIM_HOME"]
    assert told == {"equipped": [["0"], home], "unequipped": [[], home], "equipped%40no-history": [["0"], home]}
    pytest.importorskip("transformers", reason="local models need transformers")
    assert registry.make_agent("us-agent:model=hf:some/model").wants_gpu
    assert not registry.make_agent("us-agent:model=openai:gpt-4o-mini").wants_gpu
    assert not registry.make_agent("us-agent").wants_gpu


def test_a_person_and_a_client_from_outside_are_refused(cluster, tmp_path):
    with pytest.raises(OptionError, match="human asks a person"):
        run_bench(config("tiny", "human"), tmp_path / "run", ray="")
    with pytest.raises(OptionError, match="on a machine of the cluster"):
        run_bench(config("tiny", "uniform"), tmp_path / "run", ray="ray://127.0.0.1:1")


def test_a_machine_that_is_not_like_the_others_is_named():
    world = World.load("tiny")
    cell = Cell("uniform", "uniform", "selection", 3, "all", 0)
    job = Job.of(cell, make_episodes(world, "uniform", "selection"), [], Ledger())

    def told(**changes) -> str:
        *_, last = play_job(replace(job, origin=replace(job.origin, **changes)))
        return str(last.error)

    assert told(world_hash="0000") == f"a machine of the cluster has another world at tiny: expected 0000, {world.hash}"
    assert "does not see /nowhere" in told(folder="/nowhere")
    assert ", not 1.26; install the same versions" in told(versions=job.origin.versions | {"numpy": "1.26"})


def test_the_command_plays_on_a_cluster_and_says_where_there_is_none(cluster, vrsim_command):
    words = ("bench", "--world", "tiny", "--agent", "uniform", "--protocol", "uniform", "--m", 3, "--seeds", 1)
    assert vrsim_command(*words, "--out", "run", "--ray", "local")[0] == 0
    assert facts(Path("run"))["finished"]
    code, _, err = vrsim_command("bench", "--suite", "recommenders", "--ray", "local")
    assert (code, "--ray does not go with --suite recommenders" in err) == (1, True)
    ray.shutdown()
    code, _, err = vrsim_command(*words, "--out", "other", "--ray", "127.0.0.1:1")
    assert (code, "ray start" in err) == (1, True)
