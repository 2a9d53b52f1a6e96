"""``uniform``: every answer equally likely. What chance alone scores."""

from typing import final

import numpy as np

from vrsim.agent import Agent, Decisions, Observations, n_options

__all__ = ["Uniform"]


@final
class Uniform(Agent):
    """Answer at random."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def reset(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def act(self, observations: Observations) -> Decisions:
        options = n_options(observations)
        size = len(observations["slate"])
        return Decisions(
            self._rng.integers(options, size=size),
            probability=np.full((size, observations["slate"].shape[1]), 1 / options),
        )
