"""What the agents share that give each item a number: take the best item, say Yes above a threshold."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from vrsim.agent import Agent, Decisions, Observations
from vrsim.episodes import Episodes
from vrsim.errors import UnknownNameError
from vrsim.world import World

__all__ = ["ScoreAgent"]


class ScoreAgent(Agent):
    """Selection: the item with the highest number (or the lowest), the first one of equals.

    Judgment: Yes from a threshold upwards (or downwards), the one number that is learned: the
    threshold that would have been right most often on the training users' judgments.
    """

    orders: ClassVar[tuple[str, str]] = ("highest", "lowest")  # what the two directions are called

    def __init__(self, order: str) -> None:
        if order not in self.orders:
            raise UnknownNameError("order", str(order), self.orders)
        self._sign = 1.0 if order == self.orders[0] else -1.0
        self._threshold = 0.0
        self._world: World | None = None

    @abstractmethod
    def score(self, observations: Observations) -> np.ndarray:
        """The number of each item in the slates, float (B, K)."""

    def prepare(self, world: World) -> None:
        """Get ready to score items of this world. The default does nothing."""

    def fit(self, world: World, training: Episodes) -> None:
        self._world = world
        self.prepare(world)
        if training.task == "judgment":
            parts = np.array_split(np.arange(len(training)), len(training) // 256 + 1)
            scores = self._sign * np.concatenate([self.score(training.observe(part))[:, 0] for part in parts])
            self._threshold = best_threshold(scores, training.answers == 1)

    def act(self, observations: Observations) -> Decisions:
        scores = self._sign * self.score(observations)
        if scores.shape[1] == 1:
            return Decisions((scores[:, 0] >= self._threshold).astype(np.int64))
        return Decisions(scores.argmax(axis=1))


def best_threshold(scores: np.ndarray, positive: np.ndarray) -> float:
    """The threshold whose rule "Yes if score >= threshold" is right most often.

    ``scores`` is float (N,), ``positive`` bool (N,). Halfway between two scores; of equally good
    thresholds the highest.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, label = scores[order], positive[order]
    # right[k]: Yes to the k highest, No to the rest
    right = np.r_[0, np.cumsum(label)] + (~label).sum() - np.r_[0, np.cumsum(~label)]
    cut = np.r_[True, ranked[1:] != ranked[:-1], True]  # a threshold cannot separate equal scores
    k = int(np.argmax(np.where(cut, right, -1)))
    if k == 0:
        return np.inf
    if k == len(ranked):
        return -np.inf
    middle = float(ranked[k - 1] / 2 + ranked[k] / 2)
    return middle if middle > ranked[k] else float(ranked[k - 1])  # two neighbouring floats have no middle
