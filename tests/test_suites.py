"""The suite us-ablation: what is trained from what, numbers that are those of the records, and going on."""

import itertools
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from tests.trained import SMALL
from vrsim import us_ablation
from vrsim.audit import audit_run
from vrsim.bench import plain
from vrsim.comparisons import compare, holm
from vrsim.errors import OptionError, ResultsError
from vrsim.models.trained import read_trained
from vrsim.records import Cell
from vrsim.runs import read_run
from vrsim.suites import VARIANTS
from vrsim.text.replies import YES_NO, read_reply
from vrsim.text.rewards import paper_reward
from vrsim.training.run_folder import read_metrics
from vrsim.us_ablation import AblationConfig, ablation_json, run_ablation

SHORT = SMALL | {"protocol": "vragent-paper", "check_every": 0, "steps": 3, "batch": 16, "rollouts": 4, "history": 0}
FIRST = {"steps": 40, "batch": 16, "learning_rate": 1e-2, "earlier": 0, "check_every": 0}
TRAINED = ("SFT", "GRPO", "GRPO, mixed from the start", "GRPO, selection only")


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def settings(model: str, **changes) -> AblationConfig:
    options = SHORT | {"max_tokens": 6, "model": model} | {f"sft.{name}": value for name, value in FIRST.items()}
    return AblationConfig(options=options | changes.pop("options", {}), **({"m": (3,), "seeds": 2} | changes))


def words(config: AblationConfig, out: Path) -> list[str]:
    """The same as a command line."""
    options = {name: "" if value == () else value for name, value in config.options.items()}
    named = [part for name in ("world", "protocol", "model") for part in (f"--{name}", options.pop(name))]
    named += [part for name, value in options.items() for part in ("--option", f"{name}={value}")]
    asked = [part for m in config.m for part in ("--m", m)]
    return ["bench", "--suite", "us-ablation", *named, *asked, "--seeds", config.seeds, "--out", out]


def weights(out: Path) -> dict[str, bytes]:
    return {
        file.parent.parent.name: file.read_bytes()
        for file in sorted((out / "training").glob("*/model/model.safetensors"))
    }


@pytest.fixture(scope="module")
def config(small_pocket):
    return settings(small_pocket)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("suite") / "ablation"


@pytest.fixture(scope="module")
def result(config, out):
    return run_ablation(config, out)


@pytest.fixture(scope="module")
def records(result, out):
    return read_run(out / "bench")


def rows(result, task):
    [found] = [found for found in result.compared if found.question.task == task]
    return {row.variant: row for row in found.rows}


def both_tasks(test):
    return pytest.mark.parametrize("task", ["judgment", "selection"])(test)


# What is trained


def test_every_variant_is_trained_with_every_seed_and_asked(result, records, small_pocket):
    assert list(result.agents) == ["no training", *TRAINED]
    assert result.agents["no training"] == [f"us-agent:model={small_pocket}"]
    assert all(len(result.agents[name]) == 2 for name in TRAINED)
    assert records.agents == [agent for found in result.agents.values() for agent in found]
    cards = {name: [read_trained(Path(a.partition(":")[2])).card for a in result.agents[name]] for name in TRAINED}
    assert [card["config"]["seed"] for card in cards["GRPO"]] == [0, 1]
    for name in TRAINED[1:]:
        assert [card["lineage"][-1]["hash"] for card in cards[name]] == [card["hash"] for card in cards["SFT"]]
        assert all(card["step"] == 3 for card in cards[name])
    assert {card["config"]["curriculum"] for card in cards["GRPO, selection only"]} == {"selection-only"}
    assert len({card["hash"] for found in cards.values() for card in found}) == 8


def test_what_changes_nothing_is_left_out_with_the_reason(result):
    assert set(result.left_out) | set(result.agents) == {variant.name for variant in VARIANTS}
    assert result.left_out["GRPO, no CoT"] == "the prompt pocket asks for no reasoning anyway."
    assert result.left_out["GRPO, no comments"] == "the prompt pocket shows titles and no comments anyway."
    assert result.left_out["GRPO, no captions"] == "the prompt pocket shows titles and no captions anyway."
    assert result.notes == []


