"""A recorded run read back says what run_bench said, or why it does not."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from vrsim.bench import BenchConfig, run_bench
from vrsim.episode_files import save_episodes
from vrsim.episodes import make_episodes
from vrsim.errors import EpisodeError, ResultsError, WorldError
from vrsim.loop import play
from vrsim.registry import make_agent
from vrsim.runs import Question, read_run, together
from vrsim.seeding import derive
from vrsim.statistics import evaluate
from vrsim.world import World

CONFIG = BenchConfig(
    world="tiny", agents=("constant:answer=no", "uniform"), protocols=("uniform", "tallrec"), m=(2, 3), seeds=2
)
QUICK = replace(CONFIG, agents=("uniform",), protocols=("uniform",), tasks=("selection",), m=(3,))
ASKED = Question("uniform", "selection", 3, "all")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run and the rows that it came to."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    return folder, run_bench(CONFIG, folder)


@pytest.fixture
def damaged(finished, tmp_path):
    """A copy to damage."""
    return shutil.copytree(finished[0], tmp_path / "damaged")


@pytest.fixture
def bench(tmp_path):
    """Run a small benchmark and read it back."""

    def bench(name="second", **change):
        run_bench(replace(QUICK, **change), tmp_path / name)
        return read_run(tmp_path / name)

    return bench


def change_manifest(folder: Path, **change) -> None:
    file = folder / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | change), encoding="utf-8")


def one_of(folder: Path, pattern: str) -> Path:
    [file] = folder.glob(pattern)
    return file


# Reading


def test_a_run_read_back_has_the_scores_that_the_bench_returned(finished):
    folder, rows = finished
    run = read_run(folder)
    scores = {
        (agent, *asdict(question).values()): replace(evaluate(played), per_second=0.0)
        for question, by_agent in run.played.items()
        for agent, played in by_agent.items()
    }
    told = {(row.agent, row.protocol, row.task, row.m, row.cohort): replace(row.score, per_second=0.0) for row in rows}
    assert str(scores) == str({key: told[key] for key in scores})  # as text: NaN is not equal to itself
    assert len(scores) == len(told) == len(rows) == 2 * 4


def test_a_run_read_back_has_the_decisions_of_the_agents(finished):
    run = read_run(finished[0])
    assert run.agents == list(CONFIG.agents)
    for question, by_agent in run.played.items():
        for agent, seeds in by_agent.items():
            for seed, found in enumerate(seeds):
                m = max(1, question.m)  # TALLRec's judgments have 0
                episodes = make_episodes(run.world, question.protocol, question.task, m, seed=seed)
                played = play(make_agent(agent), episodes, derive(seed, "agent"))
                assert found.episodes.hash == episodes.hash
                for name in ("action", "valid", "probability"):
                    np.testing.assert_array_equal(getattr(found.decisions, name), getattr(played.decisions, name))
                for name in ("index", "correct", "reward"):
                    np.testing.assert_array_equal(getattr(found, name), getattr(played, name))


def test_the_questions_stand_in_the_order_of_the_bench(finished):
    folder, rows = finished
    told = [(row.protocol, row.task, row.m, row.cohort) for row in rows if row.agent == "uniform"]
    assert [tuple(asdict(question).values()) for question in read_run(folder).played] == told
    assert [str(question) for question in read_run(folder).played] == [
        "uniform, judgment", "uniform, selection, m = 2", "uniform, selection, m = 3", "tallrec, judgment",
    ]  # fmt: skip


def test_a_cohort_is_part_of_the_question(bench):
    [question] = bench(cohort="cold").played
    assert str(question) == "uniform, selection, m = 3, cold users"


def test_a_world_that_is_given_is_not_loaded_again(finished):
    world = World.load("tiny")
    run = read_run(str(finished[0]), world)
    assert run.world is world
    assert all(part.episodes.world is world for by in run.played.values() for parts in by.values() for part in parts)


# Refused


def test_a_folder_without_a_manifest_is_no_run(tmp_path):
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ResultsError, match=rf"{folder.name} is not a run: it has no manifest\.json.*vrsim bench"):
            read_run(folder)


def test_the_folder_of_another_command_is_no_run(tmp_path):
    (tmp_path / "asked.json").write_text("{}")
    with pytest.raises(ResultsError, match=r"is not a run: it holds the table of another command.*vrsim bench"):
        read_run(tmp_path)


@pytest.mark.parametrize("key", ["config", "finished", "world_hash", "episodes"])
def test_a_manifest_that_lacks_something_is_damaged(damaged, key):
    manifest = json.loads((damaged / "manifest.json").read_text(encoding="utf-8"))
    del manifest[key]
    (damaged / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ResultsError, match=rf"manifest\.json is damaged .*'{key}'"):
        read_run(damaged)


@pytest.mark.parametrize("content", ["", "{", "3", "null", "[]"])
def test_a_manifest_that_is_none_is_damaged(damaged, content):
    (damaged / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(ResultsError, match=r"manifest\.json is damaged"):
        read_run(damaged)


def test_a_manifest_that_lacks_a_seed_or_names_no_question_is_damaged(damaged):
    episodes = json.loads((damaged / "manifest.json").read_text(encoding="utf-8"))["episodes"]
    change_manifest(
        damaged, episodes={name: found for name, found in episodes.items() if name != "uniform selection 2 all 1"}
    )
    with pytest.raises(ResultsError, match=r"damaged: uniform, selection, m = 2 lacks one of 2 seeds"):
        read_run(damaged)
    change_manifest(damaged, episodes=episodes | {"all of them": "0"})
    with pytest.raises(ResultsError, match=r"manifest\.json is damaged"):
        read_run(damaged)


def test_an_unfinished_run_is_refused_and_told_how_to_go_on(damaged):
    change_manifest(damaged, finished=False)
    with pytest.raises(ResultsError, match=r"is not finished; .* goes on with --out .*damaged"):
        read_run(damaged)


def test_a_run_that_lost_a_cell_is_refused_by_the_name_of_the_file(damaged):
    file = one_of(damaged, "cells/uniform.selection.m3.all.seed1.constant*")
    file.unlink()
    with pytest.raises(ResultsError, match=f"damaged lacks {file.name}"):
        read_run(damaged)


@pytest.mark.parametrize("cut", [1, 100, 10_000])
def test_a_short_cell_is_refused(damaged, cut):
    file = one_of(damaged, "cells/uniform.selection.m3.all.seed1.constant*")
    file.write_bytes(file.read_bytes()[:-cut])
    before = file.read_bytes()
    whole = before.count(b"\n")  # lines
    with pytest.raises(ResultsError, match=rf"{file.name}: expected 100 decisions, found {whole}$"):
        read_run(damaged)
    assert file.read_bytes() == before  # reading repairs nothing


def test_a_damaged_line_of_a_cell_is_refused(damaged):
    file = one_of(damaged, "cells/uniform.selection.m3.all.seed1.constant*")
    lines = file.read_bytes().split(b"\n")
    file.write_bytes(b"\n".join([*lines[:7], b"{}", *lines[8:]]))
    with pytest.raises(ResultsError, match=rf"{file.name}: line 8 is damaged"):
        read_run(damaged)


def test_cells_of_other_questions_are_refused(damaged):
    one, other = (one_of(damaged, f"cells/uniform.selection.m3.all.seed{seed}.constant*") for seed in (0, 1))
    shutil.copy(one, other)
    with pytest.raises(ResultsError, match=f"{other.name} holds other episodes"):
        read_run(damaged)


def test_a_run_that_lost_its_questions_is_refused_and_the_bench_makes_them_again(damaged):
    (damaged / "episodes" / "uniform.selection.m3.all.seed1.parquet").unlink()
    with pytest.raises(ResultsError, match=r"damaged lacks episodes/uniform\.selection\.m3\.all\.seed1\.parquet"):
        read_run(damaged)
    run_bench(CONFIG, damaged)
    assert read_run(damaged).agents == list(CONFIG.agents)


def test_edited_questions_are_refused(damaged):
    file = damaged / "episodes" / "uniform.selection.m3.all.seed1.parquet"
    content = file.read_bytes()
    file.write_bytes(content[:100] + b"\x00" * 20 + content[120:])
    with pytest.raises(EpisodeError, match=file.name):
        read_run(damaged)


def test_questions_of_another_seed_are_refused_with_both_hashes(damaged):
    one, other = (make_episodes(World.load("tiny"), "uniform", "selection", 3, seed=seed) for seed in (1, 0))
    file = damaged / "episodes" / "uniform.selection.m3.all.seed1.parquet"
    save_episodes(other, file)
    with pytest.raises(ResultsError, match=f"{file.name} holds episodes {other.hash}, the run had {one.hash}"):
        read_run(damaged)


def test_a_run_on_another_world_is_refused_with_both_hashes(finished):
    one, other = World.load("tiny"), World.load("tiny:holdout=2")
    with pytest.raises(ResultsError, match=f"run on world {one.hash}, the world 'tiny:holdout=2' here is {other.hash}"):
        read_run(finished[0], other)


def test_a_run_whose_world_is_gone_is_refused(damaged):
    config = json.loads((damaged / "manifest.json").read_text(encoding="utf-8"))["config"]
    change_manifest(damaged, config=config | {"world": "worlds/gone"})
    with pytest.raises(WorldError, match="no world folder"):
        read_run(damaged)


# Several runs


def test_one_run_together_is_the_run(finished):
    run = read_run(finished[0])
    assert together([run]) == run.played


def test_runs_together_hold_the_questions_and_agents_of_each(finished, bench):
    first, second = read_run(finished[0]), bench(agents=("popularity",), m=(3, 4))
    table = together([first, second])
    assert [str(question) for question in table if question not in first.played] == ["uniform, selection, m = 4"]
    assert list(table[ASKED]) == [*CONFIG.agents, "popularity"]
    assert table[ASKED]["popularity"] is second.played[ASKED]["popularity"]
    assert list(table[replace(ASKED, m=4)]) == ["popularity"]


def test_an_agent_of_two_runs_stands_there_twice_named_with_its_run(finished, bench):
    first, second = read_run(finished[0]), bench()
    table = together([first, second])
    assert list(table[ASKED]) == ["constant:answer=no", "uniform (first)", "uniform (second)"]
    for run in (first, second):
        assert table[ASKED][f"uniform ({run.path.name})"] is run.played[ASKED]["uniform"]


def test_runs_of_one_name_are_told_apart_by_their_folders(bench, tmp_path, monkeypatch):
    runs = [bench("one/run"), bench("two/run")]
    assert list(together(runs)[ASKED]) == [f"uniform ({tmp_path / name / 'run'})" for name in ("one", "two")]
    monkeypatch.chdir(tmp_path / "one" / "run")
    here = replace(runs[0], path=Path())
    assert list(together([here, bench("other")])[ASKED]) == ["uniform (run)", "uniform (other)"]


def test_a_run_that_is_named_twice_is_refused(bench, tmp_path):
    run = bench()
    with pytest.raises(ResultsError, match="named twice"):
        together([run, replace(run, path=tmp_path / "here" / ".." / "second")])


def test_runs_of_different_worlds_are_refused_with_both_hashes(bench):
    runs = [bench("one"), bench("two", world="tiny:holdout=2")]
    one, other = (run.world.hash for run in runs)
    with pytest.raises(ResultsError, match=f"one and .*two are runs of different worlds, {one} and {other}"):
        together(runs)


def test_runs_that_asked_other_episodes_are_refused_with_both_hashes(finished, bench):
    first, second = read_run(finished[0]), bench()
    parts = second.played[ASKED]["uniform"]
    other = replace(second, played={ASKED: {"uniform": parts[::-1]}})  # as if the protocol had changed meanwhile
    hashes = " and ".join(part.episodes.hash for part in parts[::-1])
    with pytest.raises(ResultsError, match=f"uniform, selection, m = 3: .*second asked other episodes .*{hashes}"):
        together([first, other])


def test_runs_of_more_and_fewer_seeds_are_refused(finished, bench):
    with pytest.raises(ResultsError, match=r"second has 1 seeds, the run before 2"):
        together([read_run(finished[0]), bench(seeds=1)])
