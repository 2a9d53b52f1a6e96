"""``llm``: a recommender that is a language model, and reads what would have kept the user."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from vrsim.agents.asking import Asking
from vrsim.agents.composer import Composer, Filling, step
from vrsim.models.model import Model
from vrsim.session import FEATURES
from vrsim.session.policy import Policy, SessionSetting
from vrsim.text.quoting import quote
from vrsim.text.replies import NO_ANSWER, labels_of, read_reply, spoken
from vrsim.text.templates import QUOTED
from vrsim.text.writer import Writer

__all__ = ["RECOMMEND", "LanguageRecommender", "read_slate"]

SHOWN, MOST_SHOWN = FEATURES.index("shown"), 10

RECOMMEND = step(
    "recommender",
    1,
    "A user took these, oldest first:\n{history}\n\n"
    "{news}"
    "You can recommend these:\n{candidates}\n\n"
    "Choose the {size} that will keep this user interested, best first. The user takes one of them at most, and gets "
    "tired of what was shown before and of more of the same. End with their labels, as in "
    "<answer>{example}</answer>.",
    "You are a recommender system. " + QUOTED,
)

_BLOCK = re.compile(r"<answer>((?:(?!<answer>).)*?)(?:</answer>|\Z)", re.DOTALL | re.IGNORECASE)


def read_slate(text: str, labels: Sequence[str], size: int) -> list[int]:
    """The places of the first ``size`` different labels of the last answer block, or of the last line; [] = fewer.

    Labels stand between commas, semicolons or line ends, each read as vrsim.text.replies reads one.
    """
    said = spoken(text)
    blocks = _BLOCK.findall(said)
    answer = blocks[-1] if blocks else said.strip().rpartition("\n")[2]
    parts = [read_reply(part, labels, reasoning=False).choice for part in re.split(r"[,;\n]", answer)]
    chosen = list(dict.fromkeys(place for place in parts if place != NO_ANSWER))
    return chosen[:size] if len(chosen) >= size else []


@final
class LanguageRecommender(Asking, Policy):
    """Ask a language model for the labels of the slate, in the spirit of RecoWorld's recommender (2025).

    It reads the history, the last response, the candidates in the recommender's order with how often each was shown in
    this visit, and what the user said on leaving. A reply without enough labels gives the best ranked candidates and
    is counted as ``unread``.
    """

    templates = (RECOMMEND,)

    def __init__(self, model: str | Model, **options: Any) -> None:
        super().__init__(model, **options)

    def fit(self, setting: SessionSetting) -> None:
        self.setting = setting
        self.load(setting.world)
        self._writer = Writer(setting.world, RECOMMEND)
        self._composer = Composer(RECOMMEND, self._model, self._sampling.max_tokens)

    def act(self, observations: Mapping[str, np.ndarray], instructions: Sequence[str]) -> np.ndarray:
        size, labels = self.setting.config.slate, labels_of("selection", self.setting.config.candidates)
        columns = observations["history"], observations["candidates"], observations["features"][..., SHOWN]
        rows = zip(*(column.tolist() for column in columns), self._news(observations, instructions), strict=True)
        fixed = {"size": str(size), "example": ", ".join(labels[:size])}
        fillings = [
            Filling(
                {"candidates": self._listed(items, shown, labels), "news": news} | fixed,
                [("history", f"- {self._writer.item(item)}") for item in history if item],
            )
            for history, items, shown, news in rows
        ]
        prompts, _ = self._composer.write("selection", fillings)
        replies = [completion.text for completion in self.ask(prompts, self.seeded(self._sampling))]
        read = [self._slate(*row) for row in zip(replies, columns[1].tolist(), strict=True)]
        self.unread = np.array([not readable for _, readable in read])
        return np.array([slate for slate, _ in read], np.int64)

    def _slate(self, reply: str, items: list[int]) -> tuple[list[int], bool]:
        """The places to show, and whether the reply names them."""
        size = self.setting.config.slate
        there = [place for place, item in enumerate(items) if item]
        offered = labels_of("selection", len(items))
        chosen = read_slate(reply, [offered[place] for place in there], size)
        return [there[place] for place in chosen] or there[:size], bool(chosen)

    def _listed(self, items: list[int], shown: list[float], labels: Sequence[str]) -> str:
        lines = []
        for item, share, label in zip(items, shown, labels, strict=True):
            turns = round(share * MOST_SHOWN)
            often = f" (shown {turns} time{'s' * (turns > 1)} in this visit)" if turns else ""
            if item:
                lines.append(f"{label}. {self._writer.item(item)}{often}")
        return "\n".join(lines)

    def _news(self, observations: Mapping[str, np.ndarray], instructions: Sequence[str]) -> list[str]:
        """What came of the last slate, and what was said on leaving, "" = nothing yet."""
        news = []
        for (item, consumed, returned, _), wish in zip(observations["response"].tolist(), instructions, strict=True):
            lines = []
            if item:
                lines.append(f"Of your last slate the user {'took' if consumed else 'did not even take'} "
                             f"{self._writer.item(item)}.")  # fmt: skip
            if returned:
                lines.append("The user had left and has just come back.")
            if wish:
                lines.append(f"On leaving the user said: {quote(wish)}")
            news.append("".join(f"{line}\n" for line in lines) + "\n" * bool(lines))
        return news