def test_a_variant_with_another_prompt_starts_from_a_fine_tuning_of_its_own(tmp_path, small_pocket):
    options = {"prompt": "us-agent", "steps": 1, "sft.steps": 1, "batch": 4, "sft.batch": 4, "users": 20}
    asked = settings(small_pocket, options=options, seeds=1, tasks=("judgment",), users=4)
    result = run_ablation(asked, tmp_path / "out")
    runs = tmp_path / "out" / "training"
    assert {run.name for run in runs.iterdir()} == {
        "sft-0", "sft-grpo-no-cot-0", "grpo-0", "grpo-no-cot-0", "grpo-mixed-from-the-start-0", "grpo-selection-only-0",
    }  # fmt: skip
    cards = {run.name: read_trained(run).card for run in runs.iterdir()}
    for name, card in cards.items():
        own = "sft-grpo-no-cot-0" if "no-cot" in name else "sft-0"
        assert list(card["prompt"]) == ["us-agent-direct-v1" if "no-cot" in name else "us-agent-v1"]
        assert card["config"]["cot"] is ("no-cot" not in name)
        assert name.startswith("sft") or card["lineage"][-1]["hash"] == cards[own]["hash"]
    assert result.agents["no training"] == [f"us-agent:max_tokens=6,model={small_pocket},prompt=us-agent"]
    assert result.left_out == {f"GRPO, no {x}": f"the world tiny has no {x}." for x in ("comments", "captions")}
    assert rows(result, "judgment")["GRPO, no CoT"].published == 0.580


# Numbers


@both_tasks
def test_pooled_numbers_are_those_of_the_records(result, out, task):
    m = 1 if task == "judgment" else 3
    lines: dict[str, list[dict]] = {}
    for agent in itertools.chain(*result.agents.values()):
        files = [out / "bench" / "cells" / Cell(agent, "vragent-paper", task, m, "all", seed).file for seed in (0, 1)]
        lines[agent] = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    for name, row in rows(result, task).items():
        correct = [[line["correct"] for line in lines[agent]] for agent in result.agents[name]]
        assert row.accuracy.value == pytest.approx(np.mean(correct))
        assert row.accuracy.low <= row.accuracy.value <= row.accuracy.high
        assert row.by_seed == pytest.approx([] if name == "no training" else [np.mean(own) for own in correct])
        if task == "judgment" and name != "no training":
            rewards = [
                paper_reward(read_reply(line["text"], YES_NO, False), line["answer"], task)
                for agent in result.agents[name]
                for line in lines[agent]
            ]
            assert row.reward == pytest.approx(np.mean(rewards))
    assert rows(result, task)["no training"].reward is None


@both_tasks
def test_differences_to_sft_are_paired_and_corrected_together(result, records, task):
    [question] = [question for question in records.played if question.task == task]
    played = records.played[question]
    pooled = {name: [run for agent in found for run in played[agent]] for name, found in result.agents.items()}
    pooled["no training"] *= 2
    expected = {name: compare(runs, pooled["SFT"]) for name, runs in pooled.items() if name != "SFT"}
    found = rows(result, task)
    assert found["SFT"].over_sft is None
    assert {name: row.over_sft.difference for name, row in found.items() if name != "SFT"} == expected
    corrected = holm([difference.p for difference in expected.values()])
    assert [row.over_sft.p for name, row in found.items() if name != "SFT"] == corrected


@both_tasks
def test_the_best_shortcut_is_that_of_the_audit(result, records, task):
    [compared] = [found for found in result.compared if found.question.task == task]
    [audited] = [row for row in audit_run(records) if row.question.task == task]
    assert (compared.shortcut, compared.score) == (audited.best, audited.scores[audited.best].headline)
    for row in compared.rows:
        lift = row.over_shortcut.difference.value.value
        assert lift == pytest.approx(row.accuracy.value - compared.score.value)


def test_the_published_rows_stand_beside(result):
    assert {name: row.published for name, row in rows(result, "selection").items()} == {
        "no training": None, "SFT": 0.442, "GRPO": 0.646,
        "GRPO, mixed from the start": None, "GRPO, selection only": None,
    }  # fmt: skip
    assert rows(result, "judgment")["GRPO"].published == 0.715


