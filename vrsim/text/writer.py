"""From observations to prompts: what the world knows about a history and a slate, in the words of a template."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from vrsim.errors import ModelError
from vrsim.models.model import Prompt
from vrsim.seeding import row_keys
from vrsim.text.quoting import quote
from vrsim.text.replies import labels_of
from vrsim.text.templates import Template
from vrsim.world import World

__all__ = ["FRAME", "NOTHING", "Writer", "Written", "check_room", "lines_to_drop", "shown_order"]

FRAME = 32  # tokens that a chat template may add around the words
NOTHING = "- nothing yet"

Count = Callable[[Sequence[str]], list[int]]


@dataclass(frozen=True, eq=False)
class Written:
    """B prompts and how to read what comes back."""

    prompts: list[Prompt]
    labels: tuple[str, ...]  # the answers that can be given
    order: np.ndarray  # int64 (B, K): place in the slate of the candidate shown at each place
    cut: np.ndarray  # int64 (B,): oldest items of the history that did not fit

    def places(self, choice: np.ndarray) -> np.ndarray:
        """The actions behind labels, int64 (B,); ``choice`` int64 (B,): place of the label, from 0."""
        if self.order.shape[1] == 1:
            return choice
        return np.take_along_axis(self.order, choice[:, None], axis=1)[:, 0]

    def shown(self, answer: int, row: int = 0) -> int:
        """The place of the label of an action in one row, from 0."""
        return answer if self.order.shape[1] == 1 else int(np.flatnonzero(self.order[row] == answer)[0])

    def unshuffled(self, chances: np.ndarray) -> np.ndarray:
        """Numbers of the candidates as shown, by place in the slate instead; float (B, K)."""
        return np.take_along_axis(chances, np.argsort(self.order, axis=1), axis=1)


def shown_order(observations: Mapping[str, np.ndarray], seed: int) -> np.ndarray:
    """A random order of each slate, int64 (B, K), which depends on ``seed`` and the row alone."""
    slate = observations["slate"]
    keys = row_keys(seed, np.concatenate([observations["position"], slate], axis=1), slate.shape[1])
    return keys.argsort(axis=1)


def check_room(left: int, budget: int) -> None:
    """Raise ModelError if less than no tokens are ``left`` of the ``budget`` when a prompt has no lines yet."""
    if left < 0:
        raise ModelError(
            f"the question alone has {budget - left} tokens and the model takes {budget} for a "
            "prompt; use a model with a longer context, fewer candidates or smaller max_tokens"
        )


def lines_to_drop(lengths: Sequence[int], room: int) -> int:
    """How many of the oldest lines have to go, whole ones only, until the others fit into ``room`` tokens.

    ``lengths``: tokens of each line without its line break, oldest first.
    """
    for place in range(len(lengths) - 1, -1, -1):
        room -= lengths[place] + 1
        if room < 0:
            return place + 1
    return 0


class Writer:
    """Writes the prompts of one template about one world.

    ``comments`` and ``captions`` say whether those are shown where the world has them; without a caption an item
    is described by its genres. ``history`` is the number of newest items that are shown, whatever the protocol shows,
    0 = those that it shows. ``budget`` is the number of tokens a prompt may have, None = any, as
    ``count`` counts them: the history is cut from its oldest item on, item by item.
    """

    def __init__(
        self,
        world: World,
        template: Template,
        *,
        comments: bool = True,
        captions: bool = True,
        history: int = 0,
        budget: int | None = None,
        count: Count | None = None,
    ) -> None:
        self.template = template
        self._length = history
        self._world, self._comments, self._captions = world, comments, captions
        self._budget, self._count = budget, count
        ratings = world.interactions.ratings
        scale = np.zeros(0, np.float32) if ratings is None else np.unique(ratings[np.isfinite(ratings)])
        self._scale = scale  # the ratings that occur, ascending
        self._marks = ["", *(f", rated {value:g} of {scale[-1]:g}" for value in scale)]
        self._items: list[str | None] = [None] * (world.n_items + 1)
        self._lengths: dict[str, int] = {}  # tokens of each line that was counted

    def about(self, world: World) -> "Writer":
        """The same writer about other interactions with the same items."""
        other = copy(self)
        other._world = world
        return other

    def item(self, item: int) -> str:
        """An item in words, quoted."""
        words = self._items[item]
        if words is None:
            words = quote(self._world.catalog.label(item))
            if self.template.lines == "full":
                words += self.description(item)
            self._items[item] = words
        return words

    def answer(self, item: int) -> str:
        """An item as what a model goes on with that answers by titles."""
        return f" {self.item(item)}"

    def description(self, item: int) -> str:
        """What follows an item's title: its caption, else its genres, quoted; "" = neither is known."""
        catalog = self._world.catalog
        about = (catalog.captions[item] if self._captions else "") or ", ".join(catalog.genres[item])
        return f", {quote(about, 400)}" if about else ""

    def seen(self, observations: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """The observations with as long a history as this writer shows."""
        if not self._length:
            return observations
        history = self._world.interactions.histories(*observations["position"].T, self._length)
        return {**observations, "history": history}

    def history(self, observations: Mapping[str, np.ndarray]) -> list[list[str]]:
        """The lines of each history, oldest first."""
        history = observations["history"]
        full = self.template.lines == "full"
        marks = self._said(observations["position"], history) if full else None
        lines = []
        for row, items in enumerate(history.tolist()):
            known = [(place, item) for place, item in enumerate(items) if item]
            if marks is None:
                lines.append([f"- {self.item(item)}" if full else f" {self.item(item)}" for _, item in known])
            else:
                said = marks[row]
                lines.append([f"- {self.item(item)}{said[place]}" for place, item in known])
        return lines

    def write(self, observations: Mapping[str, np.ndarray], order: np.ndarray | None = None) -> Written:
        """The prompts about B observations, candidates in ``order`` int64 (B, K), None = that of the slate.

        Raises ModelError if the budget does not even hold the question.
        """
        observations, template = self.seen(observations), self.template
        slate = observations["slate"]
        size = slate.shape[1]
        if order is None:
            order = np.broadcast_to(np.arange(size), slate.shape)
        task = "judgment" if size == 1 else "selection"
        labels = labels_of(task, max(2, size))
        frame = getattr(template, task).replace("{labels}", _either(labels))
        shown = np.take_along_axis(slate, order, axis=1).tolist()
        candidates = self._candidates(shown, labels if task == "selection" else ())
        lines = self.history(observations)
        cut = self._cut(frame, lines, candidates)
        between = "\n" if template.lines == "full" else ""
        before, _, rest = frame.partition("{history}")
        middle, asked, after = rest.partition("{candidates}")
        options = labels if template.options == "labels" else None
        prompts = []
        for past, choices, items, drop in zip(lines, candidates, shown, cut.tolist(), strict=True):
            words = between.join(past[drop:]) or (NOTHING if between else "")
            text = f"{before}{words}{middle}{between.join(choices) if asked else ''}{after}"
            weighed = options or tuple(self.answer(item) for item in items)
            if template.chat:
                system = (("system", template.system),) if template.system else ()
                prompts.append(Prompt((*system, ("user", text)), options=weighed))
            else:
                prompts.append(Prompt((), template.system + text, weighed))
        return Written(prompts, labels, order, cut)

    def _candidates(self, shown: list[list[int]], labels: Sequence[str]) -> list[list[str]]:
        """The lines of the candidates; no ``labels`` = there is one and it needs none."""
        if self.template.marks == "behind":
            marks = labels or ("",)
            return [[f" {self.item(i)}{mark}" for mark, i in zip(marks, items, strict=True)] for items in shown]
        marks = [f"{label}. " for label in labels] or ["- "]
        return [[mark + self.item(i) for mark, i in zip(marks, items, strict=True)] for items in shown]

    def _said(self, positions: np.ndarray, history: np.ndarray) -> list[list[str]] | None:
        """What each user had said about the items of the history by then: rating and comment, in words."""
        interactions = self._world.interactions
        comments = interactions.comments if self._comments else None
        if not len(self._scale) and comments is None:
            return None
        rows = interactions.rows_before(positions, history)  # a history need not be the real one
        codes = np.zeros(history.shape, np.int64)
        if len(self._scale):
            ratings = interactions.ratings[np.maximum(rows, 0)]
            rated = (rows >= 0) & np.isfinite(ratings)
            codes[rated] = np.searchsorted(self._scale, ratings[rated]) + 1
        said = np.array(self._marks, object)[codes].tolist()
        if comments is not None:
            words = comments.take(np.maximum(rows, 0).ravel()).to_pylist()
            for place, (row, comment) in enumerate(zip(rows.ravel().tolist(), words, strict=True)):
                if row >= 0 and comment:
                    said[place // history.shape[1]][place % history.shape[1]] += f", said {quote(comment)}"
        return said

    def _cut(self, frame: str, lines: list[list[str]], candidates: list[list[str]]) -> np.ndarray:
        """How many of the oldest lines have to go, int64 (B,)."""
        cut = np.zeros(len(lines), np.int64)
        if self._budget is None:
            return cut
        self._measure([self.template.system + frame, NOTHING], *lines, *candidates)
        fixed = FRAME + self._lengths[self.template.system + frame] + self._lengths[NOTHING]
        for row, (past, choices) in enumerate(zip(lines, candidates, strict=True)):
            left = self._budget - fixed - sum(self._lengths[line] + 1 for line in choices)
            check_room(left, self._budget)
            cut[row] = lines_to_drop([self._lengths[line] for line in past], left)
        return cut

    def _measure(self, *texts: list[str]) -> None:
        new = list({line for lines in texts for line in lines} - self._lengths.keys())
        if new:
            self._lengths.update(zip(new, self._count(new), strict=True))


def _either(labels: Sequence[str]) -> str:
    return f"{', '.join(labels[:-1])} or {labels[-1]}" if labels[0] != "No" else "Yes or No"
