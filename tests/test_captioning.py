"""vrsim.perception: a run from a folder of videos to a table of captions."""

import json
import re
import shutil
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from tests.captioned import describing, images_of, make_folder, run_of
from tests.chat_server import ChatServer, Reply, prompt_of
from vrsim.errors import BudgetError, DataError, ModelError, OptionError, ResultsError, UnknownNameError
from vrsim.perception import pipeline
from vrsim.perception.captioning import caption_folder
from vrsim.perception.stages import Stages

pytest.importorskip("av", reason="PyAV is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("captioning") / "videos")


@pytest.fixture
def server():
    with ChatServer(describing) as server:
        yield server


def rows_of(path):
    return {row["item_id"]: row for row in pq.read_table(path).to_pylist()}


def test_every_item_gets_a_caption_whatever_its_file_is_like(folder, server, tmp_path):
    done = caption_folder(run_of(folder, server.url, tmp_path / "out.parquet"))
    rows = rows_of(tmp_path / "out.parquet")
    assert list(rows) == list("abcde")
    assert rows["a"]["caption"] == 'Something about "A red bar" for quiet evenings.'
    assert rows["a"]["perception"] == 'It shows "A red bar" in 3 frames.'
    assert rows["a"]["words"] == 8
    assert rows["a"]["error"] == ""
    assert "d.mp4" in rows["d"]["error"]
    assert rows["e"]["error"] == "there is no video"
    assert [len(rows[item]["times"]) for item in "abcde"] == [3, 3, 3, 0, 0]
    assert max(map(images_of, server.requests)) == 3
    assert done.audit.captions == 5
    assert done.audit.no_title == 1
    assert done.audit.no_frames == {"the file cannot be read as a video": 1, "there is no video": 1}
    assert done.usage.calls == 10


def test_the_same_command_asks_nothing_again_and_writes_the_same_bytes(folder, server, tmp_path):
    run = run_of(folder, server.url, tmp_path / "out.parquet")
    caption_folder(run)
    bytes_before, asked = run.out.read_bytes(), len(server.requests)
    run.out.unlink()
    done = caption_folder(run)
    assert run.out.read_bytes() == bytes_before
    assert len(server.requests) == asked
    assert done.usage.calls == asked


def test_other_settings_repeat_only_what_they_change(folder, server, tmp_path):
    run = run_of(folder, server.url, tmp_path / "out.parquet")
    caption_folder(run)
    server.requests.clear()
    caption_folder(replace(run, config=run_of(folder, server.url, run.out, rra=False).config))
    assert server.requests == []
    assert rows_of(run.out)["a"]["caption"] == 'It shows "A red bar" in 3 frames.'
    caption_folder(replace(run, config=run_of(folder, server.url, run.out, limit=5).config))
    assert all("caption for a recommender" in json.dumps(request) for request in server.requests)
    assert rows_of(run.out)["a"]["flags"] == ["again", "cut"]


@pytest.mark.parametrize(("choose", "chosen"), [("uniform", [1, 4, 6]), ("random", None)], ids=["uniform", "random"])
def test_frames_are_chosen_as_asked(folder, server, tmp_path, choose, chosen):
    done = caption_folder(run_of(folder, server.url, tmp_path / "out.parquet", choose=choose))
    places = done.outputs["choice"]["a"]["places"]
    if chosen is None:
        assert places == list(range(places[0], places[0] + 3))
    else:
        assert places == chosen
    assert rows_of(tmp_path / "out.parquet")["a"]["frames"] == choose


def test_a_cover_is_what_the_model_sees_of_an_item(folder, server, tmp_path):
    from PIL import Image

    shutil.copytree(folder, tmp_path / "videos")
    Image.new("RGB", (40, 60), (0, 120, 0)).save(tmp_path / "videos" / "a.jpg")
    done = caption_folder(run_of(tmp_path / "videos", server.url, tmp_path / "out.parquet", choose="cover"))
    assert done.outputs["frames"]["a"]["file"] == "a.jpg"
    assert rows_of(tmp_path / "out.parquet")["a"]["frames"] == "cover"
    assert rows_of(tmp_path / "out.parquet")["b"]["error"] == "there is no cover"
    assert sorted(map(images_of, server.requests)) == [0] * (len(server.requests) - 1) + [1]


def test_a_run_that_stops_early_keeps_the_stages_before(folder, server, tmp_path):
    run = run_of(folder, server.url, tmp_path / "out.parquet")
    done = caption_folder(run, until="choice")
    assert server.requests == []
    assert done.audit is None
    assert not run.out.exists()
    assert done.outputs["choice"]["a"]["places"] == [1, 4, 6]
    stages = Stages(done.stages)
    assert len(stages.images(done.keys["frames"], done.items[0].key)) == 8
    stages.close()


def test_what_is_redone_is_asked_again(folder, tmp_path):
    with ChatServer(lambda request, before: Reply(f"Say number {before} of {len(prompt_of(request))}.")) as server:
        run = run_of(folder, server.url, tmp_path / "out.parquet")
        run = replace(run, options={**run.options, "store": "off"})
        caption_folder(run)
        asked = len(server.requests)
        caption_folder(run, redo="caption")
        assert len(server.requests) == asked + 5
        assert rows_of(run.out)["a"]["caption"].startswith("Say number 1")
        assert rows_of(run.out)["a"]["perception"].startswith("Say number 0")


def test_a_spent_budget_keeps_what_was_paid_for(folder, server, tmp_path):
    run = run_of(folder, server.url, tmp_path / "out.parquet")
    with pytest.raises(BudgetError, match="larger"):
        caption_folder(replace(run, token_budget=30))
    asked = len(server.requests)
    assert asked < 10
    assert not run.out.exists()
    caption_folder(run)
    assert max(server.counts.values()) == 1


@pytest.mark.parametrize("stage", ["until", "redo"])
def test_a_stage_that_is_none_is_refused(folder, server, tmp_path, stage):
    with pytest.raises(UnknownNameError, match="frames"):
        caption_folder(run_of(folder, server.url, tmp_path / "out.parquet"), **{stage: "frame"})


def test_a_model_that_cannot_see_is_refused(folder, tmp_path):
    run = run_of(folder, "http://localhost:1", tmp_path / "out.parquet")
    with pytest.raises(OptionError, match="hf:NAME"):
        caption_folder(replace(run, model="pocket", options={}))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("item_id,title\na,x\na,y\n", "stands 2 times"),
        ("item_id,name_\na,x\n", "expected a column title"),
        ("item_id,title,video\na,x,../a.mp4\n", "leads out of"),
        ("item_id,title,video\na,x,/etc/hosts\n", "leads out of"),
        ("item_id,title\n,x\n", "without a item_id"),
    ],
)
def test_a_bad_table_is_refused(folder, tmp_path, table, said):
    (tmp_path / "items.csv").write_text(table)
    run = run_of(folder, "http://localhost:1", tmp_path / "out.parquet")
    with pytest.raises(DataError, match=said):
        caption_folder(replace(run, titles=tmp_path / "items.csv"))


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "videos")
    (tmp_path / "videos" / "e.mp4").symlink_to(folder / "a.mp4")
    with pytest.raises(DataError, match="leads out of"):
        caption_folder(run_of(tmp_path / "videos", "http://localhost:1", tmp_path / "out.parquet"))


