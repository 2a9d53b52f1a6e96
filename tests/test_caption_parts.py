"""vrsim.perception: the items, what is kept of each stage, the table, the audit, the pace and the contact sheet."""

import os

import pyarrow.parquet as pq
import pytest

from tests.captioned import jpeg
from vrsim.errors import DataError, ModelError, OptionError, ResultsError
from vrsim.models.silence import refuse_silence
from vrsim.perception.caption_audit import audit_captions, script_of, unsupported
from vrsim.perception.caption_table import refuse_other, write_captions
from vrsim.perception.captioning import Captioned
from vrsim.perception.config import CaptionConfig, keys_of
from vrsim.perception.describe import DescribeConfig
from vrsim.perception.items import Item, find_items
from vrsim.perception.pace import Pace
from vrsim.perception.stages import Stages
from vrsim.report.contact_sheet import contact_sheet

pytest.importorskip("PIL", reason="Pillow is not installed")


def outputs_of(**captions):
    """What the stages say of items whose captions and flags are given."""
    return {
        "frames": {item: {"times": [0.5, 1.5], "notes": []} for item in captions},
        "choice": {item: {"way": "clip", "places": [1], "scores": [0.1, 0.25]} for item in captions},
        "perception": {item: {"text": f"seen: {text}", "flags": []} for item, (text, *_) in captions.items()},
        "caption": {item: {"text": text, "flags": flags} for item, (text, *flags) in captions.items()},
    }


# items


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "videos").mkdir()
    for name in ("a.mp4", "a.webm", "a.JPG", "b.c.mov", "a.txt"):
        (tmp_path / "videos" / name).write_bytes(b"x")
    return tmp_path / "videos"


def table(folder, text):
    (folder.parent / "items.csv").write_text(text, encoding="utf-8")
    return find_items(folder, folder.parent / "items.csv")


def test_files_are_named_after_their_items_and_the_first_kind_wins(folder):
    a, b, c = table(folder, "item_id,title\na,x\nb.c,y\nc,z\n")
    assert (a.video.name, a.cover.name) == ("a.mp4", "a.JPG")
    assert (b.video.name, b.cover) == ("b.c.mov", None)
    assert (c.video, c.cover) == (None, None)


def test_titles_of_any_script_are_read_as_they_are(folder):
    found = table(folder, "item_id,title\na,Приключения кота\nb.c,东京的夜晚\nc,\n")
    assert [item.title for item in found] == ["Приключения кота", "东京的夜晚", ""]


def test_an_item_is_another_one_with_another_title_or_file(folder):
    def key():
        return table(folder, "item_id,title\na,x\n")[0].key

    before = key()
    assert key() == before
    (folder / "a.mp4").write_bytes(b"longer")
    grown = key()
    assert grown != before
    assert table(folder, "item_id,title\na,new\n")[0].key != grown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("item_id,title\n", "one row per item"),
        (f"item_id,title,video\na,x,{'n' * 300}.mp4\n", "no name of a file"),
        ("item_id,title\na,x\nb,y\nb,z\nb,u\n", "'b' stands 3 times"),
        ("item_id,title,cover\na,x,../secret.jpg\n", "leads out of"),
    ],
    ids=["empty", "long name", "twice", "outside"],
)
def test_a_table_that_cannot_be_meant_is_refused(folder, text, said):
    with pytest.raises(DataError, match=said):
        table(folder, text)


# stages


def test_what_was_put_is_there_after_another_opening(tmp_path):
    stages = Stages(tmp_path / "stages.sqlite")
    stages.put(
        "frames", "k", {"a": {"times": [0.1]}, "b": {"error": "none"}}, {"a": {0: b"jpeg", 3: b"other"}, "b": {}}
    )
    stages.put("frames", "k", {"a": {"times": [0.2]}}, {"a": {1: b"new"}})
    stages.close()
    stages = Stages(tmp_path / "stages.sqlite")
    assert stages.get("frames", "k", ["a", "b", "c"]) == {"a": {"times": [0.2]}, "b": {"error": "none"}}
    assert stages.images("k", "a") == {1: b"new"}
    assert stages.has("frames", "other", ["a"]) == set()
    stages.forget("frames", "k", ["a"])
    assert stages.has("frames", "k", ["a", "b"]) == {"b"}
    stages.close()


def test_outputs_are_kept_together_or_not_at_all(tmp_path):
    stages = Stages(tmp_path / "stages.sqlite")
    with pytest.raises(ResultsError, match="the same command goes on"):
        stages.put("frames", "k", {"a": {}}, {"a": {0: None}})
    assert stages.has("frames", "k", ["a"]) == set()
    stages.put("frames", "k", {"a": {}})
    assert stages.has("frames", "k", ["a"]) == {"a"}
    stages.close()


def test_a_full_disk_is_one_clear_error(tmp_path):
    stages = Stages(tmp_path / "stages.sqlite")
    stages._link.execute("PRAGMA max_page_count = 20")
    stages.put("frames", "k", {"a": {}})
    with pytest.raises(ResultsError, match=r"stages\.sqlite could not be read or written: .*full.* make room"):
        stages.put("frames", "k", {"b": {}}, {"b": {0: os.urandom(500_000)}})
    assert stages.has("frames", "k", ["a", "b"]) == {"a"}
    stages._link.execute("PRAGMA max_page_count = 2000")
    stages.put("frames", "k", {"b": {}}, {"b": {0: os.urandom(500_000)}})
    stages.close()


