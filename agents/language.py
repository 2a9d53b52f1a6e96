"""What all agents share that ask a language model: the order of candidates, and what a user says who leaves."""

from dataclasses import replace

import numpy as np

from vrsim.agent import Agent, Observations
from vrsim.agents.asking import Asking
from vrsim.agents.composer import ROLE, Composer, Filling, step
from vrsim.episodes import Episodes
from vrsim.text.replies import spoken
from vrsim.text.writer import Writer, shown_order
from vrsim.world import World

__all__ = ["WISH", "LanguageAgent"]

WORDS = 30  # of a wish
ROOM = 64  # tokens for it, where the agent itself writes no words

WISH = step(
    "wish",
    1,
    "What you took so far, oldest first:\n{history}\n\n"
    "The system showed you these, and you had enough:\n{slate}\n\n"
    f"You are about to leave. Say in one sentence, of at most {WORDS} words, what you would have stayed for. Write "
    "nothing else.",
    ROLE,
)


class LanguageAgent(Asking, Agent):
    """An agent that asks a language model. What it asks is written in ``act``.

    See Asking for the options. Candidates are shown in an order drawn from the seed of ``reset``.
    """

    def prepare(self, world: World, training: Episodes) -> None:
        """Get ready for questions about this world. The default does nothing."""

    def fit(self, world: World, training: Episodes) -> None:
        self.load(world)
        self.prepare(world, training)

    def order(self, observations: Observations) -> np.ndarray:
        """The order in which the candidates are shown, int64 (B, K)."""
        return shown_order(observations, self._seed)

    def wish(self, observations: Observations) -> list[str] | None:
        """One sentence each, at most 30 words, "" = nothing was said; None for a model that was made for one kind of
        prompt, like the pocket model, and writes no sentences."""
        if self._model.completes:
            return None
        sampling = replace(self._sampling, max_tokens=self._sampling.max_tokens or ROOM)
        writer, composer = Writer(self._world, WISH), Composer(WISH, self._model, sampling.max_tokens)
        fillings = []
        for slate, past in zip(observations["slate"].tolist(), writer.history(observations), strict=True):
            listed = "\n".join(f"- {writer.item(item)}" for item in slate)
            fillings.append(Filling({"slate": listed}, [("history", line) for line in past]))
        prompts, _ = composer.write("selection", fillings)
        return [_sentence(completion.text) for completion in self.ask(prompts, self.seeded(sampling))]


def _sentence(text: str) -> str:
    """What was said, on one line, of at most WORDS words."""
    return " ".join(spoken(text).split()[:WORDS])