def test_a_file_that_is_no_stages_is_left_alone(folder, tmp_path):
    run = run_of(folder, "http://localhost:1", tmp_path / "out.parquet")
    stages = tmp_path / "out.parquet.stages" / "stages.sqlite"
    stages.parent.mkdir()
    stages.write_bytes(b"somebody's notes" * 100)
    with pytest.raises(ResultsError, match=r"stages\.sqlite"):
        caption_folder(run)
    assert stages.read_bytes() == b"somebody's notes" * 100


def test_a_folder_that_cannot_be_written_is_said(folder, server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="could not be written"):
        caption_folder(run_of(folder, server.url, tmp_path / "file" / "out.parquet"))


def test_another_title_is_another_item_and_the_rest_is_kept(folder, server, tmp_path):
    run = run_of(folder, server.url, tmp_path / "out.parquet")
    caption_folder(run)
    table = (folder / "items.csv").read_text()
    (tmp_path / "items.csv").write_text(table.replace("A red bar", "A blue bar"))
    server.requests.clear()
    caption_folder(replace(run, titles=tmp_path / "items.csv"))
    assert len(server.requests) == 2
    assert rows_of(run.out)["a"]["caption"] == 'Something about "A blue bar" for quiet evenings.'


# Servers that fail


@pytest.fixture
def many(folder, tmp_path):
    """The folder with a table of 100 items that share a clip: of two parts."""
    rows = [f"i{place},title {place},a.mp4" for place in range(100)]
    (tmp_path / "many.csv").write_text("\n".join(["item_id,title,video", *rows]) + "\n")
    return tmp_path / "many.csv"


