"""``random``, ``popularity`` and ``greedy``: policies that learn nothing."""

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from vrsim.errors import OptionError
from vrsim.seeding import generator
from vrsim.session import FEATURES
from vrsim.session.policy import Policy

__all__ = ["GreedySlate", "PopularSlate", "RandomSlate", "best_places"]

RANK, POPULARITY, SHOWN = (FEATURES.index(name) for name in ("rank", "popularity", "shown"))


def best_places(scores: np.ndarray, candidates: np.ndarray, size: int) -> np.ndarray:
    """The places of the ``size`` highest scores, int64 (B, size), best first, of equals the first one.

    ``scores`` float (B, C), ``candidates`` int64 (B, C), 0 = no candidate: comes last.
    """
    return np.argsort(np.where(candidates > 0, -scores, np.inf), axis=1, kind="stable")[:, :size]


@final
class RandomSlate(Policy):
    """Any candidates."""

    def reset(self, seed: int) -> None:
        self._rng = generator(seed, "random slate")

    def act(self, observations: Mapping[str, np.ndarray], instructions: Sequence[str]) -> np.ndarray:
        scores = self._rng.random(observations["candidates"].shape)
        return best_places(scores, observations["candidates"], self.setting.config.slate)


@final
class GreedySlate(Policy):
    """The world's recommender: the best ranked candidates.

    ``fresh``: those that were not shown in this visit come first, as any feed would do; without it the same slate
    stands there until something of it is consumed.
    """

    variants = ("", "fresh=False")

    def __init__(self, fresh: bool = True) -> None:
        if not isinstance(fresh, bool):
            raise OptionError(f"fresh must be True or False, found {fresh!r}")
        self._fresh = fresh

    def act(self, observations: Mapping[str, np.ndarray], instructions: Sequence[str]) -> np.ndarray:
        features = observations["features"]
        scores = features[..., RANK] - 10 * features[..., SHOWN] * self._fresh
        return best_places(scores, observations["candidates"], self.setting.config.slate)


@final
class PopularSlate(Policy):
    """The most popular candidates, those that were not shown in this visit first."""

    def act(self, observations: Mapping[str, np.ndarray], instructions: Sequence[str]) -> np.ndarray:
        features = observations["features"]
        scores = features[..., POPULARITY] - 10 * features[..., SHOWN]
        return best_places(scores, observations["candidates"], self.setting.config.slate)
