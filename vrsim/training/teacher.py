"""Reasoning from a teacher model: kept where its answer is right and the reasoning does not give the answer away.

The reasoning leaks where it knows the answer before it has weighed anything. For a **selection** it does so

- if it names the target before any other candidate, although the target is not the first one shown: a candidate may
  go first only because it stands first;
- if it names the target, which stands first, and no other candidate;
- if the target stands first and a verdict ("the answer", "would take", "best choice", ...) falls between the beginning
  of the sentence that names it and the first mention of another candidate.

For a **judgment** it does so if a verdict ("yes", "no" followed by nothing or punctuation, "would take it", ...) stands
in its first sentence or begins within its first eight words.

A candidate is named by its title or its label. A title counts as a whole, with or without its year, not as part of a
longer title of the question; in small letters too if it has several words, else as it is written. What is also the name
of an item of the history is that item. A label counts where it stands alone in capital letters, or behind "option",
"candidate", "choice" or "label", as does its number there. "A" and "I" are words too, and count only where nothing,
punctuation or a verb in the third person follows; "A" also before "would", "and" and the like, and inside a sentence
before any word in small letters. Labels that are numbers count where a colon or a word like "is" follows.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from vrsim.errors import OptionError
from vrsim.models.model import Model, Sampling
from vrsim.text.quoting import quote
from vrsim.text.replies import read_reply
from vrsim.training.examples import Example
from vrsim.world import World

__all__ = ["leaks", "teach"]

TEMPERATURE = 0.8  # of a teacher: another try must be able to differ
HISTORY = -1  # an item that is no candidate
AROUND = 40  # characters before and behind a word that tell whether it is a label
FIRST_WORDS = 8  # of a judgment's reasoning, which hold no verdict

_POINTED = r"(?:option|candidate|choice|label)\s+[#(*']*"
_TAKE = r"(?:take|choose|pick|select|watch|prefer|play|buy|like|enjoy|go\s+(?:for|with))"
_WOULD = rf"\b(?:would|will|should|must|likely|(?:would|wo)n't|'d|'ll)\s+(?:\w+\s+){{0,2}}{_TAKE}\b"
_VERDICT = re.compile(
    rf"{_WOULD}|\b(?:answer|verdict|likeliest|chosen|choose|chooses|pick|picks|selects?|wins?)\b|\bmost\s+likely\b"
    r"|\bstands\s+out\b|\bbest\b(?!-)|\b(?:right|correct|final|obvious|clear|strongest|closest|natural|top|next|perfect)\s+"
    r"(?:choice|fit|match|option|candidate|one|item)\b|\bis\s+next\b|\btakes?\s+next\b",
    re.IGNORECASE,
)
_YES_NO = re.compile(
    rf"\byes\b|\bno\b(?=\s*(?:$|\n|[.,:;!)*\u2013\u2014]|-\s))|{_WOULD}\s+(?:it|this|that)\b", re.IGNORECASE
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n")
_BEGINS = re.compile(r"(?:^|[.!?:;\n\"'(*-])\s*$")  # what stands in front of a sentence's first word
_IS = re.compile(r"\s+(?:is|has|does|was|shares|fits|matches|offers|seems|looks)\b")
_VERB = re.compile(r"\s+(?!(?:always|sometimes|perhaps|series|lens|plus)\b)[a-z]+[^\W\d_siu]s\b(?!-)")  # third person
_JOINS = re.compile(
    r"\s+(?:would|will|can|could|may|might|should|and|or|but|because|since|over|than|vs|also|too|alone|probably|clearly)"
    r"\b(?!-)"
)


def teach(
    model: Model, examples: Sequence[Example], tries: int, seed: int, max_tokens: int, world: World
) -> tuple[list[str | None], dict[str, int]]:
    """The teacher's reasoning about each example, None where no try was good; and the counts.

    A teacher reads the example's own prompt, which must ask for reasoning, at most ``tries`` times; every try has a
    seed of its own and asks only what is still missing. ``asked`` replies are ``malformed`` (or hold no reasoning),
    ``wrong``, ``leaked`` or ``kept``, the first of these that is true. Raises OptionError, ModelError.
    """
    if type(tries) is not int or tries < 1:
        raise OptionError(f"tries must be an integer from 1, found {tries!r}")
    kept: list[str | None] = [None] * len(examples)
    counts = dict.fromkeys(("asked", "malformed", "wrong", "leaked", "kept"), 0)
    sampling = Sampling(max_tokens, TEMPERATURE, stop=("</answer>",), seed=seed)
    for number in range(tries):
        missing = [place for place, reasoning in enumerate(kept) if reasoning is None]
        if not missing:
            break
        prompts = [examples[place].prompt for place in missing]
        completions = model.generate(prompts, replace(sampling, seed=seed + number))
        for place, completion in zip(missing, completions, strict=True):
            verdict, reasoning = _judge(completion.text, examples[place], world)
            counts["asked"] += 1
            counts[verdict] += 1
            kept[place] = reasoning if verdict == "kept" else None
    return kept, counts


def _judge(text: str, example: Example, world: World) -> tuple[str, str]:
    """What becomes of a teacher's reply, and its reasoning."""
    reply = read_reply(text, example.labels, reasoning=True)
    reasoning = text.partition("<think>")[2].partition("</think>")[0].strip() if reply.well_formed else ""
    if not reasoning:
        return "malformed", ""
    if reply.strict_choice != example.right:
        return "wrong", reasoning
    return ("leaked" if leaks(reasoning, example, world) else "kept"), reasoning


