"""A teacher's reasoning is kept only if the answer is right and nothing gives it away before the weighing."""

from dataclasses import replace
from types import SimpleNamespace

import pyarrow as pa
import pytest

from tests.scripted_model import ScriptedModel
from vrsim.catalog import Catalog
from vrsim.errors import OptionError
from vrsim.models.model import Prompt
from vrsim.text.replies import labels_of, tagged
from vrsim.training.examples import Example
from vrsim.training.teacher import leaks, teach

TITLES = (
    "Alien", "Toy Story 2", "A Bug's Life", "It", "Toy Story", "Matrix, The", "Yes Man", "Dr. No", "Heat", "Hamlet",
    "Hamlet", "\uff37ide <b>",
)  # fmt: skip
YEARS = (1979, 1999, 1998, 1990, 1995, 1999, 2008, 1962, 1995, 1990, 1996, 2000)
TABLE = pa.table(
    {"item_id": [*TITLES], "title": [*TITLES], "year": YEARS, "genres": [[]] * 12, "caption": [""] * 12},
    schema=Catalog.SCHEMA,
)
WORLD = SimpleNamespace(catalog=Catalog(TABLE))
FIRST, SECOND, HISTORY = 5, 6, (1, 2, 3)  # Toy Story and The Matrix, after Alien, Toy Story 2 and A Bug's Life


def selection(right, slate=(FIRST, SECOND, 9), history=HISTORY, said="pick"):
    labels = labels_of("selection", len(slate))
    return Example("selection", (0, 3), history, slate, Prompt((("user", said),)), labels, right)


def judgment(item=5, right=1):
    return Example("judgment", (0, 3), (*HISTORY, 7, 8), (item,), Prompt((("user", "take it?"),)), ("No", "Yes"), right)


FAIR = {  # reasoning: the right place of A, B, C
    "The user likes calm films.": 0,
    "They like animation. A is animation; B is not; C is crime. So A.": 0,
    "A: Space (2); B: nothing; C: Drama (1).": 0,
    "They like animation. A fits; B and C do not.": 0,
    "B is action and C is crime, so the answer is A.": 0,
    "Their taste is light.\nToy Story (1995) is light.\nThe Matrix is not, Heat is not. The answer is Toy Story.": 0,
    "A film about toys was taken. A is another, B is action.": 0,
    "After Toy Story 2 the user is in the mood for more. B is no such film, so A would be taken.": 0,
    "A is action. B is too, and the best match.": 1,
    "Toy Story is light, heat is what they seek, so Heat fits.": 2,
    "A user who liked Alien may want tension. A has none. C has.": 2,
    "Unlike B, candidate C is tense, so the user would choose C.": 2,
    "They like B-movies. A is one. Then B, last C.": 1,
    "They like plans. Option 1 is light, option 2 is dark.": 1,
}
LEAKING = {
    "The answer is B. A is light.": 1,
    "The user wants action, so B.": 1,
    "The Matrix is what they want; Toy Story is not.": 1,
    "matrix, the (1999) is what they want; A is not.": 1,
    "They would like the matrix. A and C are worse.": 1,
    "Option b is dark. A is light.": 1,
    "Candidate 2 is dark. Candidate 1 is light.": 1,
    "**C** is tense. A is not.": 2,
    "Heat is tense. A is not.": 2,
    "A film about crime fits. C's crime is right, A is light.": 2,
    "A series or a famous class of films. C it is, not A.": 2,
    "A suits their mood best. B does not.": 0,
    "A could be what they choose. B is not.": 0,
    "The answer is A. B is action.": 0,
    "A is light and would probably be what they choose, unlike B.": 0,
    "(A) is the best fit. B and C are worse.": 0,
    "A because it is light.": 0,
    "They take A because it is light.": 0,
    "Only Toy Story is light.": 0,
    "Toy Story stands out. B is action.": 0,
    "A: light. They will take it. B: dark.": 0,
}


@pytest.mark.parametrize("reasoning", FAIR)
def test_fair_reasoning_weighs_before_it_names_the_target(reasoning):
    assert leaks(reasoning, selection(FAIR[reasoning]), WORLD) == ""


@pytest.mark.parametrize("reasoning", LEAKING)
def test_reasoning_that_knows_the_answer_beforehand_leaks(reasoning):
    assert leaks(reasoning, selection(LEAKING[reasoning]), WORLD)


def test_the_reason_says_what_was_found():
    assert leaks("B it is, not A.", selection(1), WORLD) == (
        "names the target B before any other candidate, and it is not the first one shown"
    )
    assert leaks("Only A.", selection(0), WORLD) == "names the target A and no other candidate"
    assert leaks("A wins. B loses.", selection(0), WORLD) == (
        "says 'wins' about the target A before another candidate is named"
    )


def test_a_title_of_one_word_counts_as_it_is_written():
    example = selection(1, (FIRST, 4, 9))
    assert leaks("The mood is light and it shows. A is light too.", example, WORLD) == ""
    assert leaks("They want to see It. A is light.", example, WORLD)


def test_a_remake_of_what_was_taken_is_named_by_its_year_alone():
    example = selection(1, (FIRST, 11, 9), (10,))
    assert leaks("They took Hamlet. A is light, Hamlet (1996) is not.", example, WORLD) == ""
    assert leaks("They took Hamlet (1990) and want Hamlet (1996), not A.", example, WORLD)


