"""How the next token is drawn, when a completion is over, and who hears it meanwhile.

The three classes are called by ``transformers``' ``generate`` at every step; ``ids`` holds the prompt and what is
written so far, int64 of shape (rows, tokens).
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vrsim.models.model import Listener, Prompt
from vrsim.models.tokens import Tokens
from vrsim.seeding import generator

if TYPE_CHECKING:
    import torch

__all__ = ["Draw", "Speaker", "Stops", "prompt_key", "until_stop"]


def prompt_key(prompt: Prompt) -> str:
    """Words and images of a prompt, for its random numbers: what else is asked about it changes no completion."""
    return json.dumps([prompt.messages, prompt.text, *prompt.image_hashes])


class Draw:
    """A logits processor that leaves one token to choose from: the one that a row's own random number falls on.

    The tokens with the highest probabilities that reach ``top_p`` together are laid side by side in the order of the
    vocabulary, each as wide as its probability; a number in [0, 1) points at one of them. Each row has its numbers
    from its prompt and the seed, so its neighbours in the batch cannot matter.
    """

    def __init__(self, prompts: Sequence[Prompt], seed: int, steps: int, temperature: float, top_p: float) -> None:
        self._temperature, self._top_p, self._step = temperature, top_p, 0
        numbers = [generator(seed, "completion", prompt_key(prompt)).random(steps) for prompt in prompts]
        self._numbers = np.stack(numbers)  # (rows, steps)

    def __call__(self, ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        import torch

        chances = torch.softmax((scores - scores.amax(-1, keepdim=True)) / self._temperature, -1)  # (rows, vocabulary)
        if self._top_p < 1:
            ordered = chances.sort(-1, descending=True).values
            inside = ordered.cumsum(-1) - ordered < self._top_p  # the most probable one always is
            least = ordered.masked_fill(~inside, 1.0).amin(-1, keepdim=True)
            chances = chances.masked_fill(chances < least, 0.0)
        ends = chances.cumsum(-1, dtype=torch.float64)
        number = torch.from_numpy(self._numbers[:, self._step, None]).to(ends.device)
        token = torch.searchsorted(ends, number * ends[:, -1:], right=True).clamp_(max=scores.shape[1] - 1)
        self._step += 1
        return torch.full_like(scores, -torch.inf).scatter_(1, token, 0.0)


class Stops:
    """A stopping criterion: a row is over when its words hold a stop string.

    Only rows whose last token holds the last character of a stop string are read, and only their last words.
    """

    def __init__(
        self, tokens: Tokens, stop: Sequence[str], leads: Sequence[str], start: int, size: int, device: Any
    ) -> None:
        """``leads``: words of each row that end its prompt and begin its completion. ``start``: tokens before the
        completion. ``size``: of the vocabulary."""
        import torch

        self._tokens, self._stop, self._leads, self._start = tokens, stop, leads, start
        self._tail = max(len(text.encode("utf-8", "replace")) for text in stop) + 4  # a token holds a byte or more
        self._may_end = torch.tensor(tokens.holding(frozenset(text[-1] for text in stop), size), device=device)
        self.lengths: list[int | None] = [None] * len(leads)  # tokens of the rows that are over

    def __call__(self, ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        over = self._may_end[ids[:, -1]]  # (rows,)
        for row in over.nonzero()[:, 0].tolist():
            words = self._tokens.text(ids[row, max(self._start, ids.shape[1] - self._tail) :].tolist())
            over[row] = (
                self.lengths[row] is None
                and any(stop in words for stop in self._stop)
                and until_stop(self._leads[row] + self._tokens.text(ids[row, self._start :].tolist()), self._stop)[1]
            )
            if over[row]:
                self.lengths[row] = ids.shape[1] - self._start
        return over


class Speaker:
    """A streamer that passes a completion on in pieces, whole characters at a time."""

    def __init__(self, tokens: Tokens, stop: Sequence[str], lead: str, listen: Listener) -> None:
        self._tokens, self._stop, self._lead, self._listen = tokens, stop, lead, listen
        self._ids: list[int] | None = None  # None until the prompt has passed
        self._said = ""

    def put(self, ids: "torch.Tensor") -> None:
        if self._ids is None:
            self._ids = []
            return
        self._ids += ids.tolist()
        text = until_stop(self._lead + self._tokens.text(self._ids), self._stop)[0]
        if not text.endswith("\ufffd"):  # a character whose other bytes are still to come
            self.say(text)

    def end(self) -> None:
        """Nothing: what is left is said with the whole text."""

    def say(self, text: str) -> None:
        """Pass on what is new in the text so far."""
        if len(text) > len(self._said):
            self._listen(text[len(self._said) :])
            self._said = text


def until_stop(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """The text up to and with the stop string that ends first, and whether there is one.

    Inside ``<think>...</think>`` only a stop string with ``</think>`` counts: thoughts may well speak of an answer.
    """
    behind = 0
    if "<think>" in text:
        behind = text.find("</think>", text.index("<think>"))
        behind = len(text) if behind < 0 else behind
    ends = []
    for word in stop:
        found = text.find(word, 0 if "</think>" in word else behind)
        if found >= 0:
            ends.append(found + len(word))
    return (text[: min(ends)], True) if ends else (text, False)