def title_of(request):
    return int(re.search(r"title (\d+)", prompt_of(request)).group(1))


def slowly(request, before):
    return replace(describing(request, before), delay=0.2)


def failing(broken, others=describing):
    """A server that gives up on items whose numbers are in ``broken``."""

    def answer(request, before):
        if title_of(request) in broken:
            return Reply(status=400, error={"message": "content filter", "code": "content_filter"})
        return others(request, before)

    return ChatServer(answer)


def test_a_model_that_hardly_answers_stops_the_run_and_what_it_answered_is_kept(folder, many, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "LOOKED", 64)
    broken = set(range(30, 100))
    with failing(broken) as server:
        run = replace(run_of(folder, server.url, tmp_path / "out.parquet"), titles=many)
        run = replace(run, options={**run.options, "store": "off"})
        with pytest.raises(ModelError, match="answered 30 of 64 prompts"):
            caption_folder(run)
        assert not run.out.exists()
        broken.clear()
        server.requests.clear()
        done = caption_folder(run)
        assert len(server.requests) == 200 - 2 * 30
    assert done.audit.flags == {}


def test_refusals_that_come_sooner_than_answers_count_no_more_than_those(folder, many, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "LOOKED", 16)
    with failing(range(0, 100, 3), slowly) as server:
        done = caption_folder(replace(run_of(folder, server.url, tmp_path / "out.parquet"), titles=many))
    assert done.audit.flags == {"failed": 34, "title": 34}


def test_a_run_of_many_parts_leaves_no_item_out(folder, many, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "PART", 7)
    monkeypatch.setattr(pipeline, "AHEAD", 2)
    with ChatServer(describing) as server:
        run = replace(run_of(folder, server.url, tmp_path / "out.parquet"), titles=many)
        for until, asked in (("choice", 0), ("perception", 100), ("caption", 100)):
            server.requests.clear()
            assert len(caption_folder(run, until).outputs[until]) == 100
            assert len(server.requests) == asked


def test_a_model_that_answers_nothing_writes_no_table_of_titles(folder, many, tmp_path):
    many.write_text("".join(many.read_text().splitlines(keepends=True)[:4]))
    with failing(range(100)) as server:
        run = replace(run_of(folder, server.url, tmp_path / "out.parquet"), titles=many)
        with pytest.raises(ModelError, match="answered 0 of 3"):
            caption_folder(run)
    assert not run.out.exists()


def test_a_few_answers_that_fail_are_titles_until_they_are_asked_again(folder, many, tmp_path):
    broken = {7, 70}
    with failing(broken) as server:
        run = replace(run_of(folder, server.url, tmp_path / "out.parquet"), titles=many)
        done = caption_folder(run)
        assert done.audit.flags == {"failed": 2, "title": 2}
        assert rows_of(run.out)["i70"]["caption"] == "title 70"
        broken.clear()
        server.requests.clear()
        caption_folder(run)
        assert server.requests == []
        done = caption_folder(run, redo="perception")
        assert len(server.requests) == 4  # the others' answers are stored
    assert done.audit.flags == {}
