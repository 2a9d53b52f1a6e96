"""``llm-simulator``: keywords that a model wrote per item, and the vote of three models that need no more calls."""

from dataclasses import replace
from typing import Any, final

import numpy as np

from vrsim.agent import Decisions, Observations
from vrsim.agents.composer import Composer, Filling, step
from vrsim.agents.keywords import Keywords, read_keywords
from vrsim.agents.language import LanguageAgent
from vrsim.agents.likeness import Likeness, matching
from vrsim.agents.past import likes
from vrsim.episodes import Episodes
from vrsim.models.model import Model
from vrsim.recommender import CONTEXT
from vrsim.text.quoting import quote
from vrsim.text.templates import QUOTED
from vrsim.thresholds import best_threshold
from vrsim.world import World

__all__ = ["KEYWORDS", "LLMSimulator"]

VOTERS = ("matching", "likeness", "statistics")
COMMON = 200  # most popular items, whose keywords tell how rare a word is
ENOUGH = 300  # judgments of the training users that the thresholds are fitted on

KEYWORDS = step(
    "llm-simulator-keywords",
    1,
    "An item of a catalog:\n{item}\n\n"
    "Why would somebody take it, and why would somebody leave it? Write up to eight keywords for each, one or two "
    "words long, in lower case, in two lines and nothing else:\n"
    "PROS: keyword, keyword\nCONS: keyword, keyword",
    QUOTED,
)


@final
class LLMSimulator(LanguageAgent):
    """Let keyword matching, likeness and a recommender vote (LLM-Powered User Simulator; Zhang et al., AAAI 2025).

    The model writes what speaks for and against an item, once per item when it is first needed (give a store to keep
    it); of an unreadable reply the genres stand as pros. Three voters, without further calls: ``matching`` counts the
    item's pros among those of liked items of the shown history and its cons among those of the others; ``likeness``
    compares TF-IDF vectors of keywords; ``statistics`` is the world's recommender, for judgments the share of items
    that it scores lower. A judgment is Yes from two of three votes, each from a threshold that would have been right
    most often on at most 300 of the training users' judgments. In a selection each voter has one vote, shared among its
    favourites; of equals the recommender's favourite is taken. Probabilities are the votes with one more that is shared
    by all.

    Departures: TF-IDF in place of embeddings; liked is rated above 3, everything in
    worlds without ratings; the world's recommender in place of a SASRec of its own; no reviews are read; a selection,
    which the paper does not ask, is the same vote.
    """

    templates = (KEYWORDS,)

    def __init__(self, model: str | Model, **options: Any) -> None:
        super().__init__(model, **options)

    def prepare(self, world: World, training: Episodes) -> None:
        self._writer = self.writer(KEYWORDS, self._sampling.max_tokens)
        self._composer = Composer(KEYWORDS, self._model, self._sampling.max_tokens)
        self._keywords: dict[int, Keywords] = {}
        self._written: set[int] = set()  # items whose keywords are there to stay
        common = np.argsort(-world.popularity[1:], kind="stable")[:COMMON] + 1
        self._learn(common)
        self._likeness = Likeness(self._keywords, common.tolist())
        self._thresholds = np.zeros(len(VOTERS))
        if training.task == "judgment":
            few = training.thinned(ENOUGH)
            numbers = self._numbers(few.observe(np.arange(len(few))))[:, 0]
            self._thresholds = np.array([best_threshold(column, few.answers == 1) for column in numbers.T])

    def act(self, observations: Observations) -> Decisions:
        numbers = self._numbers(observations)  # (B, K, voters)
        if numbers.shape[1] == 1:
            yes = numbers[:, 0] >= self._thresholds
            votes = yes.sum(axis=1, keepdims=True)
            action, options = (votes[:, 0] >= 2).astype(np.int64), 2
        else:
            best = numbers == numbers.max(axis=1, keepdims=True)
            votes = (best / best.sum(axis=1, keepdims=True)).sum(axis=2)  # (B, K)
            tied = np.isclose(votes, votes.max(axis=1, keepdims=True))
            action, options = np.where(tied, numbers[:, :, 2], -np.inf).argmax(axis=1), votes.shape[1]
        probability = (votes + 1 / options) / (len(VOTERS) + 1)
        texts = [self._told(*row) for row in zip(observations["slate"].tolist(), numbers.tolist(), strict=True)]
        return Decisions(action, text=texts, probability=probability)

    def _numbers(self, observations: Observations) -> np.ndarray:
        """What each voter thinks of each item, float (B, K, voters)."""
        position, history, slate = (observations[name] for name in ("position", "history", "slate"))
        self._learn(np.unique(np.concatenate([history[history > 0], slate.ravel()])))
        liked = likes(self._world, position, history)
        match = matching(self._keywords, history, liked, slate)
        like = self._likeness.of(history, liked, slate)
        seen = self._world.interactions.histories(*position.T, CONTEXT)
        scores = self._world.recommender.score(position[:, 0], seen)  # (B, n_items + 1)
        own = np.take_along_axis(scores, slate, axis=1)
        if slate.shape[1] == 1:
            own = (scores[:, 1:] < own).mean(axis=1, keepdims=True)
        return np.stack([match, like, own], axis=2)

    def _learn(self, items: np.ndarray) -> None:
        """Have the keywords written of the items that have none yet, always with seed 0: as if before the run."""
        new = [item for item in items.tolist() if item not in self._written]
        if not new:
            return
        prompts, _ = self._composer.write("judgment", [Filling({"item": f"- {self._writer.item(i)}"}) for i in new])
        for item, completion in zip(new, self.ask(prompts, replace(self._sampling, seed=0)), strict=True):
            genres = tuple(genre.lower() for genre in self._world.catalog.genres[item])
            self._keywords[item] = read_keywords(completion.text) or Keywords(genres, ())
            if completion.finish != "failed":
                self._written.add(item)

    def _told(self, items: list[int], numbers: list[list[float]]) -> str:
        """The keywords of each item, and what the voters think of it."""
        lines = []
        for item, own in zip(items, numbers, strict=True):
            words = self._keywords[item]
            voices = ", ".join(f"{voter} {number:.3f}" for voter, number in zip(VOTERS, own, strict=True))
            title, pros, cons = quote(self._world.catalog.label(item)), ", ".join(words.pros), ", ".join(words.cons)
            lines.append(f"{title} PROS: {pros} CONS: {cons} -> {voices}")
        return "\n".join(lines)
