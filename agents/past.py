"""What a user did before a position, beyond what is shown of it: more of the history, ratings and likes."""

import numpy as np

from vrsim.agent import Observations
from vrsim.episodes import LIKED
from vrsim.world import World

__all__ = ["likes", "longer", "ratings_of"]


def longer(world: World, observations: Observations, length: int) -> dict[str, np.ndarray]:
    """The same observations with the newest ``length`` items before each position, whatever the protocol shows."""
    history = world.interactions.histories(*observations["position"].T, length)
    return {**observations, "history": history}


def ratings_of(world: World, positions: np.ndarray, history: np.ndarray) -> np.ndarray:
    """The rating that each user had given to items of the history by then, float (B, H); NaN = none.

    ``positions`` is int64 (B, 2), user and t; ``history`` int64 (B, H), 0 = empty.
    """
    ratings = world.interactions.ratings
    if ratings is None:
        return np.full(history.shape, np.nan)
    rows = world.interactions.rows_before(positions, history)
    return np.where(rows >= 0, ratings[np.maximum(rows, 0)], np.nan).astype(float)


def likes(world: World, positions: np.ndarray, history: np.ndarray) -> np.ndarray:
    """Whether each item of the history was liked, bool (B, H): rated above 3, or taken without a rating."""
    ratings = ratings_of(world, positions, history)
    return (history > 0) & ~(ratings <= LIKED)
