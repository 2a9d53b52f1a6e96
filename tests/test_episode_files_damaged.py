"""A file of episodes that was cut, edited or mixed up is refused, and the error says where and why."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vrsim.episode_files import read_episodes, save_episodes
from vrsim.episodes import make_episodes
from vrsim.errors import EpisodeError, UnknownNameError
from vrsim.world import World

every_kind = pytest.mark.parametrize("kind", ["jsonl", "parquet"])


@pytest.fixture
def stored(tmp_path, kind):
    """A file of 100 selections to damage, and its hash."""
    episodes = make_episodes(World.load("tiny"), "uniform", "selection")
    file = tmp_path / f"mine.{kind}"
    save_episodes(episodes, file)
    return file, episodes.hash


def parts(file: Path) -> tuple[dict, list[dict]]:
    """What a file says about itself, and its rows, read without vrsim."""
    if file.suffix == ".parquet":
        table = pq.read_table(file)
        return json.loads(table.schema.metadata[b"vrsim"]), table.to_pylist()
    head, *rows = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]]
    return head["vrsim"], rows


def rewrite(file: Path, head: dict, rows: list[dict], seal: bool = False) -> None:
    """Write a file as somebody would who edits it; ``seal`` with the checksum that belongs to the description."""
    if seal:
        rest = {key: value for key, value in head.items() if key != "sha256"}
        head = rest | {"sha256": hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()}
    if file.suffix == ".parquet":
        schema = pq.read_schema(file).remove_metadata()
        schema = pa.schema([field for field in schema if not rows or any(field.name in row for row in rows)])
        table = pa.Table.from_pylist(rows, schema=schema)
        pq.write_table(table.replace_schema_metadata({"vrsim": json.dumps(head)}), file)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in ({"vrsim": head}, *rows)), encoding="utf-8")


def refused(file: Path, *words: str, error: type = EpisodeError, world: World | None = None) -> None:
    """Reading raises one error that names the file and contains the words."""
    with pytest.raises(error) as caught:
        read_episodes(file, world)
    for word in (file.name, *words):
        assert word in str(caught.value)


# Rows


def other(row: dict) -> str:
    """An item that exists and that the row does not mention."""
    return next(f"f{i}" for i in range(160) if f"f{i}" not in row["slate"] + row["history"])


def first_of_next(rows: list[dict], name: str) -> None:
    """The first item of one row's list becomes the last one of the row before; the items as such stay in order."""
    place = next(i for i in range(len(rows) - 1) if rows[i + 1][name])
    rows[place][name].append(rows[place + 1][name].pop(0))


NOT_THERE = "the world has no such user, position or item"
EDITS = {
    "answer": (lambda rows: rows[3].update(answer=(rows[3]["answer"] + 1) % 4), "expected hash HASH, found "),
    "another item": (lambda rows: rows[3]["slate"].__setitem__(0, other(rows[3])), "expected hash HASH, found "),
    "order of a slate": (lambda rows: rows[3]["slate"].reverse(), "expected hash HASH, found "),
    "unknown item": (lambda rows: rows[3]["slate"].__setitem__(0, "nothing"), NOT_THERE),
    "blank item": (lambda rows: rows[3]["slate"].__setitem__(0, ""), NOT_THERE),
    "no item": (lambda rows: rows[3]["slate"].__setitem__(0, None), NOT_THERE),
    "a slate's end": (lambda rows: first_of_next(rows, "slate"), "slates of hash HASH"),
    "a shorter slate": (lambda rows: rows[3]["slate"].pop(), "the rows were edited"),
    "history": (lambda rows: rows[3]["history"].__setitem__(-1, other(rows[3])), "histories and slates of hash HASH"),
    "order of a history": (lambda rows: rows[3]["history"].reverse(), "histories and slates of hash HASH"),
    "a shorter history": (lambda rows: rows[3]["history"].pop(0), "histories and slates of hash HASH"),
    "a history's end": (lambda rows: first_of_next(rows, "history"), "histories and slates of hash HASH"),
    "user": (lambda rows: rows[3].update(user=rows[4]["user"], t=1), "expected hash HASH, found "),
    "unknown user": (lambda rows: rows[0].update(user="nobody"), NOT_THERE),
    "no user": (lambda rows: rows[0].update(user=None), NOT_THERE),
    "t": (lambda rows: rows[3].update(t=rows[3]["t"] - 1), "expected hash HASH, found "),
    "t below 0": (lambda rows: rows[3].update(t=-1), NOT_THERE),
    "t far away": (lambda rows: rows[3].update(t=10**15), NOT_THERE),
    "no t": (lambda rows: rows[3].update(t=None), NOT_THERE),
    "two rows": (lambda rows: rows.insert(3, rows.pop(4)), "expected hash HASH, found "),
    "a column": (lambda rows: [row.pop("answer") for row in rows], "the rows were edited"),
    "a row less": (lambda rows: rows.pop(50), "expected 100 episodes, found 99"),
    "a row more": (lambda rows: rows.append(rows[0]), "expected 100 episodes, found 101"),
    "no row": (lambda rows: rows.clear(), "expected 100 episodes, found 0"),
}


