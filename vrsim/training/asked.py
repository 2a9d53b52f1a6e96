"""The prompts of agents that ask item by item, as they would ask them of the training users."""

from collections.abc import Iterator, Sequence

import numpy as np

from vrsim.episodes import Episodes
from vrsim.errors import TrainingError
from vrsim.models.model import Completion, Done, Listener, Model, Prompt, Sampling, ignore
from vrsim.registry import agent_class
from vrsim.text.replies import YES_NO

__all__ = ["prompts_of"]


class _Tap(Model):
    """A model that notes the prompts whose answer is Yes or No, and passes on all others."""

    def __init__(self, model: Model) -> None:
        self.name, self.context = model.name, model.context
        self._model = model
        self.noted: list[Prompt] = []

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, done: Done = ignore, listen: Listener | None = None
    ) -> list[Completion]:
        if not all(prompt.options == YES_NO for prompt in prompts):
            return self._model.generate(prompts, sampling, done, listen)
        self.noted += prompts
        completions = [Completion("", logprobs=(-1.0, -1.0)) for _ in prompts]
        for place, completion in enumerate(completions):
            done(place, completion)
        return completions

    def count(self, texts: Sequence[str]) -> list[int]:
        return self._model.count(texts)


def prompts_of(agent: str, episodes: Episodes, index: np.ndarray, model: Model, seed: int) -> Iterator[Prompt]:
    """What the agent asks about some judgments, one prompt for each, in order.

    What it asks before (a summary, for example) the model answers. Raises TrainingError for an agent that asks
    otherwise.
    """
    tap = _Tap(model)
    asking = agent_class(agent)(model=tap)
    asking.fit(episodes.world, episodes)
    asking.reset(seed)
    for episode in index.tolist():
        tap.noted.clear()
        asking.act(episodes.observe(np.array([episode])))
        if len(tap.noted) != 1:
            raise TrainingError(
                f"the agent {agent!r} asks no single Yes or No about an item: it cannot be fine-tuned here"
            )
        yield tap.noted[0]
