"""What a language model is here: a batch of prompts in, a batch of completions out."""

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vrsim.errors import OptionError

__all__ = [
    "END",
    "PAUSE",
    "TOGETHER",
    "Asked",
    "Completion",
    "Conversation",
    "Done",
    "Listener",
    "Model",
    "Prompt",
    "Sampling",
    "ignore",
]

T = TypeVar("T")


@dataclass(frozen=True)
class Prompt:
    """What a model is given, and what is asked beside its words."""

    messages: tuple[tuple[str, str], ...]  # (role, text), role "system", "user" or "assistant"; empty = plain text
    text: str = ""  # what the model goes on with, without any chat template, where there are no messages
    options: tuple[str, ...] = ()  # continuations whose probabilities are asked for
    cue: str = ""  # the options are weighed right after this, which ends the completion; "" = right after it
    images: tuple[bytes, ...] = ()  # JPEG or PNG files, in the order in which they stand before the last user's words

    @property
    def words(self) -> str:
        """Everything that the model is told, without any chat template."""
        return self.text or "\n\n".join(text for _, text in self.messages)

    @property
    def image_hashes(self) -> list[str]:
        """SHA-256 of each image."""
        return [hashlib.sha256(image).hexdigest() for image in self.images]


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn."""

    max_tokens: int = 512  # 0 = no words, only the probabilities of the options
    temperature: float = 0.0  # 0 = always the most probable token
    top_p: float = 1.0  # share of the probability that is drawn from
    stop: tuple[str, ...] = ()  # a completion ends with the first of these behind its thoughts, which stays part of it
    seed: int = 0  # equal prompts and seeds give equal completions, whatever else is in the batch

    def __post_init__(self) -> None:
        if type(self.max_tokens) is not int or self.max_tokens < 0:
            raise OptionError(f"max_tokens must be an integer from 0, found {self.max_tokens!r}")
        for name, most in (("temperature", 2.0), ("top_p", 1.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
                raise OptionError(f"{name} must be a number from 0 to {most:g}, found {value!r}")
        if self.top_p == 0:
            raise OptionError("top_p must be above 0; for the most probable token set temperature=0")


@dataclass(frozen=True)
class Completion:
    """What a model answered to one prompt."""

    text: str
    finish: str = "stop"  # "stop" by itself, "length" cut at max_tokens, "failed" no answer after every try: text ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0  # of waiting for a server; a batch that runs here shares its time equally
    logprobs: tuple[float, ...] | None = None  # of each option, natural; -inf = too improbable to be listed; None = n/a
    dropped: int = 0  # prompt tokens that did not fit into the model's context and were left out of it
    reused: bool = field(default=False, compare=False)  # it was not asked now: from a store, or of an equal prompt


Done = Callable[[int, Completion], None]
"""Called with the place of a prompt and its completion, as soon as it is there, in any order.

An error that it raises (a spent budget, a full disk) ends the work: no new call is made, what is under way is
waited for and passed on too, and then the error is raised.
"""

Asked = tuple[Prompt, Sampling]
"""What is asked, and how it is to be answered."""

Conversation = Generator[Asked, Completion, T]
"""Asks one thing after another: yields a prompt and how it is to be answered, gets the completion, returns anything."""

PAUSE = 0.02  # seconds until a conversation that was not ready is asked for again
END = object()  # behind the last conversation
TOGETHER = 256  # conversations that are held at once by a model that answers batches

Listener = Callable[[str], None]
"""Called with each piece of text of a single completion, as it is written."""


def ignore(place: int, completion: Completion) -> None:
    """The ``done`` of a caller who waits for all of them."""


class Model(ABC):
    """A language model. Only ``generate`` has to be written."""

    name: str  # names everything that can change an answer, in keys of stores and in manifests; holds no secret
    context: int | None = None  # tokens of prompt, completion and 32 of chat markup together, None = unknown
    completes: str = ""  # the template it was made for, "" = any: it follows instructions

    @abstractmethod
    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, done: Done = ignore, listen: Listener | None = None
    ) -> list[Completion]:
        """One completion per prompt, in order.

        A bad reply is data, not an error: what cannot be had after every try is a Completion that ``failed``.
        ``listen`` hears a single prompt's completion while it is written. Raises ModelError where no prompt could
        be answered (a wrong key, a server that refuses).
        """

    def converse(self, conversations: Iterable[Conversation[T] | None]) -> list[T]:
        """Hold conversations, and return what they return, in order.

        None in place of one says that the next is not ready yet: it is asked for again soon. What a conversation
        raises ends the work, as with ``Done``. Here those that are ready ask together, in batches; a server is asked
        for each one as soon as its answer before is there. Raises what ``generate`` raises.
        """
        found: dict[int, T] = {}
        asked: dict[int, tuple[Conversation[T], Prompt, Sampling]] = {}

        def go_on(place: int, conversation: Conversation[T], completion: Completion | None = None) -> None:
            try:
                asked[place] = conversation, *conversation.send(completion)
            except StopIteration as end:
                found[place] = end.value

        coming, begun, more = iter(conversations), 0, True
        while more or asked:
            while more and len(asked) < TOGETHER:
                conversation = next(coming, END)
                if conversation is None:
                    break
                if more := conversation is not END:
                    go_on(begun, conversation)
                    begun += 1
            if asked:
                sampling = next(iter(asked.values()))[2]
                turn = [(place, *asked.pop(place)) for place in [*asked] if asked[place][2] == sampling]
                _answer(self, turn, sampling, go_on)
            elif more:
                time.sleep(PAUSE)
        return [found[place] for place in range(begun)]

    def warm_up(self) -> None:
        """Load what the first question would wait for, while other work is under way. Does nothing by default."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has by itself. The default guesses: a token for every three bytes."""
        return [-(-len(text.encode("utf-8", "replace")) // 3) for text in texts]


def _answer(model: Model, turn: list[tuple[Any, ...]], sampling: Sampling, go_on: Callable[..., None]) -> None:
    """Answer (place, conversation, prompt, sampling) each, and go on with it as soon as its answer is there."""
    heard: set[int] = set()

    def hear(at: int, completion: Completion) -> None:
        heard.add(at)
        go_on(*turn[at][:2], completion)

    completions = model.generate([prompt for _, _, prompt, _ in turn], sampling, hear)
    for at in {*range(len(turn))} - heard:  # of a model that tells nobody before
        hear(at, completions[at])
