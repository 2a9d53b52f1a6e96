"""What a recommender says of each user's last position: its first items, and how well it ranks the last item."""

import numpy as np

from vrsim.recommender import Recommender, rank_targets, rank_unseen
from vrsim.world import World

__all__ = ["METRICS", "first_unseen", "gains", "last_ranks"]

METRICS = ("HR@10", "NDCG@10", "HR@20", "NDCG@20")


def last_ranks(recommender: Recommender, world: World, users: np.ndarray) -> np.ndarray:
    """The rank of each user's last item, from 1, int32 (users,), equal scores: the smaller item first.

    Everything that the user had before is left out of the ranking, whatever the recommender was given of it.
    """
    t = world.interactions.lengths[users] - 1
    found = [
        rank_targets(recommender, world.interactions, world.n_items, users[part], t[part])
        for part in _batches(world, users)
    ]
    return np.concatenate(found)


def first_unseen(recommender: Recommender, world: World, users: np.ndarray, size: int) -> np.ndarray:
    """The best ``size`` items that each user has not had before the last one, int64 (users, size), 0 = no more."""
    t = world.interactions.lengths[users] - 1
    found = [
        rank_unseen(recommender, world.interactions, world.n_items, users[part], t[part], size)[0]
        for part in _batches(world, users)
    ]
    return np.concatenate(found).astype(np.int64)


def _batches(world: World, users: np.ndarray) -> list[slice]:
    """Parts of the users for which all scores fit into 16 MB."""
    batch = max(1, 4_000_000 // (world.n_items + 1))
    return [slice(start, start + batch) for start in range(0, len(users), batch)]


def gains(ranks: np.ndarray) -> np.ndarray:
    """METRICS of each rank, float (4, users): whether it is among the first k, and 1 / log2(1 + rank) if it is."""
    gain = 1 / np.log2(1 + ranks)
    return np.stack([value * (ranks <= k) for k in (10, 20) for value in (np.ones(len(ranks)), gain)])
