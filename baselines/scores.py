"""What the agents share that give each item a number: take the best item, say Yes above a threshold."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from vrsim.agent import Agent, Decisions, Observations
from vrsim.episodes import Episodes
from vrsim.errors import UnknownNameError
from vrsim.thresholds import best_threshold
from vrsim.world import World

__all__ = ["ScoreAgent"]

ENOUGH = 20_000  # judgments to fit a threshold and a slope to


class ScoreAgent(Agent):
    """Selection: the item with the highest number (or the lowest), the first one of equals.

    Judgment: Yes from a threshold upwards (or downwards): the threshold that would have been right most
    often on the training users' judgments. The probability of Yes is a logistic regression, fitted on them
    too, of the share of their items that score lower; it never falls where the score rises.
    """

    orders: ClassVar[tuple[str, str]] = ("highest", "lowest")  # what the two directions are called

    def __init__(self, order: str) -> None:
        if order not in self.orders:
            raise UnknownNameError("order", str(order), self.orders)
        self._sign = 1.0 if order == self.orders[0] else -1.0
        self._threshold = 0.0
        self._seen, self._shares = _shares_below(np.zeros(1))  # of the training users' judgments
        self._logit = np.zeros(2)  # intercept and slope
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
            training = training.thinned(ENOUGH)
            parts = np.array_split(np.arange(len(training)), len(training) // 256 + 1)
            scores = self._sign * np.concatenate([self.score(training.observe(part))[:, 0] for part in parts])
            self._threshold = best_threshold(scores, training.answers == 1)
            self._seen, self._shares = _shares_below(scores)
            self._logit = _rising_logit(self._share_below(scores), training.answers)

    def act(self, observations: Observations) -> Decisions:
        scores = self._sign * self.score(observations)
        if scores.shape[1] == 1:
            chance = expit(self._logit[0] + self._logit[1] * self._share_below(scores))
            return Decisions((scores[:, 0] >= self._threshold).astype(np.int64), probability=chance)
        return Decisions(scores.argmax(axis=1))

    def _share_below(self, scores: np.ndarray) -> np.ndarray:
        """The share of the training judgments with a lower score, equal ones count half, float."""
        place = np.searchsorted(self._seen, scores)
        return self._shares[2 * place + (self._seen.take(place, mode="clip") == scores)]


def _shares_below(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The U different scores, ascending; float (2U + 1,): the shares below the first, at it, below the second, ..."""
    values, counts = np.unique(scores, return_counts=True)
    upto = np.cumsum(counts)
    both = np.stack([2 * (upto - counts), 2 * upto - counts], axis=1)
    return values, np.append(both, 2 * len(scores)) / (2 * len(scores))


def _rising_logit(share: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Intercept and slope, from 0, of a logistic regression on one number; float (2,)."""
    positive = np.clip(answers.mean(), 1e-6, 1 - 1e-6)
    flat = np.array([logit(positive), 0.0])
    if len(np.unique(answers)) < 2 or np.ptp(share) == 0:
        return flat
    fitted = LogisticRegression(C=1e6).fit(share[:, None], answers)
    return np.array([fitted.intercept_[0], fitted.coef_[0, 0]]) if fitted.coef_[0, 0] > 0 else flat