def test_titles_are_found_as_the_prompt_shows_them():
    example = selection(1, (FIRST, 12, 9))
    assert leaks("\uff37ide \u2039b\u203a is next. A is light.", example, WORLD)
    assert leaks("\uff37ide <b> is next. A is light.", example, WORLD)


def test_the_pronoun_is_no_label_and_the_ninth_candidate_is():
    example = selection(8, tuple(range(4, 13)), ())
    assert leaks("I think of A first, then I.", example, WORLD) == ""
    assert leaks("I would say A. So I take I.", example, WORLD) == ""
    assert leaks("They want I, not A.", example, WORLD)
    assert leaks("I suits them, A does not.", example, WORLD)
    assert leaks("I is what they want, not A.", example, WORLD)


def test_labels_that_are_numbers_are_no_counts():
    example = selection(11, (*range(4, 13), *range(4, 13), *range(4, 13)), ())
    assert example.labels[example.right] == "12"
    assert leaks("They took 12 dramas, mostly dark (12). 01: dark; 12: light.", example, WORLD) == ""
    assert leaks("12: light. 01: dark.", example, WORLD)
    assert leaks("Candidate 12 it is, 01 is dark.", example, WORLD)


FAIR_JUDGMENTS = (
    "The user likes animation. Toy Story is animation, so yes.",
    "There is no drama in what they took so far. This is one. No.",
    "After Yes Man and Dr. No they seem to like comedies and spies. This is neither: no.",
    "They like films such as the one shown. They would take it.",
)
LEAKING_JUDGMENTS = (
    "Yes, they like animation. Toy Story is animation.",
    "No. They like none of it.",
    "No\nThey like none of it.",
    "No \u2013 they like none of it.",
    "The answer is yes. Toy Story is animation.",
    "The user, who took so many films of this kind before, will surely take it. It is animation.",
    "Let me think. Yes, they like animation.",
    "They would take Toy Story (1995). It is animation, like the others they took.",
)


@pytest.mark.parametrize("right", [0, 1])
@pytest.mark.parametrize("reasoning", FAIR_JUDGMENTS)
def test_a_fair_judgment_compares_before_its_verdict(reasoning, right):
    assert leaks(reasoning, judgment(right=right), WORLD) == ""


@pytest.mark.parametrize("right", [0, 1])
@pytest.mark.parametrize("reasoning", LEAKING_JUDGMENTS)
def test_a_judgment_that_begins_with_its_verdict_leaks(reasoning, right):
    assert "in its first sentence or its first 8 words" in leaks(reasoning, judgment(right=right), WORLD)


REPLIES = {
    "good": tagged("B", " A is light.\nB is dark. "),
    "wrong": tagged("A", "A is light. B is dark."),
    "leaking": tagged("B", "B is dark. A is light."),
    "wrong and leaking": tagged("A", "A."),
    "bare": tagged("B"),
    "blank": tagged("B", " \n"),
    "failed": "",
    "unfinished": "<think>A is light. B",
    "not offered": tagged("D", "A is light. D is dark."),
}


def test_a_reply_is_kept_only_if_it_is_right_and_does_not_leak():
    model = ScriptedModel(REPLIES.get)
    kept, counts = teach(model, [selection(1, said=said) for said in REPLIES], 1, 0, 64, WORLD)
    assert kept == ["A is light.\nB is dark.", *[None] * 8]
    assert counts == {"asked": 9, "malformed": 4, "wrong": 3, "leaked": 1, "kept": 1}


class Learning(ScriptedModel):
    """Answers as many of the questions as it was asked times."""

    def generate(self, prompts, sampling, *rest):
        able = len(self.sampled) + 1
        self.reply = lambda words: REPLIES["good" if int(words) < able else "wrong"]
        return super().generate(prompts, sampling, *rest)


def test_only_what_is_missing_is_asked_again_with_another_seed():
    model = Learning()
    examples = [selection(1, said=str(number)) for number in range(4)]
    kept, counts = teach(model, examples, 3, 5, 48, WORLD)
    assert [reasoning is not None for reasoning in kept] == [True, True, True, False]
    assert [prompt.words for prompt in model.asked] == list("0123" + "123" + "23")
    assert [sampling.seed for sampling in model.sampled] == [5, 6, 7]
    assert {(s.temperature, s.max_tokens, s.stop) for s in model.sampled} == {(0.8, 48, ("</answer>",))}
    assert counts == {"asked": 9, "malformed": 0, "wrong": 6, "leaked": 0, "kept": 3}


def test_nobody_is_asked_when_nothing_is_missing():
    model = ScriptedModel(lambda words: REPLIES["good"])
    assert teach(model, [], 3, 0, 64, WORLD)[0] == []
    teach(model, [selection(1)], 3, 0, 64, WORLD)
    assert len(model.sampled) == 1


@pytest.mark.parametrize("tries", [0, -1, True, 1.0])
def test_there_is_at_least_one_try(tries):
    with pytest.raises(OptionError, match="tries must be an integer from 1"):
        teach(ScriptedModel(), [], tries, 0, 64, WORLD)


def test_a_long_number_is_no_label():
    assert leaks("Option " + "9" * 5000, selection(1), WORLD) == ""


def test_where_the_target_stands_does_not_decide_whether_a_listing_is_fair():
    said = "They like calm films. A is calm. B is loud. C is calm too."
    assert [leaks(said, replace(selection(0), right=right), WORLD) for right in range(3)] == ["", "", ""]
