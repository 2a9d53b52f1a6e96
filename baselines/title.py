"""``title``: how long the title is. Nobody's taste; what a slate gives away by its titles alone."""

from typing import final

import numpy as np

from vrsim.agent import Observations
from vrsim.baselines.scores import ScoreAgent
from vrsim.world import World

__all__ = ["Title"]


@final
class Title(ScoreAgent):
    """Take the item with the longest (or shortest) title, in characters."""

    orders = ("longest", "shortest")
    variants = ()  # the audit plays both orders

    def __init__(self, order: str = "longest") -> None:
        super().__init__(order)

    def prepare(self, world: World) -> None:
        self._length = np.array([len(title) for title in world.catalog.titles], float)

    def score(self, observations: Observations) -> np.ndarray:
        return self._length[observations["slate"]]
