"""A report stays small, is the same every time, and replaces an old one whole."""

import json
import os
import sys
from dataclasses import replace

import pytest

from tests.reports import SHORTCUTS, Page
from vrsim.errors import DependencyError, ResultsError
from vrsim.report import write_report
from vrsim.runs import read_run

# Files


def contents(report) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in report.files}


def test_equal_runs_give_equal_bytes_whatever_style_is_set(run, report, tmp_path):
    import matplotlib

    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "svg.hashsalt": None, "lines.linewidth": 9}):
        again = write_report([run], tmp_path / "report.html", shortcuts=SHORTCUTS)
    assert contents(again) == contents(report)


def test_pictures_lie_beside_the_page_in_both_formats(report, source):
    assert {file.parent for file in report.pictures} == {report.page.parent / "report-pictures"}
    assert sorted(report.page.parent.rglob("*.*g")) == sorted(report.pictures)
    kinds = {file.name.removeprefix("01-uniform-judgment.") for file in report.pictures if file.name.startswith("01")}
    kinds_expected = {"score", "activity", "calibration", "agreement"}
    assert kinds <= {f"{kind}.{form}" for kind in kinds_expected for form in ("png", "svg")}
    for file in report.pictures:
        start = b"\x89PNG\r\n" if file.suffix == ".png" else b"<?xml"
        assert file.read_bytes().startswith(start)
        assert f'href="report-pictures/{file.name}"' in source
    assert sum(tag == "svg" and a.get("role") == "img" for tag, a in Page(source).elements) == len(report.pictures) / 2


def test_every_picture_has_a_description(page):
    drawings = [attributes for tag, attributes in page.elements if tag == "svg" and attributes.get("role") == "img"]
    assert drawings
    assert all(len(attributes["aria-label"]) > 40 for attributes in drawings)


def test_activity_groups_and_calibration_are_drawn_where_there_is_something_to_show(tiny_run, tmp_path):
    kinds = {
        agent: {
            file.name.split(".")[1]
            for file in write_report([tiny_run(agent, agents=(agent,))], tmp_path / "r.html").pictures
        }
        for agent in ("constant", "uniform")
    }
    assert kinds == {"constant": {"score", "activity"}, "uniform": {"score", "activity", "calibration"}}


def test_a_report_replaces_an_earlier_one_and_nothing_else(run, tiny_run, tmp_path):
    out = tmp_path / "report.html"
    first = write_report([run], out, shortcuts=SHORTCUTS)
    other = tmp_path / "report-pictures" / "mine.png"
    other.write_bytes(b"mine")
    second = write_report([tiny_run()], out)
    assert out.read_text() != first
    assert set((tmp_path / "report-pictures").iterdir()) == {*second.pictures, other}
    assert not list(tmp_path.glob(".*"))


def test_a_report_that_fails_leaves_the_earlier_one_alone(tiny_run, tmp_path, monkeypatch):
    out, path = tmp_path / "report.html", tiny_run()
    out.write_text("before")
    (tmp_path / "report-pictures").write_text("a file where the folder should be")
    with pytest.raises(ResultsError, match=r"report-pictures.*cannot be written"):
        write_report([path], out)
    assert out.read_text() == "before"
    (tmp_path / "report-pictures").unlink()

    def full(file, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(ResultsError, match="No space left on device"):
        write_report([path], out)
    assert out.read_text() == "before"
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]


def test_the_folder_of_a_report_is_made(tiny_run, tmp_path):
    assert write_report([tiny_run()], tmp_path / "a" / "b" / "report.html").page.exists()


def test_progress_goes_from_nothing_to_done(tiny_run, tmp_path):
    told = []
    write_report([tiny_run()], tmp_path / "r.html", lambda done, total, what: told.append((done / total, what)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert (shares[0], told[0][1], shares[-1], told[-1][1]) == (0, "reading tiny", 1, "done")


# Errors


def test_what_cannot_be_reported_is_refused(tiny_run, tmp_path):
    path = tiny_run()
    with pytest.raises(ResultsError, match=r"expected a name like report.html, found 'report.pdf'"):
        write_report([path], tmp_path / "report.pdf")
    with pytest.raises(ResultsError, match="at least one run folder"):
        write_report([], tmp_path / "report.html")
    with pytest.raises(ResultsError, match="is not a run"):
        write_report([tmp_path / "nothing"], tmp_path / "report.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(ResultsError, match="is a folder"):
        write_report([path], tmp_path / "folder.html")
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["command"]
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ResultsError, match="lacks command"):
        write_report([path], tmp_path / "report.html")
    (path / "manifest.json").write_text(json.dumps(manifest | {"finished": False}))
    with pytest.raises(ResultsError, match="not finished"):
        write_report([path], tmp_path / "report.html")
    assert not list(tmp_path.glob("report*"))


def test_shortcuts_asked_something_else_are_refused(tiny_run, tmp_path):
    path, other = tiny_run(), tiny_run("other", protocols=("rank-matched",))
    [question] = read_run(path).played
    [strange] = read_run(other).played.values()
    with pytest.raises(ResultsError, match="different questions"):
        write_report([path], tmp_path / "r.html", shortcuts=(), shortcut_runs={question: {"odd": strange["uniform"]}})
    [by_agent] = read_run(path).played.values()
    [whole] = by_agent["uniform"]
    half = replace(whole, index=whole.index[::-1])
    with pytest.raises(ResultsError, match="one decision per episode, in order"):
        write_report([path], tmp_path / "r.html", shortcuts=(), shortcut_runs={question: {"odd": [half]}})


def test_without_matplotlib_the_message_says_what_to_install(tiny_run, tmp_path, monkeypatch):
    path = tiny_run()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(DependencyError, match=r"pip install 'vrsim\[report\]'"):
        write_report([path], tmp_path / "r.html")
