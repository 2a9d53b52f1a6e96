"""A run goes on where it stopped, is read without an agent when it is finished, and is never overwritten."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vrsim import registry
from vrsim.agent import Agent, Decisions
from vrsim.bench import BenchConfig, Row, as_json, run_bench
from vrsim.building import BuildConfig, build
from vrsim.errors import ResultsError, UnknownNameError

QUICK = BenchConfig(world="tiny", agents=("logging",), protocols=("uniform",), m=(3,), seeds=2)


class Logging(Agent):
    """Answer 0 and count the questions."""

    asked = 0

    def act(self, observations):
        Logging.asked += len(observations["slate"])
        return Decisions(np.zeros(len(observations["slate"]), np.int64))


class Breaking(Logging):
    """Give up on selections."""

    def act(self, observations):
        if observations["slate"].shape[1] > 1:
            raise RuntimeError("the model has gone away")
        return super().act(observations)


class Allocating(Agent):
    """Allocate in fit what learn needs, and refuse to be fitted twice."""

    fitted, learned = 0, 0
    closed = False

    def fit(self, world, training):
        if self.closed or hasattr(self, "total"):
            raise RuntimeError("fitted once more")
        self.total = np.zeros(world.n_items + 1)
        Allocating.fitted += 1

    def act(self, observations):
        return Decisions(np.zeros(len(observations["slate"]), np.int64))

    def learn(self, observations, decisions, rewards):
        np.add.at(self.total, observations["slate"][:, 0], rewards)
        Allocating.learned += len(rewards)


@pytest.fixture(autouse=True)
def agents(monkeypatch, tmp_path):
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(Logging, "asked", 0)
    monkeypatch.setattr(Allocating, "fitted", 0)
    monkeypatch.setattr(Allocating, "learned", 0)
    for name in ("Logging", "Breaking", "Allocating"):
        registry.register_agent(name.lower(), f"{__name__}:{name}")


def without_speed(rows: list[Row]) -> list[dict]:
    """Results as plain data, without what differs from machine to machine."""
    return [row | {"score": row["score"] | {"per_second": None}} for row in as_json(rows)]


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_finished_run_is_read_and_not_asked_again(tmp_path):
    first = without_speed(run_bench(QUICK, tmp_path / "run"))
    asked, before = Logging.asked, snapshot(tmp_path / "run")
    assert asked == 2 * (200 + 100)
    assert without_speed(run_bench(QUICK, tmp_path / "run")) == first
    assert Logging.asked == asked
    assert snapshot(tmp_path / "run") == before


@pytest.mark.parametrize(
    "change",
    [{"seeds": 3}, {"m": (4,)}, {"protocols": ("vragent-paper",)}, {"cohort": "cold"}, {"agents": ("uniform",)},
     {"tasks": ("judgment",)}, {"world": "tiny:holdout=2"}],
    ids=str,
)  # fmt: skip
def test_a_run_of_other_settings_is_refused_and_left_alone(tmp_path, change):
    run_bench(QUICK, tmp_path / "run")
    before = snapshot(tmp_path / "run")
    with pytest.raises(ResultsError, match="already holds another run"):
        run_bench(replace(QUICK, **change), tmp_path / "run")
    assert snapshot(tmp_path / "run") == before


def test_a_folder_with_other_things_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work", encoding="utf-8")
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    before = snapshot(tmp_path)
    for name in ("thesis", "file"):
        with pytest.raises(ResultsError, match="--out"):
            run_bench(QUICK, tmp_path / name)
    with pytest.raises(ResultsError, match="cannot be written"):
        run_bench(QUICK, tmp_path / "file" / "run")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("key", ["world_hash", "episodes", "config"])
def test_a_manifest_that_does_not_say_what_was_run_is_damaged(tmp_path, key):
    run_bench(QUICK, tmp_path / "run")
    manifest = manifest_of(tmp_path / "run")
    del manifest[key]
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ResultsError, match=rf"manifest.json is damaged .*{key}"):
        run_bench(QUICK, tmp_path / "run")


def test_other_episodes_of_the_same_world_are_refused(tmp_path):
    run_bench(QUICK, tmp_path / "run")
    manifest = manifest_of(tmp_path / "run")
    manifest["episodes"]["uniform selection 3 all 1"] = "0" * 64  # as if the protocol had made others then
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    before = snapshot(tmp_path / "run")
    with pytest.raises(ResultsError, match="already holds another run: uniform selection 3 all 1 was"):
        run_bench(QUICK, tmp_path / "run")
    assert snapshot(tmp_path / "run") == before


def test_a_folder_with_nothing_but_a_lock_is_taken(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").touch()
    run_bench(QUICK, tmp_path / "run")
    assert manifest_of(tmp_path / "run")["finished"] is True


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "run" / "deep").mkdir(parents=True)
    run_bench(QUICK, tmp_path / "run" / "deep")
    assert manifest_of(tmp_path / "run" / "deep")["finished"] is True


def test_a_damaged_manifest_is_refused(tmp_path):
    run_bench(QUICK, tmp_path / "run")
    (tmp_path / "run" / "manifest.json").write_text('{"config": {', encoding="utf-8")
    with pytest.raises(ResultsError, match=r"manifest.json is damaged"):
        run_bench(QUICK, tmp_path / "run")


def test_nothing_is_written_when_the_settings_cannot_be_played(tmp_path):
    for change in ({"agents": ("unifrom",)}, {"protocols": ("unifrom",)}, {"m": (500,)}, {"world": "tiyn"}):
        with pytest.raises((UnknownNameError, ValueError)):
            run_bench(replace(QUICK, **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_an_agent_broke_off_is_not_finished_and_goes_on(tmp_path, monkeypatch):
    config = replace(QUICK, agents=("breaking",))
    with pytest.raises(RuntimeError, match="gone away"):
        run_bench(config, tmp_path / "run")
    assert manifest_of(tmp_path / "run")["finished"] is False
    assert "ended" not in manifest_of(tmp_path / "run")
    asked = Logging.asked
    monkeypatch.setattr(Breaking, "act", Logging.act)
    run_bench(config, tmp_path / "run")
    assert manifest_of(tmp_path / "run")["finished"] is True
    assert Logging.asked == asked + 2 * 100


def test_another_world_at_the_same_place_is_refused(tmp_path, crowd):
    folder = tmp_path / "world"
    config = replace(QUICK, world=str(folder))
    build(folder, crowd(60), BuildConfig(recommender="transitions"))
    run_bench(config, tmp_path / "run")
    shutil.rmtree(folder)
    build(folder, crowd(60, seed=1), BuildConfig(recommender="transitions"))
    with pytest.raises(ResultsError, match="already holds another run: world_hash was"):
        run_bench(config, tmp_path / "run")


# Reading needs no agent


def test_what_an_agent_allocates_to_learn_is_not_needed_to_read_a_run(tmp_path, monkeypatch):
    config = replace(QUICK, agents=("allocating",))
    first = without_speed(run_bench(config, tmp_path / "run"))
    assert (Allocating.fitted, Allocating.learned) == (4, 2 * 100)  # two tasks, two seeds; judgments teach nothing
    monkeypatch.setattr(Allocating, "closed", True)
    assert without_speed(run_bench(config, tmp_path / "run")) == first
    assert (Allocating.fitted, Allocating.learned) == (4, 2 * 100)


def test_only_the_cells_that_are_missing_need_a_fitted_agent(tmp_path):
    config = replace(QUICK, agents=("allocating",))
    first = without_speed(run_bench(config, tmp_path / "run"))
    [file] = (tmp_path / "run" / "cells").glob("uniform.selection.m3.all.seed1.*")
    file.unlink()
    assert without_speed(run_bench(config, tmp_path / "run")) == first
    assert (Allocating.fitted, Allocating.learned) == (4 + 1, 2 * 100 + 100)


def test_a_finished_run_that_lost_a_cell_is_not_finished_while_it_is_played(tmp_path, monkeypatch):
    config = replace(QUICK, agents=("breaking",))
    with monkeypatch.context() as patch:
        patch.setattr(Breaking, "act", Logging.act)
        run_bench(config, tmp_path / "run")
    for file in (tmp_path / "run" / "cells").glob("uniform.selection.*"):
        file.unlink()
    with pytest.raises(RuntimeError, match="gone away"):
        run_bench(config, tmp_path / "run")
    assert manifest_of(tmp_path / "run")["finished"] is False


def test_the_folder_is_free_after_a_run_that_broke_off(tmp_path):
    with pytest.raises(RuntimeError, match="gone away"):
        run_bench(replace(QUICK, agents=("breaking",)), tmp_path / "run")
    with pytest.raises(ResultsError, match="already holds another run"):  # not: in use
        run_bench(QUICK, tmp_path / "run")
