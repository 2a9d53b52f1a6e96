"""How well a recommender ranks the last item of each user among all items that the user has not had."""

import numpy as np

from vrsim.recommender import Recommender, rank_targets
from vrsim.world import World

__all__ = ["METRICS", "gains", "last_ranks"]

METRICS = ("HR@10", "NDCG@10", "HR@20", "NDCG@20")


def last_ranks(recommender: Recommender, world: World, users: np.ndarray) -> np.ndarray:
    """The rank of each user's last item, from 1, int32 (users,), equal scores: the smaller item first.

    Everything that the user had before is left out of the ranking, whatever the recommender was given of it.
    """
    t = world.interactions.lengths[users] - 1
    batch = max(1, 4_000_000 // (world.n_items + 1))  # 16 MB of scores at a time
    parts = [slice(start, start + batch) for start in range(0, len(users), batch)]
    found = [rank_targets(recommender, world.interactions, world.n_items, users[part], t[part]) for part in parts]
    return np.concatenate(found)


def gains(ranks: np.ndarray) -> np.ndarray:
    """METRICS of each rank, float (4, users): whether it is among the first k, and 1 / log2(1 + rank) if it is."""
    gain = 1 / np.log2(1 + ranks)
    return np.stack([value * (ranks <= k) for k in (10, 20) for value in (np.ones(len(ranks)), gain)])