def leaks(reasoning: str, example: Example, world: World) -> str:
    """Why the reasoning gives the answer away before it weighs anything, "" = it does not; rules: see this module."""
    text = "\n".join(_mended(line) for line in reasoning.splitlines()).strip()
    names = _names(example, world)
    if example.task == "judgment":
        return _early_verdict(text, names)
    target = example.right
    label = example.labels[target]
    first: dict[int, int] = {}  # candidate: where it is named first, in the order of the text
    for place, where in _mentions(text, names, example.labels):
        first.setdefault(place, where)
    if next(iter(first), None) != target:
        return ""
    if target:
        return f"names the target {label} before any other candidate, and it is not the first one shown"
    where, *others = first.values()
    if not others:
        return f"names the target {label} and no other candidate"
    begin = max((mark.end() for mark in _SENTENCE.finditer(text, 0, where)), default=0)
    found = _VERDICT.search(text, begin, others[0])
    return f"says {found[0]!r} about the target {label} before another candidate is named" if found else ""


def _early_verdict(text: str, names: dict[str, int]) -> str:
    """Why a judgment's reasoning begins with the verdict."""
    plain = re.sub("|".join(map(_title, names)), "it", text) if names else text  # "Yes Man" and "Dr. No" say nothing
    sentence = _SENTENCE.search(plain)
    words = list(re.finditer(r"\S+", plain))
    end = max(sentence.start() if sentence else len(plain), words[:FIRST_WORDS][-1].end() if words else 0)
    found = _YES_NO.search(plain)
    early = found is not None and found.start() < end
    return f"says {found[0]!r} in its first sentence or its first {FIRST_WORDS} words" if early else ""


def _mended(text: str) -> str:
    """The text as a prompt would show it, with straight apostrophes: titles are compared like this."""
    return quote(text, len(text) + 1)[1:-1].replace("\u2019", "'").replace("\u2018", "'")


def _names(example: Example, world: World) -> dict[str, int]:
    """What each item of the question is called, the longest name first: place of the candidate, HISTORY = none.

    A name of two candidates is that of the first one.
    """
    names: dict[str, int] = {}
    numbered = [(HISTORY, item) for item in example.history] + list(enumerate(example.slate))
    for full in (True, False):
        for place, item in numbered:
            shown = _mended(quote(world.catalog.label(item))[1:-1])
            bare = re.sub(r" ?\(\d{4}\)$", "", shown)
            moved = re.sub(r"^(.+), (The|A|An)$", r"\2 \1", bare)  # "Matrix, The"
            for name in (shown,) if full else (bare, moved):
                if re.search(r"\w", name):
                    names.setdefault(name, place)
    return dict(sorted(names.items(), key=lambda entry: -len(entry[0])))


def _title(name: str) -> str:
    """The expression that finds a title."""
    flags = "(?i:" if " " in name else "(?:"
    return rf"(?<!\w){flags}{re.escape(name)})(?!\w)"


def _mentions(text: str, names: dict[str, int], labels: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The candidates named, by their places, and where, in the order of the text."""
    words = "|".join(labels)
    after = r"(?![^\W_]|['-](?!s\b)\w)"
    pointed = rf"(?i:\b{_POINTED}({words}|\d{{1,4}})){after}"
    patterns = [*(f"({_title(name)})" for name in names), pointed, rf"(?<![^\W_'])({words}){after}"]
    places = list(names.values())
    for found in re.finditer("|".join(patterns), text):
        (begin, end), which = found.span(), found.lastindex - 1
        if which < len(places):
            if places[which] != HISTORY:
                yield places[which], begin
        elif (place := _place(found[found.lastindex], labels)) is not None and (
            which == len(places) or _is_label(found[0], text[max(0, begin - AROUND) : begin], text[end : end + AROUND])
        ):
            yield place, begin


def _place(word: str, labels: Sequence[str]) -> int | None:
    """The place of a label, or that of a number counted from 1."""
    if word.upper() in labels:
        return labels.index(word.upper())
    return int(word) - 1 if word.isdecimal() and 1 <= int(word) <= len(labels) else None


def _is_label(word: str, before: str, after: str) -> bool:
    """Whether a word that reads like a label is one: "A film", "I think" and "12 dramas" hold none."""
    if word.isdecimal():
        return re.match(r":(?!\d)", after) is not None or _IS.match(after) is not None
    if word not in ("A", "I") or not re.match(r"\s+\w", after) or _IS.match(after) or _VERB.match(after):
        return True
    inside = not _BEGINS.search(before) and re.match(r"\s+[a-z]", after)
    return word == "A" and bool(_JOINS.match(after) or inside)
