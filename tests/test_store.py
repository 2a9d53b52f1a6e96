"""What a model has answered is kept and found again under its key, in a file that is a store and nothing else."""

import math
import sqlite3
from dataclasses import fields, replace

import pytest

from tests.stored import FULL, SAMPLING, prompts_of
from vrsim.errors import ModelError
from vrsim.models.model import Completion, Prompt, Sampling
from vrsim.models.store import BATCH, Store, completion_keys, count_key

# Completions


@pytest.mark.parametrize(
    "completion",
    [
        FULL,
        Completion(""),
        Completion("half a character \ud83d, a whole one 🎬, zero \0, עברית\r\n"),
        Completion("x" * 100_000, logprobs=()),
    ],
    ids=["full", "empty", "hostile", "long"],
)
def test_a_completion_comes_back_field_by_field(store, completion):
    assert store.put(b"key", completion) is completion
    [found] = store.get([b"key"]).values()
    assert vars(found) == vars(completion) | {"reused": True}


def test_the_completion_that_comes_back_in_full_has_nothing_left_at_its_default():
    assert [f.name for f in fields(Completion) if f.compare and getattr(FULL, f.name) == f.default] == []


def test_the_first_of_two_answers_stays(store):
    store.put(b"key", FULL)
    kept = store.put(b"key", Completion("another one"))
    assert vars(kept) == vars(FULL)
    assert store.get([b"key"]) == {b"key": FULL}


@pytest.mark.parametrize(
    "completion",
    [Completion("", "failed"), Completion("1", logprobs=(math.nan, -1.0)), Completion("1", seconds=math.nan)],
    ids=["failed", "nan-logprob", "nan-seconds"],
)
def test_what_is_no_answer_is_not_stored(store, completion):
    assert store.put(b"key", completion) is completion
    assert store.get([b"key"]) == {}


def test_more_keys_than_fit_into_one_query_are_found(store):
    keys = [bytes([n % 256, n // 256]) for n in range(2 * BATCH + 1)]
    for n, key in enumerate(keys):
        store.put(key, Completion(str(n)))
    found = store.get([*keys, b"missing"])
    assert {key: completion.text for key, completion in found.items()} == {key: str(n) for n, key in enumerate(keys)}


# Keys


def test_keys_do_not_change_from_version_to_version():
    prompt = Prompt((("system", "You are 守."), ("user", "\ud800 choose")), options=("1", "2"), cue="<answer>")
    [key] = completion_keys("hf:a/b", [prompt], Sampling(64, 1, 0.95, ("</answer>",), 3))
    assert key.hex() == "6f881c2dd718c3bb5895d3664d3694e81f2e69ffc3979749db528006ad56a4a4"
    assert count_key("hf:a/b", "Toy Story").hex() == "fee83ce7761092604d3cf49c92dd091535603ccf64d978369afece8b116e4335"


@pytest.mark.parametrize("field", fields(Prompt), ids=lambda field: field.name)
def test_every_part_of_a_prompt_changes_the_key(field):
    other = {"messages": (("user", "x"),), "options": ("x",), "images": (b"x",)}.get(field.name, "x")
    keys = completion_keys("m", [Prompt(()), replace(Prompt(()), **{field.name: other})], SAMPLING)
    assert len(set(keys)) == 2


@pytest.mark.parametrize("field", fields(Sampling), ids=lambda field: field.name)
def test_every_part_of_the_sampling_changes_the_key(field):
    other = {"stop": ("x",), "top_p": 0.5}.get(field.name, 2)
    changed = replace(SAMPLING, **{field.name: other})
    assert completion_keys("m", prompts_of("x"), SAMPLING) != completion_keys("m", prompts_of("x"), changed)


def test_the_model_changes_the_key():
    assert completion_keys("a", prompts_of("x"), SAMPLING) != completion_keys("b", prompts_of("x"), SAMPLING)
    assert count_key("a", "x") != count_key("b", "x")


def test_equal_settings_have_equal_keys_however_they_are_written():
    whole, broken = Sampling(temperature=1, top_p=1), Sampling(temperature=1.0, top_p=1.0)
    assert completion_keys("m", prompts_of("x"), whole) == completion_keys("m", prompts_of("x"), broken)


# The file


def make_pages(path):
    """The bytes of a whole store of some pages."""
    store = Store(path)
    for n in range(300):
        store.put(bytes([n % 256, n // 256]), replace(FULL, text=f"{n} " * 200))
    store.close()
    return path.read_bytes()


@pytest.mark.parametrize("damage", ["words", "cut", "zeros"])
def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path, damage):
    path = tmp_path / "answers.sqlite"
    whole = make_pages(path)
    middle = len(whole) // 2
    content = {
        "words": b"my notes\n" * 1000,
        "cut": whole[:middle],
        "zeros": whole[:4096] + bytes(len(whole) - 4096),
    }[damage]
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"answers\.sqlite cannot be used .*damaged, move it away"):
        Store(path).get([bytes([n % 256, n // 256]) for n in range(300)])
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE films (title TEXT)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(ModelError, match="a database of another program; choose another file"):
        Store(path)
    assert path.read_bytes() == before


def test_a_store_of_another_version_is_refused(tmp_path):
    path = tmp_path / "answers.sqlite"
    Store(path).close()
    with sqlite3.connect(path) as link:
        link.execute("PRAGMA user_version = 99")
    link.close()
    with pytest.raises(ModelError, match="a store of version 99, this vrsim uses version 1; choose another file"):
        Store(path)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path):
    with pytest.raises(ModelError, match="cannot be used"):
        Store(tmp_path)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be used"):
        Store(tmp_path / "file" / "answers.sqlite")


def test_an_empty_file_and_missing_folders_become_a_store(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    for path in (tmp_path / "empty", tmp_path / "a" / "b" / "answers.sqlite"):
        Store(path).put(b"key", FULL)
        assert Store(path).get([b"key"]) == {b"key": FULL}


def test_a_closed_store_opens_again_and_is_one_whole_file(store, tmp_path):
    store.put(b"key", FULL)
    store.close()
    assert not (tmp_path / "answers.sqlite-wal").exists()
    assert store.get([b"key"]) == {b"key": FULL}
