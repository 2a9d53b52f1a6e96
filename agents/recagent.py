"""``recagent``: a sensory, a short-term and a long-term memory, and an insight drawn from the last."""

from dataclasses import replace
from typing import Any, final

import numpy as np

from vrsim.agent import Decisions, Observations
from vrsim.agents.composer import ROLE, UNKNOWN, Composer, Filling, said, step
from vrsim.agents.decisions import by_words, with_seconds
from vrsim.agents.language import LanguageAgent
from vrsim.agents.memory import Memory
from vrsim.agents.past import likes, longer, ratings_of
from vrsim.episodes import Episodes
from vrsim.errors import OptionError
from vrsim.models.model import Model
from vrsim.text.replies import labels_of
from vrsim.text.templates import QUOTED, Template
from vrsim.text.writer import Written
from vrsim.world import World

__all__ = ["DECISION", "INSIGHT", "RecAgent"]

EARLIER = 100  # newest items that both memories are made of

INSIGHT = step(
    "recagent-insight",
    1,
    "From a user's long-term memory, oldest first:\n{long}\n\n"
    "What do these memories tell about this person? Write one or two sentences about lasting interests and dislikes. "
    "Write nothing else.",
    QUOTED,
)
_MEMORIES = (
    "You remember from long ago, oldest first:\n{long}\n\n"
    "What you have come to know about yourself:\n{insight}\n\n"
    "You took lately, oldest first:\n{short}\n\n"
    "Now you see:\n{candidates}\n\n"
)
DECISION = Template(
    name="recagent",
    version=1,
    system=ROLE,
    judgment=_MEMORIES + "Do you take it? End with <answer>Yes</answer> or <answer>No</answer>.",
    selection=_MEMORIES + "Which one do you take? End with its label, as in <answer>label</answer>.",
    reasoning=False,
)


@final
class RecAgent(LanguageAgent):
    """Decide from three memories: what is seen, what was lately, what stayed (RecAgent; Wang et al., TOIS 2024).

    The sensory memory is the slate. The short-term memory is the newest ``short`` items. The long-term memory is what
    comes to mind of the older ones, at most ``long``, by vrsim.agents.memory; the model draws an insight from
    it, one call, which stays unknown if that reply is empty. The last call decides, and may reason before its answer.

    Departures: memories are made of the data before the position, not written by the model while a simulation runs;
    importance is computed, not judged by the model, and relevance goes by genres and words of titles, not by
    embeddings; no chats, no posts, no profile of age or job; the answer is a label.
    """

    templates = (INSIGHT, DECISION)

    def __init__(self, model: str | Model, short: int = 5, long: int = 10, **options: Any) -> None:
        super().__init__(model, **options)
        for name, value in (("short", short), ("long", long)):
            if type(value) is not int or value < 1:
                raise OptionError(f"{name} must be an integer from 1, found {value!r}")
        self._short, self._long = short, long

    def prepare(self, world: World, training: Episodes) -> None:
        self._memory = Memory(world)
        self._writer = self.writer(DECISION, self._sampling.max_tokens)
        self._reflect = Composer(INSIGHT, self._model, self._sampling.max_tokens)
        self._composer = Composer(DECISION, self._model, self._sampling.max_tokens)

    def act(self, observations: Observations) -> Decisions:
        order = self.order(observations)
        shown = np.take_along_axis(observations["slate"], order, axis=1).tolist()
        old, new = self._memories(observations)
        insights, seconds = self._insights(old)
        task = "judgment" if order.shape[1] == 1 else "selection"
        labels = labels_of(task, max(2, order.shape[1]))
        marks = ["- "] if task == "judgment" else [f"{label}. " for label in labels]
        fillings = []
        for insight, long, short, items in zip(insights, old, new, shown, strict=True):
            listed = "\n".join(mark + self._writer.item(item) for mark, item in zip(marks, items, strict=True))
            past = [("long", line) for line in long] + [("short", line) for line in short]
            fillings.append(Filling({"candidates": listed}, past, {"insight": insight}))
        prompts, cut = self._composer.write(task, fillings)
        completions = self.ask(prompts, self.seeded(replace(self._sampling, stop=("</answer>",))))
        return with_seconds(by_words(Written(prompts, labels, order, cut), completions, None), seconds)

    def _memories(self, observations: Observations) -> tuple[list[list[str]], list[list[str]]]:
        """The lines of the long-term and of the short-term memory of each row, oldest first."""
        known = longer(self._world, observations, EARLIER)
        history, positions = known["history"], known["position"]
        ratings, liked = ratings_of(self._world, positions, history), likes(self._world, positions, history)
        lines = self._writer.history(known)
        old, new = [], []
        for row, slate in enumerate(known["slate"].tolist()):
            older = slice(history.shape[1] - len(lines[row]), max(0, history.shape[1] - self._short))
            columns = (column[row, older].tolist() for column in (history, ratings, liked))
            old.append([lines[row][place] for place in self._memory.recall(*columns, slate, self._long)])
            new.append(lines[row][-self._short :])
        return old, new

    def _insights(self, memories: list[list[str]]) -> tuple[list[str], np.ndarray]:
        """What the model makes of each long-term memory, and the time for it, float (B,); nothing is asked of none."""
        insights, seconds = [UNKNOWN] * len(memories), np.zeros(len(memories))
        rows = [row for row, lines in enumerate(memories) if lines]
        if rows:
            fillings = [Filling({}, [("long", line) for line in memories[row]]) for row in rows]
            prompts, _ = self._reflect.write("judgment", fillings)
            for row, completion in zip(rows, self.ask(prompts, self.seeded(self._sampling)), strict=True):
                insights[row], seconds[row] = said(completion), completion.seconds
        return insights, seconds
