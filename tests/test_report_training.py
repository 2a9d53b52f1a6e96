"""A report about training runs says what their files say."""

import html
import re

import pytest

pytest.importorskip("matplotlib", reason="the report's pictures need matplotlib (extra report)")

from tests import training_folders
from tests.reports import HOSTILE, Page
from tests.training_folders import grpo_rows
from vrsim.report import write_report
from vrsim.report.plain_text import visible
from vrsim.report.training_runs import put_together, read_training
from vrsim.report.training_words import Gap, bench_command, find_gap, summary, warnings_of

training = training_folders.training
KINDS = {"reward", "accuracy", "format", "divergence", "length", "drift", "loss"}


def page_of(*paths):
    report = write_report(paths, "report.html")
    source = report.page.read_text(encoding="utf-8")
    return report, source, Page(source)


def kinds(report) -> set[str]:
    return {file.name.split(".")[1] for file in report.pictures}


# What it says


def test_the_page_of_a_run_has_the_numbers_of_its_files(training):
    report, _, page = page_of(training())
    about, numbers, settings = page.tables
    row = dict(zip(*about, strict=True))
    assert row == {
        "run": "run", "method": "grpo", "how it ended": "finished", "model it started from": "pocket:0123",
        "world": "tiny", "protocol": "uniform", "steps": "40", "seconds": "10.0", "seed": "7",
        "hash of the weights": "c" * 10,
    }  # fmt: skip
    heads, judgment, selection = numbers
    assert dict(zip(heads, judgment, strict=True)) == {
        "run": "run", "task": "judgment", "train": ".800", "validation users": ".700", "gap": "+.100", "at step": "40",
        "validation users before": ".500", "reward at the end": "1.5",
    }  # fmt: skip
    assert selection[1:4] == ["selection", "-", ".250"]
    assert {name: (usual, value) for name, usual, value in settings[1:]} == {
        "world": ("ml-100k:holdout=10", "tiny"), "protocol": ("vragent-paper", "uniform"), "steps": ("400", "40"),
        "seed": ("0", "7"),
    }  # fmt: skip
    text = "".join(page.text)
    assert "judgment: train .800, validation users .700, gap .100; selection: validation users .250." in text
    assert "vrsim bench --world tiny --protocol uniform --m 3 --m 4 --agent checkpoint:run" in text
    assert kinds(report) == KINDS
    assert sum(tag == "svg" and a.get("role") == "img" for tag, a in page.elements) == len(KINDS)
    assert "box" not in {a.get("class") for _, a in page.elements}


def test_descriptions_of_pictures_say_where_lines_begin_and_end(training):
    _, _, page = page_of(training())
    told = " ".join(a["aria-label"] for tag, a in page.elements if a.get("role") == "img")
    assert "accuracy, judgment: from .900 at step 1 to .800 at step 40." in told
    assert "accuracy, judgment of validation users: from .500 at step 0 to .700 at step 40." in told
    assert "tokens of a reply: from 5.5 at step 1 to 5.5 at step 40." in told
    assert "share of Yes among the judgments: from .600 at step 1" in told


def test_fine_tuning_has_no_pictures_of_what_it_does_not_log(training):
    report, _, page = page_of(training(method="sft"))
    assert kinds(report) == {"accuracy", "loss"}
    assert "Shaded" not in "".join(page.text)
    heads, *rows = page.tables[1]
    assert "train" not in heads
    assert [dict(zip(heads, row, strict=True))["validation users"] for row in rows] == [".500", ".300"]


def test_several_runs_stand_in_the_same_pictures_what_came_first_first(training):
    later = training("later", card={"lineage": [{"method": "sft", "step": 40, "origin": "pocket:0123"}]})
    mixed = training("mixed", config={"curriculum": "mixed"})
    report, _, page = page_of(later, training("first", "sft"), mixed)
    assert [row[0] for row in page.tables[0][1:]] == ["first", "mixed", "later"]
    assert [head.strip() for head in page.tables[2][0]] == ["setting", "default", "first", "mixed", "later"]
    assert ["curriculum", "judgment-first", "", "mixed", "judgment-first"] in page.tables[2]
    assert kinds(report) == KINDS
    svg = (report.page.parent / "report-pictures" / "01-training.accuracy.svg").read_text()
    assert all(f">{name}</text>" in svg for name in ("first", "mixed", "later"))
    loss = (report.page.parent / "report-pictures" / "01-training.loss.svg").read_text()
    assert ">loss, fine-tuning</text>" in loss
    assert ">loss, GRPO</text>" in loss
    assert "sft, 40 steps, from pocket:0123" in "".join(page.text)


def test_many_runs_are_all_in_the_tables_and_the_first_in_the_pictures(training):
    _, _, page = page_of(*(training(f"run{i}") for i in range(7)))
    assert len(page.tables[0]) == 8
    assert "Shown: 5 of 7 runs." in "".join(page.text)


def test_runs_in_folders_of_one_name_are_told_apart(training):
    runs = put_together([read_training(training(f"{place}/user")) for place in "ab"])
    assert [run.name for run in runs] == ["a/user", "b/user"]


def test_a_stopped_run_says_why_without_folders_of_the_machine(training):
    reason = "training was stopped: KL is 11.0 at step 30; step 20 is kept as /home/me/run/model"
    _, source, page = page_of(training(stopped=reason))
    assert '<p class="box" role="note">' in source
    assert "run was stopped. training was stopped: KL is 11.0 at step 30; step 20 is kept as …/model" in "".join(
        page.text
    )
    assert "/home/me" not in source
    assert "/opt/bin" not in source