# Going on


def test_the_same_again_trains_nothing_and_says_the_same(config, out, result):
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*") if file.suffix in (".safetensors", ".jsonl")}
    assert len(before) > 10
    assert run_ablation(config, out) == result
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert json.loads((out / "ablation.json").read_text()) == json.loads(json.dumps(ablation_json(result)))
    assert not (out / ".ablation.json").exists()


def test_a_killed_suite_goes_on_to_the_same_weights(config, out, result, tmp_path):
    killed, config = tmp_path / "killed", replace(config, seeds=1, tasks=("judgment",))
    for part in (0.5, 3.5):  # in the fine-tuning and in the last training

        def progress(done, total, what, part=part):
            if done > part:
                raise Killed

        with pytest.raises(Killed):
            run_ablation(config, killed, progress)
        assert not (killed / "ablation.json").exists()
    again = run_ablation(config, killed)
    assert weights(killed) == {name: found for name, found in weights(out).items() if name.endswith("-0")}
    assert rows(again, "judgment")["GRPO"].by_seed == pytest.approx(_first_seed(result, out))

    # A run that collapsed is a result: its last good model is asked, and without one the variant is left out.
    stopped = killed / "training" / "grpo-0" / "training.json"
    stopped.write_text(json.dumps(json.loads(stopped.read_text()) | {"stopped": "training was stopped: gibberish"}))
    noted = run_ablation(config, killed)
    assert noted == replace(again, notes=["grpo-0: training was stopped: gibberish"])
    (killed / "training" / "grpo-0" / "model").rename(tmp_path / "gone")
    (killed / "bench").rename(tmp_path / "old")
    without = run_ablation(config, killed)
    assert "GRPO" not in without.agents
    assert without.left_out["GRPO"] == "grpo-0 was stopped and left no model: training was stopped: gibberish"


def _first_seed(result, out) -> list[float]:
    """The accuracy of the first training seed on the questions of the first seed."""
    [played] = [p for q, p in read_run(out / "bench").played.items() if q.task == "judgment"]
    return [played[result.agents["GRPO"][0]][0].correct.mean()]


def test_steps_are_logged_once(out, result):
    for run in (out / "training").iterdir():
        steps = [row["step"] for row in read_metrics(run) if "loss" in row]
        assert steps == sorted(set(steps))
        assert steps


# The command


def test_the_command_prints_tables_that_fit_a_terminal(config, out, result, vrsim_command):
    code, text, _ = vrsim_command(*words(config, out))
    assert code == 0
    for word in ("GRPO, mixed from the start", "over SFT", "over shortcut", "published", ".715", "m = 3"):
        assert word in text
    assert "left out: GRPO, no CoT: the prompt pocket asks for no reasoning anyway." in text
    tables = [line for line in text.splitlines() if line.startswith((" ", "─"))]
    assert max(map(len, tables)) <= 80


def test_the_command_prints_the_same_as_json(config, out, result, vrsim_command):
    code, text, _ = vrsim_command(*words(config, out), "--json")
    assert code == 0
    told = json.loads(text)
    assert told == {"out": str(out), **json.loads((out / "ablation.json").read_text())}
    assert [row["rows"] for row in told["compared"]] == [plain([asdict(r) for r in c.rows]) for c in result.compared]
    assert [row["simulator"] for row in told["published"]][-1] == "GRPO"


def test_an_interrupted_command_says_how_to_go_on(config, out, result, vrsim_command, monkeypatch):
    def interrupted(*anything):
        raise KeyboardInterrupt

    monkeypatch.setattr(us_ablation, "run_bench", interrupted)
    code, _, err = vrsim_command(*words(config, out))
    assert code == 130
    assert "stopped; the same command goes on where it stopped" in err


def test_a_folder_of_something_else_is_left_alone(config, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ResultsError, match=r"holds something else than this suite \(thesis.tex\)"):
        run_ablation(config, tmp_path)
    with pytest.raises(OptionError, match="without commas"):
        run_ablation(config, tmp_path / "a,b=c")
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
