"""``age``: the year of the item, newest or oldest."""

from typing import final

import numpy as np

from vrsim.agent import Observations
from vrsim.baselines.scores import ScoreAgent
from vrsim.errors import EpisodeError
from vrsim.world import World

__all__ = ["Age"]


@final
class Age(ScoreAgent):
    """Take the newest (or oldest) item. An item of unknown year counts as the median known year."""

    orders = ("newest", "oldest")
    variants = ()  # the audit plays both orders, where a world has years

    def __init__(self, order: str = "newest") -> None:
        super().__init__(order)

    def prepare(self, world: World) -> None:
        """Raises EpisodeError for a world whose catalog knows no year."""
        years = np.asarray(world.catalog.years, float)
        if not years.any():
            raise EpisodeError(f"agent 'age' needs the years of the items, and the catalog of {world.name!r} has none")
        self._year = np.where(years > 0, years, np.median(years[years > 0]))

    def score(self, observations: Observations) -> np.ndarray:
        return self._year[observations["slate"]]