def test_an_unfinished_run_is_drawn_and_says_so(training):
    folder = training(rows=list(grpo_rows(25)), card=None, finished=False)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 26, "lo')
    report, _, page = page_of(folder)
    text = "".join(page.text)
    assert "run is not finished. Shown are 25 of 40 steps" in text
    assert page.tables[0][1][6] == "25 of 40"
    assert "Once it is finished: vrsim bench" in re.sub(r"\s+", " ", text)
    assert kinds(report) == KINDS


# Numbers


def test_the_gap_is_that_of_the_last_check_not_of_later_steps(training):
    rows = [*grpo_rows(), *({"step": step, "accuracy_judgment": 0.0} for step in range(41, 60))]
    assert find_gap(read_training(training(rows=rows)), "judgment") == Gap(
        "judgment", pytest.approx(0.8), 0.7, 0.5, 40, 0
    )


def test_seconds_of_a_run_that_went_on_add_up(training):
    clock = [1.0, 2.0, 3.0, 0.5, 1.5]
    rows = [{"step": i, "seconds": s} for i, s in enumerate(clock, 1)]
    assert read_training(training(rows=rows)).seconds == 4.5


def test_what_is_no_number_is_left_out_and_said(training):
    rows = [
        *grpo_rows(4),
        {"step": 5, "loss": "nan", "kl": float("inf"), "reward": None, "yes": True, "length": 10**400},
    ]
    run = read_training(training(rows=rows))
    assert [len(run.series(name)) for name in ("loss", "kl", "reward", "yes", "length")] == [4] * 5
    assert run.no_numbers() == dict.fromkeys(("loss", "kl", "yes", "length"), 5)
    assert "loss was no finite number at step 5" in "".join(page_of(run)[2].text)


def test_readers_are_warned_of_numbers_that_mislead(training):
    good = read_training(training("good"))
    assert warnings_of([good]) == []
    empty = {"step": 40, "held_out/judgment": 0.0, "held_out/format": 1.0}
    poor = read_training(training("poor", rows=[empty]))
    assert "less often than a blind guess in judgment:" in warnings_of([poor])[0]
    before = {"lineage": [{"method": "sft", "config": {"validation": 0.05}}]}
    assert (
        "were training users of a run that it started from"
        in warnings_of([read_training(training("leak", card=before))])[0]
    )
    other = read_training(training("other", config={"checked": 8, "reward": "mllmrec-r1"}))
    first, second = warnings_of([good, other])
    assert "differ in checked" in first
    assert "different rules" in second


def test_the_command_asks_what_was_trained(training):
    rows = [{"step": 1, "reward_judgment": 1.0}]
    run = read_training(training("a run", rows=rows, config={"world": "/data/my world"}))
    command = "vrsim bench --world '/data/my world' --protocol uniform --task judgment --agent 'checkpoint:a run'"
    assert bench_command(run) == command
    assert "/data" not in page_of(run)[1]


def test_the_terminal_is_told_the_key_numbers(training, vrsim_command):
    training("stop", stopped="it fell\x1b[31m apart")
    code, out, _ = vrsim_command("report", "stop", "--out", "page.html")
    assert code == 0
    assert "stop: grpo, stopped, 40 of 40 steps in 10 s, from pocket:0123\n" in out
    assert "judgment: train .800, validation users .700, gap .100 (step 40)\n" in out
    assert "reward of judgment 1.5, well-formed 90.0 %, silent groups 25.0 %, KL 0.01, loss 0.1\n" in out
    assert "checkpoint:stop\n" in out
    assert "report: page.html and 14 pictures" in out
    assert "\x1b[31m" not in out


# Hostile text


def test_hostile_text_is_text(training):
    nasty = " ".join(HOSTILE)
    config = {"world": nasty, "protocol": nasty, "model": nasty, "reward": nasty, nasty: nasty, "log": [nasty]}
    card = {"origin": nasty, "hash": nasty, "lineage": [{"method": nasty, "step": nasty, "origin": nasty}]}
    facts = {"stopped": nasty, "command": nasty, "versions": {nasty: nasty}, "started_at": nasty}
    rows = [row | {nasty: nasty} for row in grpo_rows()]
    name = "_<script>window.hacked = 1<!script> '\" $x^2$ \u202e"
    run = training(name, card=card, rows=rows, config=config, **facts)
    report, source, page = page_of(run, training("*<img src=x>", rows=rows))
    assert all(text not in source for text in HOSTILE[:6])
    assert html.escape(HOSTILE[0]) in re.sub("<wbr>", "", source)
    assert visible(source) == source
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "iframe", "object", "link", "base", "img", "image", "foreignobject", "b", "i", "u"}
    for _, attributes in page.elements:
        assert not [key for key in attributes if key.startswith("on") or key in ("style", "src")]
        assert re.match(r"#[\w-]+$|report-pictures/[\w.-]+\.(png|svg)$", attributes.get("href") or "#a")
    svg = (report.page.parent / "report-pictures" / "01-training.reward.svg").read_text()
    assert "$x^2$" in svg
    assert "<script" not in svg
    assert all(line == visible(line) for line in summary(put_together([read_training(run)])))
