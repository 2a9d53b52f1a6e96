"""``learned``: what numbers alone can do, by logistic regression or boosted trees."""

from typing import final

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from vrsim.agent import Agent, Decisions, Observations
from vrsim.baselines.features import SlateFeatures
from vrsim.episodes import Episodes
from vrsim.errors import OptionError, UnknownNameError
from vrsim.world import World

__all__ = ["Learned"]

MODELS = ("trees", "logistic")
ENOUGH = 100_000  # items to learn from


@final
class Learned(Agent):
    """Answer by a classifier that was fitted on the training users' episodes of the same protocol.

    It sees the numbers of vrsim.baselines.features and the length of the history, and in a selection also
    how each number compares with the others of the slate. A judgment is Yes from probability .5 upwards; a
    selection takes the most probable item. ``draws`` is how often the training users' wrong items are drawn;
    fewer times where they are many.
    """

    variants = ()  # takes seconds per set of questions: played where it is named

    def __init__(self, model: str = "trees", draws: int = 6) -> None:
        if model not in MODELS:
            raise UnknownNameError("model", str(model), MODELS)
        if type(draws) is not int or draws < 1:
            raise OptionError(f"draws must be an integer from 1, found {draws!r}")
        self._model, self._draws = model, draws
        self._features = SlateFeatures()
        self._classifier: ClassifierMixin | None = None  # None = all training answers are alike
        self._only = 0.0  # and this is their chance

    def fit(self, world: World, training: Episodes) -> None:
        self._features.fit(world, training)
        more = range(1, min(self._draws, ENOUGH // training.slates.size))
        draws = (training, *(training.training(training.seed + draw) for draw in more))
        numbers = self._features.of_all(*draws)  # (N, K, F)
        inputs = _inputs(numbers, np.concatenate([episodes.positions[:, 1] for episodes in draws]))
        answers = np.concatenate([episodes.answers for episodes in draws])
        right = answers[:, None] == (1 if training.task == "judgment" else np.arange(numbers.shape[1]))
        if right.all() or not right.any():  # nothing to tell apart: the classifiers refuse, or call it No
            self._classifier, self._only = None, float(right.all())
            return
        with threadpool_limits(1):  # so few rows: on a busy machine threads would wait for each other
            self._classifier = _make(self._model).fit(inputs.reshape(-1, inputs.shape[2]), right.ravel().astype(int))

    def act(self, observations: Observations) -> Decisions:
        numbers = self._features.of(observations)
        inputs = _inputs(numbers, observations["position"][:, 1])
        chance = self._chance(inputs)
        if chance.shape[1] == 1:
            return Decisions((chance[:, 0] >= 0.5).astype(np.int64), probability=chance)
        odds = chance / np.maximum(1 - chance, 1e-12) + 1e-12  # one of the items is right: odds become shares
        return Decisions(chance.argmax(axis=1), probability=odds / odds.sum(axis=1, keepdims=True))

    def _chance(self, inputs: np.ndarray) -> np.ndarray:
        """How probably each item is right, by itself, float (B, K)."""
        if self._classifier is None:
            return np.full(inputs.shape[:2], self._only)
        with threadpool_limits(1):
            return self._classifier.predict_proba(inputs.reshape(-1, inputs.shape[2]))[:, 1].reshape(inputs.shape[:2])


def _inputs(numbers: np.ndarray, t: np.ndarray) -> np.ndarray:
    """What the classifier sees of each item, float (B, K, inputs): its numbers, and how they compare in the slate."""
    size = numbers.shape[1]
    length = np.broadcast_to(np.log1p(t)[:, None, None], (*numbers.shape[:2], 1))
    if size == 1:
        return np.concatenate([numbers, length], axis=2)
    total = np.sort(numbers, axis=1).sum(axis=1, keepdims=True)  # sorted: or the places would show by rounding
    others = (total - numbers) / (size - 1)
    below = (numbers[:, :, None, :] > numbers[:, None, :, :]).mean(axis=2)  # share of the slate that is lower
    return np.concatenate([numbers, length, numbers - others, below], axis=2)


def _make(model: str) -> ClassifierMixin:
    if model == "logistic":
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=100, max_leaf_nodes=8, min_samples_leaf=200, l2_regularization=1.0, random_state=0
    )
