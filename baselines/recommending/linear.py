"""``linear``: LinUCB and Thompson sampling, which learn from every answer what a shown item earns."""

import math
from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from vrsim.baselines.bandit import LinUCB
from vrsim.baselines.recommending.fixed import best_places
from vrsim.baselines.recommending.inputs import INPUTS, Inputs
from vrsim.baselines.recommending.practice import practise
from vrsim.errors import OptionError, UnknownNameError
from vrsim.seeding import derive, generator
from vrsim.session.engine import Turn
from vrsim.session.policy import Policy, SessionSetting

__all__ = ["LinearSlate"]

EXPLORE = ("ucb", "thompson")


@final
class LinearSlate(Policy):
    """The candidates with the highest expected reward, and a bonus for what is not known yet.

    One linear model of the reward of a picked item for all users, of vrsim.baselines.recommending.inputs. ``explore``
    "ucb" adds ``alpha`` * the width of the estimate (Li et al., WWW 2010); "thompson" draws the coefficients of each
    user's turn from their posterior, its deviation times ``alpha`` (Agrawal and Goyal, ICML 2013). It learns in
    ``turns`` turns with training users, after as many random ones, and goes on learning while it is scored. Items that
    were shown but not picked are not learned from: why they were not is not known.
    """

    variants = ("explore=ucb", "explore=thompson")

    def __init__(self, explore: str = "ucb", alpha: float = 1.0, turns: int = 20_000) -> None:
        if explore not in EXPLORE:
            raise UnknownNameError("explore", str(explore), EXPLORE)
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 <= alpha < math.inf:
            raise OptionError(f"alpha must be a number from 0, found {alpha!r}")
        if type(turns) is not int or turns < 0:
            raise OptionError(f"turns must be an integer from 0, found {turns!r}")
        self._explore, self._alpha, self._turns = explore, float(alpha), turns
        self._model = LinUCB(len(INPUTS))

    def fit(self, setting: SessionSetting) -> None:
        super().fit(setting)
        self._inputs = Inputs(setting, self._turns)
        self._model = LinUCB(len(INPUTS))
        self.reset(derive(setting.seed, "linear"))
        for step in practise(setting, self._places, self._turns):
            self._update(step.before, step.item, step.reward)

    def reset(self, seed: int) -> None:
        self._rng = generator(seed, "thompson")

    def act(self, observations: Mapping[str, np.ndarray], instructions: Sequence[str]) -> np.ndarray:
        return self._places(observations)

    def learn(
        self, observations: Mapping[str, np.ndarray], places: np.ndarray, turn: Turn, rewards: np.ndarray
    ) -> None:
        self._update(observations, turn.item, rewards)

    def _places(self, observations: Mapping[str, np.ndarray]) -> np.ndarray:
        x = self._inputs.of_candidates(observations).astype(float)  # (B, C, F)
        if self._explore == "ucb":
            scores = self._model.estimate(x) + self._alpha * self._model.width(x)
        else:
            scores = np.einsum("bcf,bf->bc", x, self._model.draw(self._rng, len(x), self._alpha))
        return best_places(scores, observations["candidates"], self.setting.config.slate)

    def _update(self, observations: Mapping[str, np.ndarray], item: np.ndarray, rewards: np.ndarray) -> None:
        """Learn what the picked items int64 (B,), 0 = none, of these moments earned."""
        read = item > 0
        place = (observations["candidates"] == item[:, None]).argmax(axis=1)
        x = self._inputs.of_candidates(observations)[np.arange(len(item)), place]
        self._model.update(x[read].astype(float), rewards[read])
