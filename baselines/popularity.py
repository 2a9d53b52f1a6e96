"""``popularity``: how often an item occurs in the training part, most or least."""

from typing import final

import numpy as np

from vrsim.agent import Observations
from vrsim.baselines.scores import ScoreAgent

__all__ = ["Popularity"]


@final
class Popularity(ScoreAgent):
    """Take the most (or least) popular item."""

    orders = ("most", "least")
    variants = ("", "order=least")

    def __init__(self, order: str = "most") -> None:
        super().__init__(order)

    def score(self, observations: Observations) -> np.ndarray:
        return self._world.popularity[observations["slate"]].astype(float)
