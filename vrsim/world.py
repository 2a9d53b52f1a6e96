"""A world: everything an episode needs and an agent may not change."""

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vrsim.catalog import Catalog
from vrsim.errors import EpisodeError
from vrsim.interactions import Interactions
from vrsim.recommender import Recommender

__all__ = ["World"]


@dataclass(frozen=True, eq=False)
class World:
    """Interactions in time order, the catalog, and one recommender's ranking for every held-out position.

    The held-out positions are the last ``holdout`` of each user, in user order: position ``p`` is
    user ``p // holdout`` before interaction ``length - holdout + p % holdout``.
    """

    name: str
    interactions: Interactions
    catalog: Catalog
    users: pa.Array  # string (users,): the publisher's ids
    candidates: np.ndarray  # int32 (positions, C): unseen items, the recommender's favourite first, 0 = none
    target_ranks: np.ndarray  # int32 (positions,): rank of the target among the unseen items, 1 = first, 0 = unknown
    blocks: np.ndarray  # int32 (positions, BLOCK): the unseen items of the target's block of ranks, 0 = none
    block_scores: np.ndarray  # float32 (positions, BLOCK): the recommender's scores of them, 0 = none
    manifest: dict[str, Any]  # configuration, versions, counts, recommender metrics, hash
    path: Path | None = None  # the folder it was loaded from; None = it was never stored

    def __getstate__(self) -> dict[str, Any]:
        """Fields only: what was computed or loaded on first use is so again."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @staticmethod
    def load(name: str | Path) -> "World":
        """A world by built-in name ("tiny", "ml-100k", with options "ml-100k:recommender=EASE") or by folder.

        A built-in world is built on first use and stored in the cache folder. Raises UnknownNameError,
        WorldError, DataError, DependencyError.
        """
        from vrsim.worlds import load

        return load(name)

    @property
    def n_users(self) -> int:
        return self.interactions.n_users

    @property
    def n_items(self) -> int:
        return self.catalog.n_items

    @property
    def holdout(self) -> int:
        return self.manifest["config"]["holdout"]

    @property
    def hash(self) -> str:
        """SHA-256 of everything that an episode is made from: interactions, catalog, rankings, holdout."""
        return self.manifest["hash"]

    @cached_property
    def held_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Users and t of all held-out positions, each int64 (positions,)."""
        users = np.repeat(np.arange(self.n_users), self.holdout)
        last = np.arange(len(users)) % self.holdout - self.holdout
        return users, self.interactions.lengths[users] + last

    @cached_property
    def target_rows(self) -> np.ndarray:
        """The interaction that each held-out position asks about, int64 (positions,)."""
        users, t = self.held_out
        return self.interactions.offsets[users] + t

    @cached_property
    def targets(self) -> np.ndarray:
        """The item of each held-out position, int64 (positions,)."""
        return self.interactions.items[self.target_rows].astype(np.int64)

    @cached_property
    def popularity(self) -> np.ndarray:
        """How often each item occurs in the training part, int64 (n_items + 1,)."""
        known = self.interactions.items[self.interactions.training_rows(self.holdout)]
        return np.bincount(known, minlength=self.n_items + 1)

    @cached_property
    def recommender(self) -> Recommender:
        """The recommender that ranked the candidates, loaded on first use."""
        from vrsim.worlds import load_recommender

        return load_recommender(self)

    def history(self, user: int, t: int | None = None) -> np.ndarray:
        """Every item of ``user`` (an index) before position ``t``, oldest first, int32.

        Without ``t``: up to the last held-out position. Raises EpisodeError for users and positions
        that do not exist.
        """
        if not 0 <= user < self.n_users:
            raise EpisodeError(f"user {user} does not exist: world {self.name!r} has users 0 to {self.n_users - 1}")
        length = int(self.interactions.lengths[user])
        t = length - 1 if t is None else t
        if not 0 <= t <= length:
            raise EpisodeError(f"position {t} does not exist: user {user} has {length} interactions")
        return self.interactions.of(user)[:t]

    def hits(self, k: int) -> float:
        """Share of held-out positions whose target is among the recommender's first ``k`` unseen items."""
        return float(np.mean((self.target_ranks > 0) & (self.target_ranks <= k)))
