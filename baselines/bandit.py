"""``bandit``: LinUCB, which learns from the reward of what it chose, and tries what it knows little about.

No library, because their arms are fixed and these slates are new each time. MABWiser and contextualbandits keep
one regression per named arm (all items as a single arm of MABWiser would do, and bring pandas and seaborn for
two products of matrices); Vowpal Wabbit knows changing items, but not LinUCB.
"""

import math
from typing import final

import numpy as np

from vrsim.agent import Agent, Decisions, Observations
from vrsim.baselines.features import NAMES, SlateFeatures
from vrsim.episodes import Episodes
from vrsim.errors import OptionError
from vrsim.world import World

__all__ = ["Bandit", "LinUCB"]

BATCH = 32  # training episodes between two updates


@final
class LinUCB:
    """One linear model of the reward, shared by all items (Li et al., WWW 2010, section 3.1, with one arm).

    A = I + sum of x x', b = sum of reward x; the estimate is x' inverse(A) b and its width sqrt(x' inverse(A) x).
    """

    def __init__(self, size: int) -> None:
        self._a, self._b = np.eye(size), np.zeros(size)
        self._solve()

    def update(self, x: np.ndarray, reward: np.ndarray) -> None:
        """Learn what N inputs earned: x is float (N, F), reward float (N,)."""
        self._a = self._a + x.T @ x
        self._b = self._b + x.T @ reward
        self._solve()

    def estimate(self, x: np.ndarray) -> np.ndarray:
        """Expected reward, float (...,), of x, float (..., F)."""
        return np.einsum("...f,f->...", x, self._theta)  # not @: a row may not depend on the size of the batch

    def width(self, x: np.ndarray) -> np.ndarray:
        """How uncertain the estimate is, in deviations of the reward's noise; float (...,), from 0."""
        return np.sqrt(np.einsum("...f,fg,...g->...", x, self._inverse, x))

    def draw(self, rng: np.random.Generator, size: int, scale: float = 1.0) -> np.ndarray:
        """Coefficients from their posterior, float (size, F): normal, with covariance scale ** 2 * inverse(A).

        What Thompson sampling goes by (Agrawal and Goyal, ICML 2013); ``scale`` is the deviation of the reward's noise.
        """
        root = np.linalg.cholesky(self._inverse)
        return self._theta + scale * rng.standard_normal((size, len(self._theta))) @ root.T

    def _solve(self) -> None:
        self._inverse = np.linalg.inv(self._a)  # A is at least I: never singular
        self._theta = self._inverse @ self._b


@final
class Bandit(Agent):
    """Selection: the item with the highest estimate + ``alpha`` * width. Judgment: Yes from an estimate of .5.

    The inputs are those of vrsim.baselines.features, standardised, and a constant. It first plays the training
    users' episodes as a bandit, told only what its choices earned; on selections it goes on learning while it
    is asked. A judgment tells the right answer either way, so there the model is the ridge regression of all
    training answers, and its probability of Yes is the estimate, cut to 0 and 1.
    """

    variants = ()  # takes seconds per set of questions: played where it is named

    def __init__(self, alpha: float = 1.0) -> None:
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 <= alpha < math.inf:
            raise OptionError(f"alpha must be a number from 0, found {alpha!r}")
        self._alpha = float(alpha)
        self._features = SlateFeatures()
        self._model = LinUCB(len(NAMES) + 1)

    def fit(self, world: World, training: Episodes) -> None:
        self._features.fit(world, training)
        self._model = LinUCB(len(NAMES) + 1)
        for start in range(0, len(training), BATCH):
            index = np.arange(start, min(start + BATCH, len(training)))
            observations = training.observe(index)
            if training.task == "judgment":
                self._model.update(self._inputs(observations)[:, 0], training.answers[index].astype(float))
            else:
                decisions = self.act(observations)
                self.learn(observations, decisions, training.reward(training.correct(index, decisions.action)))

    def act(self, observations: Observations) -> Decisions:
        x = self._inputs(observations)
        estimate = self._model.estimate(x)  # (B, K)
        if estimate.shape[1] == 1:
            return Decisions((estimate[:, 0] >= 0.5).astype(np.int64), probability=np.clip(estimate, 0, 1))
        return Decisions((estimate + self._alpha * self._model.width(x)).argmax(axis=1))

    def learn(self, observations: Observations, decisions: Decisions, rewards: np.ndarray) -> None:
        """Of each slate only the chosen item is learned from."""
        chosen = np.take_along_axis(observations["slate"], decisions.action[:, None], axis=1)
        self._model.update(self._inputs({**observations, "slate": chosen})[:, 0], rewards)

    def _inputs(self, observations: Observations) -> np.ndarray:
        """Standardised features and the constant 1, float (B, K, F + 1)."""
        features = self._features.standardised(observations)
        return np.concatenate([features, np.ones((*features.shape[:2], 1))], axis=2)
