"""A model behind a store: recorded once, repeated without it."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import TypeVar, final

from vrsim.errors import ModelError
from vrsim.models.model import PAUSE, Asked, Completion, Conversation, Done, Listener, Model, Prompt, Sampling, ignore
from vrsim.models.store import Store, completion_keys, count_key

__all__ = ["Recorded"]

T = TypeVar("T")


@final
class Recorded(Model):
    """A model behind a store: it is asked, and even made, only for what the store does not hold.

    New completions are stored the moment they arrive. Those that failed are not: they are asked again next time.
    Token counts, ``context`` and ``completes`` are stored too, so that a replay needs no model at all.
    """

    def __init__(
        self,
        make: Callable[[], Model],
        name: str,
        store: Store,
        replay: bool = False,
        facts: tuple[int | None, str] | None = None,
    ) -> None:
        """``make`` loads the model; its answers are stored under ``name``, which has to tell it from all others.

        ``replay`` = the model must not be needed. ``facts``, its ``context`` and ``completes``, are given where it
        costs nothing to make.
        """
        self._make, self.name, self.store, self.replay = make, name, store, replay
        self._model: Model | None = None
        self._counts: dict[str, int] = {}
        self._known = facts

    @property
    def context(self) -> int | None:
        return self._facts[1]

    @property
    def completes(self) -> str:
        return self._facts[2]

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, done: Done = ignore, listen: Listener | None = None
    ) -> list[Completion]:
        """As the model would; what is stored comes first, at once. Equal prompts are asked once.

        Raises ModelError in a replay if anything is missing, before any ``done``.
        """
        keys = completion_keys(self.name, prompts, sampling)
        stored = self.store.get(dict.fromkeys(keys))
        places: dict[bytes, list[int]] = {}
        for place, key in enumerate(keys):
            if key not in stored:
                places.setdefault(key, []).append(place)
        missing = list(places.items())
        model = self._load("completions", len(missing), len(set(keys))) if missing else None
        found: dict[int, Completion] = {}

        def deliver(place: int, completion: Completion) -> None:
            found[place] = completion
            done(place, completion)

        def store(index: int, completion: Completion) -> None:
            key, equals = missing[index]
            completion = self.store.put(key, completion)
            for place in equals:
                deliver(place, completion)
                completion = replace(completion, reused=True)

        for place, key in enumerate(keys):
            if key in stored:
                if listen is not None:
                    listen(stored[key].text)
                deliver(place, stored[key])
        if model is not None:
            model.generate([prompts[equals[0]] for _, equals in missing], sampling, store, listen)
        return [found[place] for place in range(len(prompts))]

    def converse(self, conversations: Iterable[Conversation[T] | None]) -> list[T]:
        """As the model would, asked for what is not stored. Equal prompts may be asked at the same time, and the first
        answer stays. A replay says how much is missing.
        """
        if self.replay:
            return super().converse(conversations)
        found, coming = [], iter(conversations)
        for each in coming:
            if each is None:
                time.sleep(PAUSE)
                continue
            conversation = self._open_questions(each)
            try:
                asked = next(conversation)
            except StopIteration as end:
                found.append(end.value)
                continue
            rest = (each and self._open_questions(each) for each in coming)
            return found + self._made().converse(chain([_begun(conversation, asked)], rest))
        return found

    def _open_questions(self, conversation: Conversation[T]) -> Conversation[T]:
        """The conversation without the questions whose answers are stored."""
        completion = None
        while True:
            try:
                prompt, sampling = conversation.send(completion)
            except StopIteration as end:
                return end.value
            [key] = completion_keys(self.name, [prompt], sampling)
            completion = self.store.get([key]).get(key)
            if completion is None:
                completion = self.store.put(key, (yield prompt, sampling))

    def warm_up(self) -> None:
        """Warm the model up where it costs nothing to make: another may not be needed at all."""
        if self._known is not None and not self.replay:
            self._made().warm_up()

    def count(self, texts: Sequence[str]) -> list[int]:
        unknown = list(dict.fromkeys(text for text in texts if text not in self._counts))
        if unknown:
            keys = {text: count_key(self.name, text) for text in unknown}
            stored = self.store.get_counts(keys.values())
            missing = [text for text in unknown if keys[text] not in stored]
            if missing:
                model = self._load("token counts", len(missing), len(unknown))
                new = {keys[text]: n for text, n in zip(missing, model.count(missing), strict=True)}
                self.store.put_counts(new)
                stored |= new
            self._counts |= {text: stored[keys[text]] for text in unknown}
        return [self._counts[text] for text in texts]

    @cached_property
    def _facts(self) -> tuple[str, int | None, str]:
        if self._known is not None:
            return self.name, *self._known
        stored = self.store.get_facts(self.name)
        if stored is None:
            model = self._load("facts", 1, 1)
            stored = model.name, model.context, model.completes
        return stored

    def _load(self, what: str, missing: int, of: int) -> Model:
        if self.replay:
            raise ModelError(
                f"{missing:,} of {of:,} {what} of {self.name} are not in {self.store.path}: record them by the same "
                "command without replay; the same words, sampling and seed are found again"
            )
        return self._made()

    def _made(self) -> Model:
        if self._model is None:
            self._model = self._make()
            self.store.put_facts(self.name, self._model)
            [identity, *_] = self.store.get_facts(self.name)
            if identity != self._model.name:
                raise ModelError(
                    f"the answers of {self.name} in {self.store.path} are of {identity}, and the model is now "
                    f"{self._model.name}; choose another store for its answers"
                )
        return self._model


def _begun(conversation: Conversation[T], asked: Asked) -> Conversation[T]:
    """A conversation that has asked its first question already."""
    while True:
        completion = yield asked
        try:
            asked = conversation.send(completion)
        except StopIteration as end:
            return end.value