def test_a_setting_changes_its_stage_and_those_behind_alone():
    before = keys_of(CaptionConfig(), "clip", "model")
    for changed, first in (
        (keys_of(CaptionConfig(frames=8), "clip", "model"), 0),
        (keys_of(CaptionConfig(keep=3), "clip", "model"), 1),
        (keys_of(CaptionConfig(), "other clip", "model"), 1),
        (keys_of(CaptionConfig(), "clip", "other"), 2),
        (keys_of(CaptionConfig(describe=DescribeConfig(limit=20)), "clip", "model"), 3),
        (keys_of(CaptionConfig(limit_s=1), "clip", "model"), 4),
    ):
        assert [changed[stage] == before[stage] for stage in before] == [True] * first + [False] * (4 - first)


# table and audit


def test_the_table_replaces_captions_and_nothing_else(tmp_path):
    items, out = [Item("a", "t", None)], tmp_path / "out.parquet"
    write_captions(out, items, outputs_of(a=["short words", "again"]), CaptionConfig(), {"model": "m"})
    [row] = pq.read_table(out).to_pylist()
    assert (row["caption"], row["words"], row["flags"], row["times"]) == ("short words", 2, ["again"], [1.5])
    assert [file.name for file in tmp_path.iterdir()] == ["out.parquet"]
    refuse_other(out)
    pq.write_table(pq.read_table(out).replace_schema_metadata(None), out)
    with pytest.raises(ResultsError, match="something else than captions"):
        refuse_other(out)
    (tmp_path / "dir.parquet").mkdir()
    with pytest.raises(ResultsError, match="something else than captions"):
        refuse_other(tmp_path / "dir.parquet")
    with pytest.raises(OptionError, match=r"captions\.parquet"):
        refuse_other(tmp_path / "out.csv")


def test_the_audit_counts_what_captions_are_like():
    items = [Item("a", "A red bar", None), Item("b", "Ночь", None), Item("c", "  ", None), Item("d", "x", None)]
    outputs = outputs_of(a=["A red bar"], b=["a RED bar", "again"], c=["One two three four"], d=["", "title"])
    outputs["perception"]["c"]["text"] = "two threes"
    outputs["frames"]["d"] = {"file": "d.mp4", "error": "d.mp4 is empty"}
    outputs["frames"]["c"] = {"error": "there is no video"}
    audit = audit_captions(items, outputs, 3)
    assert (audit.items, audit.captions, audit.longest, audit.above, audit.no_title) == (4, 3, 4, 1, 1)
    assert audit.words == pytest.approx(10 / 3)
    assert audit.scripts == {"Latin": 3}
    assert audit.other_script == 1
    assert audit.repeated == 2
    assert audit.unsupported == pytest.approx(0.5 / 3)  # of "three" and "four" one is new
    assert audit.flags == {"again": 1, "title": 1}
    assert audit.no_frames == {"there is no video": 1, "the file cannot be read as a video": 1}


@pytest.mark.parametrize(
    ("text", "script"),
    [("abc где", "Latin"), ("東 ab", "Latin"), ("東京都", "Cjk"), ("Ночь", "Cyrillic"), ("12!", "")],
)
def test_the_script_of_a_text_is_that_of_most_letters(text, script):
    assert script_of(text) == script


def test_other_forms_of_a_word_support_it():
    assert unsupported("dancing dragons everywhere", "A dragon dances") == pytest.approx(2 / 3)
    assert unsupported("the cat", "") == 0


# pace and silence


def test_the_pace_moves_while_the_model_answers_and_ends_at_the_total():
    told = []
    pace = Pace(lambda done, total, what: told.append((done, total, what)), 10, 12, 2)
    pace.step()
    pace.leave()  # so soon after the last report that nothing is told
    pace.leave()
    assert [(done, total) for done, total, _ in told] == [(10, 12), (10.5, 12), (12, 12)]
    assert told[-1][2].endswith("items a second")


def test_a_model_is_out_of_order_when_most_questions_stay_open():
    refuse_silence("m", 4, 8)
    refuse_silence("m", 7, 7)
    with pytest.raises(ModelError, match="m answered 3 of 8"):
        refuse_silence("m", 5, 8)
    with pytest.raises(ModelError, match="m answered 0 of 1"):
        refuse_silence("m", 1, 1, fewest=1)


# contact sheet


def test_the_sheet_shows_titles_frames_and_words_and_runs_nothing(tmp_path):
    items = [Item("a", "<script>alert(1)</script>", None), Item("b", "", None), Item("c", "not shown", None)]
    outputs = outputs_of(a=["<b>bold</b> words"], b=["plain words", "again"], c=["unseen"])
    outputs["frames"]["b"] = {"file": "b.mp4", "error": "b.mp4 is empty"}
    outputs["choice"]["b"] = {"way": "uniform", "places": []}
    stages = Stages(tmp_path / "stages.sqlite")
    stages.put("frames", "k", {items[0].key: {}}, {items[0].key: {0: jpeg(), 1: jpeg()}})
    stages.close()
    audit = audit_captions(items, outputs, 35)
    done = Captioned(items, tmp_path / "stages.sqlite", {"frames": "k"}, outputs, audit, None)
    page = contact_sheet(done, 2)
    assert "<script>alert" not in page
    assert "<b>bold" not in page
    assert page.count("<figure") == 2
    assert page.count("<figure class=chosen>") == 1
    assert "1.5 s, 0.250, chosen" in page
    assert "b.mp4 is empty" in page
    assert "The first 2 of them are shown" in page
    assert "not shown" not in page
