"""A report about training runs replaces an old one whole, and refuses what it cannot read."""

import json

import pytest

pytest.importorskip("matplotlib", reason="the report's pictures need matplotlib (extra report)")

from tests import training_folders
from vrsim.errors import ResultsError
from vrsim.report import write_report
from vrsim.report.training_runs import are_training, read_training

training = training_folders.training


# Files


def test_equal_runs_give_equal_bytes_and_replace_pictures_of_other_kinds(training, tmp_path, tiny_run):
    folder = training()
    write_report([tiny_run()], "report.html")
    first = {file.name: file.read_bytes() for file in write_report([folder], "report.html").files}
    again = {file.name: file.read_bytes() for file in write_report([read_training(folder)], "report.html").files}
    assert first == again
    assert {file.name for file in (tmp_path / "report-pictures").iterdir()} == first.keys() - {"report.html"}


def damage(folder, **changes):
    manifest = json.loads((folder / "training.json").read_text())
    (folder / "training.json").write_text(json.dumps(manifest | changes))


def test_damaged_runs_are_refused(training):
    with pytest.raises(ResultsError, match="has no metrics yet"):
        read_training(training("empty", rows=[]))
    for name, text in (("half", '{"config": '), ("list", "[]"), ("deep", "[" * 100_000), ("bare", "{}")):
        folder = training(name)
        (folder / "training.json").write_text(text)
        with pytest.raises(ResultsError, match=r"training\.json is damaged"):
            read_training(folder)
    for changes in ({"method": 3}, {"config": {}}, {"stopped": 1}, {"versions": None}, {"finished": "no"}):
        folder = training(str(changes).replace("/", ""))
        damage(folder, **changes)
        with pytest.raises(ResultsError, match="to be of type"):
            read_training(folder)
    for setting in ({"m": ["3"]}, {"tasks": [None]}, {"steps": True}, {"checked": "8"}):
        with pytest.raises(ResultsError, match="is damaged"):
            read_training(training(str(setting), config=setting))
    with pytest.raises(ResultsError, match="expected lineage"):
        read_training(training("lineage", card={"lineage": ["sft"]}))
    folder = training("bytes")
    (folder / "metrics.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(ResultsError, match="cannot be read"):
        read_training(folder)


def test_runs_that_do_not_belong_together_are_refused(training, tiny_run, vrsim_command):
    one, two = training("one"), training("two", world_hash="d" * 64)
    with pytest.raises(ResultsError, match=r"different worlds, a+ and d+"):
        write_report([one, two], "report.html")
    with pytest.raises(ResultsError, match="named twice"):
        write_report([one, one], "report.html")
    tiny_run("benched")
    code, _, err = vrsim_command("report", "one", "benched", "nothing")
    assert code == 1
    for said in ("one is a training run", "benched is a run of vrsim bench", "nothing is no run"):
        assert said in err
    assert not are_training(["benched", "nothing"])
