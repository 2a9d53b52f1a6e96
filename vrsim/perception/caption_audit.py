"""What captions are like: length, script, words that nothing supports, repeats, and what went wrong on the way."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vrsim.perception.items import Item
from vrsim.perception.stages import Output
from vrsim.perception.words import count_words

__all__ = ["CaptionAudit", "audit_captions", "script_of", "unsupported"]

STEM = 5  # letters by which two forms of a word are told to be one


@dataclass(frozen=True)
class CaptionAudit:
    """Counts over the items of a run; shares are of the captions with words."""

    items: int
    captions: int  # with at least one word
    words: float  # of a caption, mean
    longest: int  # words
    above: int  # captions with more words than the limit
    scripts: dict[str, int]  # captions by the script of most of their letters, the most frequent first
    other_script: int  # captions in another script than their title
    unsupported: float  # share of a caption's words that neither title nor perception has, mean
    repeated: int  # captions that another item has too, word for word
    flags: dict[str, int]  # captions by what was odd: again, cut, title, refused, ...
    ways: dict[str, int]  # items by how their frames were chosen
    no_frames: dict[str, int]  # items without a frame, by the reason
    no_title: int


def audit_captions(items: Sequence[Item], outputs: Mapping[str, Mapping[str, Output]], limit: int) -> CaptionAudit:
    """Look at the captions of a run; ``outputs``: by stage and item, ``limit``: words of a caption at most."""
    texts = {item.item_id: outputs["caption"][item.item_id]["text"] for item in items}
    spoken = [item for item in items if count_words(texts[item.item_id])]
    lengths = [count_words(texts[item.item_id]) for item in spoken]
    same = Counter(texts[item.item_id].casefold() for item in spoken)
    scripts = Counter(script_of(texts[item.item_id]) for item in spoken)
    foreign = [
        unsupported(texts[item.item_id], f"{item.title} {outputs['perception'][item.item_id]['text']}")
        for item in spoken
    ]
    frames = outputs["frames"]
    return CaptionAudit(
        items=len(items),
        captions=len(spoken),
        words=float(np.mean(lengths)) if lengths else 0.0,
        longest=max(lengths, default=0),
        above=sum(length > limit for length in lengths),
        scripts=dict(scripts.most_common()),
        other_script=sum(script_of(item.title) not in ("", script_of(texts[item.item_id])) for item in spoken),
        unsupported=float(np.mean(foreign)) if foreign else 0.0,
        repeated=sum(number for number in same.values() if number > 1),
        flags=dict(Counter(flag for item in items for flag in outputs["caption"][item.item_id]["flags"]).most_common()),
        ways=dict(Counter(outputs["choice"][item.item_id]["way"] for item in items).most_common()),
        no_frames=dict(Counter(_reason(frames[item.item_id]) for item in items if "error" in frames[item.item_id])),
        no_title=sum(not item.title.strip() for item in items),
    )


def script_of(text: str) -> str:
    """The script of most letters ("Latin", "Cyrillic", "Cjk", ...), "" = there is no letter."""
    letters = Counter(unicodedata.name(sign, "?").split()[0].title() for sign in text if sign.isalpha())
    return letters.most_common(1)[0][0] if letters else ""


def unsupported(caption: str, source: str) -> float:
    """The share of a caption's words of four letters or more whose beginning no word of ``source`` has.

    A count of words, not of facts: it finds names and things that came from nowhere, and synonyms too. 0 where a
    caption has no such word.
    """
    known = {word[:STEM] for word in _words(source)}
    words = [word for word in _words(caption) if len(word) > 3]
    return sum(word[:STEM] not in known for word in words) / len(words) if words else 0.0


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.casefold())


def _reason(output: Output) -> str:
    """Why there are no frames, without the name of the file."""
    return output["error"] if "file" not in output else "the file cannot be read as a video"
