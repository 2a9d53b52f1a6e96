"""What everything shares that asks a language model: the model, room for its prompts, and what the answers cost."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vrsim.errors import OptionError
from vrsim.models.ledger import FREE, Ledger
from vrsim.models.model import Completion, Listener, Model, Prompt, Sampling
from vrsim.models.names import ModelSpec, make_model
from vrsim.models.silence import refuse_silence
from vrsim.text.templates import Template
from vrsim.text.writer import Writer
from vrsim.world import World

__all__ = ["Asking"]

ON_GPU = ("hf", "vllm", "checkpoint")  # kinds of model that are loaded here and are large


class Asking:
    """A part of agents and policies: the ability to ask a language model.

    ``model`` names a model as in vrsim.models.names, and ``options`` go to it; a Model that is there already is taken
    as it is, and is free. ``max_tokens``, ``temperature`` and ``top_p`` say how replies are drawn.
    """

    variants = ()  # asks a model for every answer: played where it is named
    templates: tuple[Template, ...] = ()  # every prompt that it may use

    def __init__(
        self,
        model: str | Model = "pocket",
        max_tokens: int = 512,
        temperature: float = 0.0,
        top_p: float = 1.0,
        **options: Any,
    ) -> None:
        ready = isinstance(model, Model)
        if ready and options:
            raise OptionError(f"a model that is there already takes no options, found {', '.join(options)}")
        self._spec = None if ready else ModelSpec.parse(model, options)
        self.wants_gpu = self._spec is not None and self._spec.kind in ON_GPU
        self._sampling = Sampling(max_tokens, temperature, top_p)
        self._seed = 0
        self._model: Model | None = model if ready else None
        self._world: World | None = None
        self._name = ""
        self._ledger: Ledger | None = None
        self.listen: Listener | None = None  # hears the reply to a single question while it is written

    def load(self, world: World) -> None:
        """Have the model ready for questions about this world. Raises ModelError, DependencyError."""
        self._world = world
        if self._model is None or (self._spec and self._spec.per_world):
            self._model = make_model(self._spec, world)

    def reset(self, seed: int) -> None:
        self._seed = seed

    def about(self) -> dict[str, Any]:
        return {"prompts": {template.id: template.hash for template in self.templates}}

    def account(self, name: str, ledger: Ledger) -> None:
        self._name, self._ledger = name, ledger
        if self._spec is not None:
            ledger.accept(f"{self._spec.kind}:{self._spec.target}", self._spec.price)

    def speak_to(self, listener: Listener | None) -> None:
        self.listen = listener

    def writer(self, template: Template, max_tokens: int, **options: Any) -> Writer:
        """A writer whose prompts leave ``max_tokens`` of the model's context."""
        budget = None if self._model.context is None else self._model.context - max_tokens
        if budget is not None and budget < 1:
            raise OptionError(
                f"max_tokens={max_tokens} leaves no room for a prompt in the model's context of {self._model.context}"
            )
        return Writer(self._world, template, budget=budget, count=self._model.count, **options)

    def seeded(self, sampling: Sampling) -> Sampling:
        """The same way of drawing replies, with the seed of ``reset``; where nothing is drawn all are alike."""
        if sampling.max_tokens == 0:
            return Sampling(0)
        return replace(sampling, seed=self._seed if sampling.temperature else 0)

    def ask(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Completion]:
        """One completion per prompt; equal prompts are asked once."""
        if sampling.max_tokens == 0 and not any(prompt.options for prompt in prompts):
            raise OptionError("max_tokens=0 asks for no words, and this agent reads words; set it from 1")
        if self._ledger is not None:
            self._ledger.check()
        places: dict[Prompt, int] = {}
        for prompt in prompts:
            places.setdefault(prompt, len(places))
        unique = list(places)
        listen = self.listen if len(unique) == 1 else None
        kind, price = (self._spec.kind, self._spec.price) if self._spec else ("", FREE)
        waiting: list[Completion] = []  # calls of servers are booked one by one, as they are paid

        def book(place: int, completion: Completion) -> None:
            if self._ledger is None:
                return
            if kind == "openai" and not completion.reused:
                self._ledger.book(self._name, self._model.name, completion, price)
            else:
                waiting.append(completion)

        try:
            completions = self._model.generate(unique, sampling, book, listen)
        finally:
            if waiting:
                self._ledger.book_many(self._name, self._model.name, waiting, price)
        failed = sum(completion.finish == "failed" for completion in completions)
        refuse_silence(self._model.name, failed, len(completions))
        return [completions[places[prompt]] for prompt in prompts]
