"""Interactions that are added to what a recommender learns from, for example items that simulated users would take."""

import hashlib
from dataclasses import dataclass

import numpy as np

from vrsim.interactions import Interactions

__all__ = ["Additions", "with_additions"]


@dataclass(frozen=True, eq=False)
class Additions:
    """One row per added interaction: they follow the training part of their user, in the order of the rows."""

    users: np.ndarray  # int64 (A,), from 0, ascending
    items: np.ndarray  # int64 (A,), from 1

    @staticmethod
    def none() -> "Additions":
        """Nothing is added."""
        return Additions(np.empty(0, np.int64), np.empty(0, np.int64))

    @property
    def hash(self) -> str:
        """SHA-256 of the rows."""
        return hashlib.sha256(np.stack([self.users, self.items]).astype("<i8").tobytes()).hexdigest()

    @property
    def place(self) -> np.ndarray:
        """How many rows of the same user come before each, int64 (A,)."""
        return np.arange(len(self.users)) - np.searchsorted(self.users, self.users)


def with_additions(interactions: Interactions, holdout: int, added: Additions) -> Interactions:
    """Users and items with the added ones before the last ``holdout`` of each user; nothing is known of their time."""
    items = np.insert(interactions.items, interactions.offsets[added.users + 1] - holdout, added.items)
    counts = np.bincount(added.users, minlength=interactions.n_users)
    return Interactions(interactions.offsets + np.r_[0, np.cumsum(counts)], items)
