"""``recommender``: the score of a recommender, highest or lowest. Any RecBole model by name."""

import json
from functools import lru_cache
from typing import Any, final

import numpy as np

from vrsim.agent import Observations
from vrsim.baselines.scores import ScoreAgent
from vrsim.errors import UnknownNameError
from vrsim.recommender import CONTEXT
from vrsim.recommender.recbole_settings import RecBoleConfig, resolved_options
from vrsim.world import World
from vrsim.worlds import train_recommender

__all__ = ["PositionScores", "RecommenderScore", "position_scores"]

TABLE_LIMIT = 64_000_000  # scores kept in memory (256 MB); larger worlds are scored batch by batch


@final
class RecommenderScore(ScoreAgent):
    """Take the item that a recommender scores highest (or lowest).

    Without ``model``: the world's own recommender. With it: that RecBole model, trained on the part
    of the world that its own recommender may see; further options are RecBole's settings and ``seed``. For
    judgments the number is the share of items that score lower, which compares between users.
    """

    variants = ("", "order=lowest")

    def __init__(self, order: str = "highest", model: str | None = None, **options: Any) -> None:
        super().__init__(order)
        if options and model is None:
            raise UnknownNameError(
                "option of agent 'recommender' without a model", next(iter(options)), ("order", "model")
            )
        if model is not None:  # a misspelt name is found here, not after the agents before it
            resolved_options(RecBoleConfig(model, {k: v for k, v in options.items() if k != "seed"}))
        self._model, self._options = model, json.dumps(options, sort_keys=True)
        self._scores: PositionScores | None = None

    def prepare(self, world: World) -> None:
        self._scores = position_scores(world, self._model, self._options)

    def score(self, observations: Observations) -> np.ndarray:
        slate = observations["slate"]
        scores = self._scores.of(observations["position"])  # (B, n_items + 1)
        own = np.take_along_axis(scores, slate, axis=1)
        if slate.shape[1] > 1:
            return own
        return (scores[:, 1:] < own).mean(axis=1, keepdims=True)


class PositionScores:
    """The scores of one recommender at any position, remembered for the held-out ones if they fit."""

    def __init__(self, world: World, model: str | None, options: str) -> None:
        self._world = world
        self._recommender = world.recommender if model is None else train_recommender(world, model, json.loads(options))
        users, t = world.held_out
        fits = len(users) * (world.n_items + 1) <= TABLE_LIMIT
        self._table = self._score(users, t) if fits else None

    def of(self, position: np.ndarray) -> np.ndarray:
        """Scores of all items at B positions (user, t), float (B, n_items + 1)."""
        users, t = position.T
        back = self._world.interactions.lengths[users] - t  # 1 = the last position of the user
        if self._table is None or ((back < 1) | (back > self._world.holdout)).any():
            unique, place = np.unique(position, axis=0, return_inverse=True)  # a slate is often asked about in parts
            return self._score(*unique.T)[place]
        return self._table[(users + 1) * self._world.holdout - back]

    def _score(self, users: np.ndarray, t: np.ndarray) -> np.ndarray:
        return self._recommender.score(users, self._world.interactions.histories(users, t, CONTEXT))


@lru_cache(maxsize=2)
def position_scores(world: World, model: str | None, options: str) -> PositionScores:
    return PositionScores(world, model, options)
