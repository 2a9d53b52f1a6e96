"""Earlier positions: more questions about the training users, from what the recommender has learned from.

A world holds out a few positions of each user. A training user's earlier ones are as good for learning what people
take, though the recommender knows them: its ranking there is a little better than at new positions.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from vrsim.building import rank_all
from vrsim.errors import TrainingError
from vrsim.interactions import Interactions, pair_keys
from vrsim.progress import Progress, silent
from vrsim.seeding import generator
from vrsim.world import World

__all__ = ["earlier_world"]

LEAST = 5  # items that a history has at least


def earlier_world(
    world: World, users: np.ndarray, most: int, seed: int, progress: Progress = silent
) -> tuple[World, np.ndarray]:
    """A world of earlier selves: each user of it is one of ``users`` int64 (B,) as they were some time ago; and who.

    Its held-out positions are the earlier ones of those users, at most about ``most``, ranked by the recommender of
    ``world``; what an earlier self took after them is not known to it. Raises TrainingError where there is none, and
    where the recommender cannot rank them.
    """
    size, known = world.holdout, world.interactions
    selves = [
        (user, end)
        for user in users.tolist()
        for end in range(int(known.lengths[user]) - size, size + LEAST - 1, -size)
    ]
    if not selves or world.manifest["recommender"]["kind"] == "candidates":
        raise TrainingError(
            f"world {world.name!r} has no earlier positions to learn from: its training users have at most "
            f"{int(known.lengths[users].max())} interactions, or its recommender knows the held-out positions alone; "
            "train with earlier=0"
        )
    chosen = generator(seed, "earlier").permutation(len(selves))[: max(1, most // size)]
    owners, ends = np.array([selves[place] for place in np.sort(chosen)]).T
    rows = np.concatenate([known.offsets[user] + np.arange(end) for user, end in zip(owners, ends, strict=True)])
    interactions = Interactions(
        np.concatenate([[0], np.cumsum(ends)]),
        known.items[rows],
        None if known.times is None else known.times[rows],
        None if known.ratings is None else known.ratings[rows],
        None if known.comments is None else known.comments.take(pa.array(rows)),
        None if known.unordered is None else _unordered(known.unordered, owners),
    )
    names = pa.array([f"{user} until {end}" for user, end in zip(owners.tolist(), ends.tolist(), strict=True)])
    bare = replace(world, interactions=interactions, users=names, path=None)
    return replace(bare, **rank_all(_Owned(world, owners), bare, world.candidates.shape[1], progress)), owners


def _unordered(pairs: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """The interactions of unknown time of the ``owners`` int64 (B,), as those of users 0 to B - 1; sorted int64."""
    users, items = pairs >> 32, pairs & 0xFFFFFFFF
    begin, end = np.searchsorted(users, owners), np.searchsorted(users, owners, side="right")
    found = [pair_keys(place, items[a:b]) for place, (a, b) in enumerate(zip(begin, end, strict=True))]
    return np.sort(np.concatenate(found))


class _Owned:
    """The recommender of a world, asked about earlier selves of its users."""

    def __init__(self, world: World, owners: np.ndarray) -> None:
        self._recommender, self._owners = world.recommender, owners

    def score(self, users: np.ndarray, histories: np.ndarray) -> np.ndarray:
        """See vrsim.recommender.Recommender."""
        return self._recommender.score(self._owners[users], histories)
