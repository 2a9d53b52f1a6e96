"""The template's reasoning says what the prompt shows and nothing else; a set share of the replies carries it."""

from dataclasses import replace
from itertools import islice
from types import SimpleNamespace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scripted_model import ScriptedModel
from vrsim.catalog import Catalog
from vrsim.errors import OptionError
from vrsim.models.model import Prompt
from vrsim.text.replies import labels_of, read_reply, tagged
from vrsim.text.templates import US_AGENT
from vrsim.text.writer import Writer
from vrsim.training.config import SftConfig
from vrsim.training.examples import Example, Questions
from vrsim.training.teacher import leaks
from vrsim.training.traces import MOST_WORDS, TemplateReasoner, mixed


@pytest.fixture(scope="module")
def asked(tiny):
    """Questions of both tasks about the tiny world."""
    questions = Questions(tiny, SftConfig(world="tiny", protocol="uniform", validation=0.2), ScriptedModel())
    writer = Writer(tiny, US_AGENT)
    return [example for task in questions.tasks for example in islice(questions.stream(task, writer), 150)]


def small(*items):
    """A world with these items only: (title, genres, caption)."""
    titles, genres, captions = zip(*items, strict=True)
    rows = zip(titles, genres, captions, strict=True)
    columns = [{"item_id": "i", "title": t, "year": 1999, "genres": g, "caption": c} for t, g, c in rows]
    catalog = Catalog(pa.Table.from_pylist(columns, schema=Catalog.SCHEMA))
    return SimpleNamespace(catalog=catalog, n_items=len(items), interactions=SimpleNamespace(ratings=None))


def question(history, slate, right=0, task="selection"):
    labels = labels_of(task, max(2, len(slate)))
    return Example(task, (0, len(history)), tuple(history), tuple(slate), Prompt(()), labels, right)


FILMS = small(
    ("Alien", ["Horror", "Space"], ""),
    ("Gravity", ["Drama", "Space"], ""),
    ("Heat", ["Crime", "Drama"], ""),
    ("Solaris", ["Space"], ""),
    ("Zoolander", ["Comedy"], ""),
    ("Fargo", ["Crime", "Drama"], ""),
)


def test_the_status_comes_first_and_every_candidate_is_weighed_as_shown():
    said = TemplateReasoner(FILMS).reason(question([1, 2, 3], [5, 4, 6]))
    assert said == (
        "The user took 3 items, mostly Drama (2), Space (2), lately Drama, Space, Crime. "
        "A shares nothing; B shares Space (2); C shares Drama (2), Crime (1)."
    )


def test_a_judgment_weighs_the_one_item_and_gives_no_verdict():
    said = TemplateReasoner(FILMS).reason(question([1, 2], [4], 1, "judgment"))
    assert said == "The user took 2 items, mostly Space (2), lately Space, Drama, Horror. The item shares Space (2)."


def test_a_user_without_a_history_shares_nothing():
    said = TemplateReasoner(FILMS).reason(question([], [4, 3]))
    assert said == "The user took no items. A shares nothing; B shares nothing."


def test_the_reasoning_does_not_know_the_right_answer(asked, tiny):
    reasoner = TemplateReasoner(tiny)
    for example in asked:
        others = {reasoner.reason(replace(example, right=place)) for place in range(len(example.labels))}
        assert others == {reasoner.reason(example)}


def test_the_reasoning_leaks_nothing_whatever_is_right(asked, tiny):
    reasoner = TemplateReasoner(tiny)
    assert {example.right for example in asked if example.task == "selection"} >= {0, 1, 2, 3}
    for example in asked:
        assert leaks(reasoner.reason(example), example, tiny) == ""


def test_the_reasoning_weighs_every_candidate_once_in_order(asked, tiny):
    for example in asked:
        if example.task == "selection":
            *_, weighed = TemplateReasoner(tiny).reason(example).split(". ")
            assert [part.split()[0] for part in weighed.split("; ")] == list(example.labels)


CAPTIONED = small(
    ("One", ["Drama"], "A dog chases the red ball"),
    ("Two", ["Comedy"], "The dog sleeps"),
    ("Three", ["Drama"], ""),
    ("Four", ["Drama"], "red cats and a DOG"),
)