@every_kind
@pytest.mark.parametrize("name", EDITS)
def test_an_edited_row_is_refused(stored, name):
    file, expected = stored
    edit, words = EDITS[name]
    head, rows = parts(file)
    edit(rows)
    rewrite(file, head, rows)
    refused(file, words.replace("HASH", expected))


@every_kind
def test_a_file_that_was_only_written_again_is_read(stored):
    rewrite(stored[0], *parts(stored[0]), seal=True)
    assert read_episodes(stored[0]).hash == stored[1]


# The description


HEAD = [
    "format",
    "world",
    "world_hash",
    "protocol",
    "protocol_hash",
    "task",
    "m",
    "split",
    "cohort",
    "seed",
    "left_out",
]


@every_kind
@pytest.mark.parametrize("key", [*HEAD, "episodes", "hash"])
def test_an_edited_description_is_refused(stored, key):
    head, rows = parts(stored[0])
    changed = head[key] | {"history": 3} if key == "protocol" else f"{head[key]}1"
    rewrite(stored[0], head | {key: type(head[key])(changed)}, rows)
    refused(stored[0], "format 11" if key == "format" else f"was edited: expected sha256 {head['sha256']}, found ")
    rewrite(stored[0], {name: value for name, value in head.items() if name != key}, rows)
    refused(stored[0])


@every_kind
def test_an_edited_description_with_a_checksum_that_fits_is_refused_for_what_it_says(stored):
    file, expected = stored
    head, rows = parts(file)
    protocol, zeros = head["protocol"], "0" * 64
    for change, *words in (
        ({"hash": zeros}, f"expected hash {zeros}, found {expected}"),
        ({"episodes": 99}, "expected 99 episodes, found 100"),
        ({"world_hash": zeros}, f"made of world tiny {zeros}, not of tiny {head['world_hash']}"),
        ({"protocol": protocol | {"history": 3}}, f"expected hash {expected}, found "),
        ({"protocol": protocol | {"unheard_of": 3}}, "another version of vrsim", "unheard_of"),
        ({"format": 2}, "format 2, this version of vrsim reads 1"),
        ({"protocol": 3}, "damaged"),
    ):
        rewrite(file, head | change, rows, seal=True)
        refused(file, *words)


# Files


@every_kind
def test_a_cut_file_is_refused(stored, kind):
    file, _ = stored
    whole = file.read_bytes()
    ends = [end + 1 for end, byte in enumerate(whole) if byte == 10] if kind == "jsonl" else []
    for size in (0, 1, len(whole) // 2, len(whole) - 2, len(whole) - 10, *ends[:-1]):
        file.write_bytes(whole[:size])
        refused(file, "the file was cut or edited" if size in ends else "not a file of episodes, or damaged")
    file.write_bytes(whole)
    assert read_episodes(file).hash == stored[1]


@every_kind
@pytest.mark.parametrize(
    "content", [b"", b"\n", b"{}\n", b"3\n", b'{"vrsim": []}\n', b"user,t\n0,1\n", b"\xff\x00" * 9]
)
def test_something_else_is_no_file_of_episodes(tmp_path, kind, content):
    (tmp_path / f"mine.{kind}").write_bytes(content)
    refused(tmp_path / f"mine.{kind}", "not a file of episodes, or damaged")


@every_kind
def test_what_is_not_there_or_no_file_is_refused(tmp_path, kind):
    refused(tmp_path / f"mine.{kind}", "not a file of episodes, or damaged")
    (tmp_path / f"mine.{kind}").mkdir()
    refused(tmp_path / f"mine.{kind}", "not a file of episodes, or damaged")


@every_kind
def test_a_file_of_the_other_kind_under_this_name_is_refused(stored, kind):
    file, _ = stored
    wrong = file.rename(file.with_suffix(".parquet" if kind == "jsonl" else ".jsonl"))
    refused(wrong, "not a file of episodes, or damaged")


@pytest.mark.parametrize("line", ["3", "null", "[]", '"f1"', "{}", '{"user": 3}', '{"user": "u1", "slate": "f1"}', ""])
def test_a_line_that_is_no_row_is_refused(tmp_path, line):
    file = tmp_path / "mine.jsonl"
    save_episodes(make_episodes(World.load("tiny"), "uniform", "selection"), file)
    lines = file.read_text(encoding="utf-8").split("\n")
    lines[5] = line
    file.write_text("\n".join(lines), encoding="utf-8")
    refused(file)


@every_kind
def test_another_world_is_refused_with_both_hashes(stored):
    file, _ = stored
    two = World.load("tiny:holdout=2")
    refused(file, f"made of world tiny {World.load('tiny').hash}, not of tiny:holdout=2 {two.hash}", world=two)


@every_kind
def test_a_world_that_nobody_has_here_is_refused_by_its_name(stored):
    file, _ = stored
    head, rows = parts(file)
    rewrite(file, head | {"world": "tiyn"}, rows, seal=True)
    with pytest.raises(UnknownNameError, match="Did you mean 'tiny'"):
        read_episodes(file)
    assert read_episodes(file, World.load("tiny")).hash == stored[1]
