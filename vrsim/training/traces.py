"""Written-out reasoning for the replies of supervised fine-tuning, and which replies carry it.

The template here says only what the prompt shows: what the history has in common with each candidate. A teacher model
(vrsim.training.teacher) says more. A set share of the replies reasons and the others answer at once, which keeps a
model from learning the words of the reasoning instead of the answer (MLLMRec-R1, 2026).
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

from vrsim.errors import OptionError
from vrsim.seeding import generator
from vrsim.text.quoting import quote
from vrsim.text.templates import US_AGENT
from vrsim.text.writer import Writer
from vrsim.training.examples import Example
from vrsim.world import World

__all__ = ["MOST_WORDS", "TemplateReasoner", "mixed"]

MOST_WORDS = 80  # of a template's reasoning, up to 37 candidates
LATELY = 3  # newest items of the history that the present status is read from


class TemplateReasoner:
    """Says in a few words what the history shown is like, and what each candidate shares with it.

    An item is known by what its line in the prompt says: the words of its caption, else its genres, else the words of
    its title. The text depends on the history and the slate as shown, never on the right answer, and names no verdict.
    """

    def __init__(self, world: World, captions: bool = True) -> None:
        """``captions``: as for the prompt, shown where the world has them."""
        self._catalog, self._captions = world.catalog, captions
        self._describe = Writer(world, US_AGENT, captions=captions).description
        self._aspects = cache(self._read)

    def reason(self, example: Example) -> str:
        """At most ``MOST_WORDS`` words; above 37 candidates, two words for each of them and five more."""
        shown = example.history
        counts = Counter(aspect for item in shown for aspect in self._aspects(item))
        recent = Counter(aspect for item in shown[-LATELY:] for aspect in self._aspects(item))
        labels = example.labels if example.task == "selection" else ("The item",)
        candidates = [(label, self._shared(item, counts)) for label, item in zip(labels, example.slate, strict=True)]
        status = f"The user took {len(shown) or 'no'} item{'' if len(shown) == 1 else 's'}"
        for most in (3, 2, 1):
            often = [aspect for aspect in sorted(counts, key=_rank(counts)) if counts[aspect] > 1]
            lately = sorted(recent, key=_rank(recent, counts))
            text = status
            text += f", mostly {_listed(often[:most], counts)}" if often else ""
            text += f", lately {', '.join(lately[:most])}" if lately else ""
            weighed = (f"{label} shares {_listed(shared[:most], counts)}" for label, shared in candidates)
            text += f". {'; '.join(weighed)}."
            if len(text.split()) <= MOST_WORDS:
                return text
        return f"{status}. {'; '.join(f'{label}: {len(shared)}' for label, shared in candidates)}."

    def _shared(self, item: int, counts: Counter[str]) -> list[str]:
        """What an item has in common with the history, the most frequent first."""
        return sorted((aspect for aspect in self._aspects(item) if aspect in counts), key=_rank(counts))

    def _read(self, item: int) -> tuple[str, ...]:
        """What an item is known by, without repetitions."""
        catalog = self._catalog
        described = self._describe(item)
        if not described:
            return _words(quote(catalog.label(item)))
        if self._captions and catalog.captions[item]:
            return _words(described)
        genres = (quote(genre, len(described))[1:-1] for genre in catalog.genres[item])
        return tuple(dict.fromkeys(genre for genre in genres if genre and genre in described))  # a long list is cut


def _words(text: str) -> tuple[str, ...]:
    """The words of a text that say something, in small letters."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    words = (word.lower() for word in re.findall(r"[^\W\d_]{3,}", text))
    return tuple(dict.fromkeys(word for word in words if word not in ENGLISH_STOP_WORDS))


def _rank(*counts: Counter[str]) -> Callable[[str], tuple]:
    """Sorts by the counts, the highest first, then by the alphabet."""
    return lambda aspect: (*(-count[aspect] for count in counts), aspect)


def _listed(aspects: Sequence[str], counts: Counter[str]) -> str:
    return ", ".join(f"{aspect} ({counts[aspect]})" for aspect in aspects) or "nothing"


def mixed(total: int, share: float, seed: int) -> list[bool]:
    """Which of ``total`` samples carry reasoning: exactly round(total * share) of them, drawn by ``seed``.

    Raises OptionError for a share outside 0 to 1.
    """
    if not 0 <= share <= 1:
        raise OptionError(f"share must be a number from 0 to 1, found {share!r}")
    chosen = set(generator(seed, "reasoning").permutation(total)[: round(total * share)].tolist())
    return [place in chosen for place in range(total)]