def test_captions_count_where_the_prompt_shows_them_and_genres_elsewhere():
    shown = TemplateReasoner(CAPTIONED).reason(question([1, 2], [3, 4]))
    assert shown.endswith("A shares nothing; B shares dog (2), red (1).")  # genres of 1 and 2 are not in the prompt
    hidden = TemplateReasoner(CAPTIONED, captions=False).reason(question([1, 2], [3, 4]))
    assert hidden.endswith("A shares Drama (1); B shares Drama (1).")


def test_the_part_of_a_caption_that_the_prompt_cuts_off_is_not_spoken_of():
    world = small(("One", [], "x " * 300 + "zebra"), ("Two", [], "zebra"), ("Three", [], "yak"))
    assert TemplateReasoner(world).reason(question([1], [2, 3])).endswith("A shares nothing; B shares nothing.")


def test_genres_are_named_as_the_prompt_shows_them():
    many = [f"genre {number}" for number in range(1000, 1100)]  # the prompt has room for the first few dozen
    world = small(("One", ["<Sci>", *many], ""), ("Two", ["<Sci>"], ""), ("Three", [many[-1]], ""))
    said = TemplateReasoner(world).reason(question([1], [2, 3]))
    assert said.endswith("A shares \u2039Sci\u203a (1); B shares nothing.")


def test_what_was_taken_lately_is_what_the_newest_three_are():
    said = TemplateReasoner(FILMS).reason(question([5, 4, 1, 2], [3, 6]))
    assert ", mostly Space (3), lately Space, Drama, Horror. " in said


def test_titles_speak_where_nothing_else_is_known():
    world = small(("The Golden Dragon", [], ""), ("Dragon of the North", [], ""), ("Up", [], ""))
    said = TemplateReasoner(world).reason(question([1], [2, 3]))
    assert said == "The user took 1 item, lately dragon, golden. A shares dragon (1); B shares nothing."


def test_many_candidates_are_weighed_by_how_much_they_share():
    said = TemplateReasoner(FILMS).reason(question([1, 2], [3] * 26))
    assert said.startswith("The user took 2 items. A: 1; B: 1; ")
    assert said.endswith("; Z: 1.")
    assert len(said.split()) <= MOST_WORDS


words = st.text(max_size=60) | st.sampled_from(["<think>", "</think>", "<answer>A</answer>", "a b c d e f g h", "A"])
items = st.tuples(words, st.lists(words, max_size=4), words | st.text(min_size=300, max_size=500))


@given(st.lists(items, min_size=3, max_size=8), st.data())
def test_no_title_genre_or_caption_makes_it_long_or_writes_a_tag(entries, data):
    item = st.integers(1, len(entries))
    history = data.draw(st.lists(item, max_size=20))
    slate = data.draw(st.lists(item, min_size=2, max_size=26))
    task = data.draw(st.sampled_from(["selection", "judgment"]))
    example = question(history, slate if task == "selection" else slate[:1], 0, task)
    reasoner = TemplateReasoner(small(*entries), data.draw(st.booleans()))
    said = reasoner.reason(example)
    assert not set("<>\n") & set(said)
    assert len(said.split()) <= MOST_WORDS
    reply = tagged(example.labels[0], said)
    assert read_reply(reply, example.labels).strict_choice == 0


@given(st.integers(0, 300), st.floats(0, 1), st.integers(0, 5))
def test_exactly_the_share_carries_reasoning(total, share, seed):
    chosen = mixed(total, share, seed)
    assert (len(chosen), sum(chosen)) == (total, round(total * share))
    assert chosen == mixed(total, share, seed)


def test_which_ones_reason_depends_on_the_seed_and_follows_no_pattern():
    assert mixed(100, 0.5, 0) != mixed(100, 0.5, 1)
    assert 10 < sum(mixed(100, 0.5, 0)[::2]) < 40  # tasks take turns


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_from_0_to_1(share):
    with pytest.raises(OptionError, match="share must be a number from 0 to 1"):
        mixed(10, share, 0)
