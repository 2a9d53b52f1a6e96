"""What a model answered about a video: its words without wrapping, and why they may say nothing."""

import re

from vrsim.models.model import Completion
from vrsim.perception.words import split_words
from vrsim.text.replies import spoken

__all__ = ["faults", "said"]

_LEAD = re.compile(r"[\s*_#>\"'\u201c-]*(?:rewritten )?caption[\s*_]*:[\s*_]*", re.IGNORECASE)
_QUOTES = {'"': '"', "\u201c": "\u201d", "'": "'", "\u2018": "\u2019", "\u300c": "\u300d", "*": "*"}
_ABLE = r"(?:cannot|can't|can not|am unable to|'m unable to|am not able to|'m not able to|won't)"
_ACT = (
    r"(?:access|analy[sz]e|answer|assist|comply|continue|create|describe|determine|do that|fulfill?|generate|help|"
    r"identify|process|provide|see|view|watch|write)"
)
_REFUSAL = re.compile(
    r"\W*(?:"
    r"(?:i'm|i am|we are|we're) (?:\w+ )?sorry\b.{0,10}\b(?:i|we)\b|sorry, (?:but )?i\b|i apologi[sz]e\b|as an ai\b|"
    rf"(?:unfortunately, )?i ?{_ABLE} (?:\w+ )?{_ACT}\b|"
    "\u5f88?\u62b1\u6b49|\u5bf9\u4e0d\u8d77\uff0c\u6211|\u6211(?:\u65e0\u6cd5|\u4e0d\u80fd)|"  # sorry; I cannot
    "\u7533\u3057\u8a33|\u3059\u307f\u307e\u305b\u3093)",  # sorry
    re.IGNORECASE,
)
_STUTTER = re.compile(r"(\w{1,20}?)\1{9}")  # ten times in a row
RUN = 3  # words whose repetition is counted
FEWEST = 8  # words of a text that can repeat itself


def said(answer: Completion) -> str:
    """An answer on one line, without its thoughts, "Caption:" in front and quotation marks around it."""
    text = " ".join(spoken(answer.text).split())
    lead = _LEAD.match(text)
    text = text[lead.end() :] if lead else text
    while len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    return text


def faults(answer: Completion) -> tuple[str, ...]:
    """Why an answer says nothing about a video: "failed", "empty" without a word, "refused", "repeats"; () = it may.

    A text repeats itself if fewer than half of its runs of three words are different ones, or if the same letters
    stand ten times in a row.
    """
    if answer.finish == "failed":
        return ("failed",)
    text = said(answer)
    if not re.search(r"\w", text):
        return ("empty",)
    found = ["refused"] if _REFUSAL.match(text.replace("\u2019", "'")) else []
    words = [word.lower() for word in split_words(text)]
    runs = list(zip(*(words[start:] for start in range(RUN)), strict=False))
    if (len(words) >= FEWEST and 2 * len(set(runs)) < len(runs)) or _STUTTER.search(text):
        found.append("repeats")
    return tuple(found)
