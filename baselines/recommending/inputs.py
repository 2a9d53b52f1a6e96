"""What policies that learn know: numbers about each candidate, and about the moment."""

from collections.abc import Mapping
from typing import final

import numpy as np

from vrsim.baselines.recommending.fixed import best_places
from vrsim.baselines.recommending.practice import practise
from vrsim.seeding import generator
from vrsim.session import FEATURES
from vrsim.session.features import genre_masks, genre_names
from vrsim.session.policy import SessionSetting

__all__ = ["INPUTS", "PRACTICE", "SIGNS", "Inputs"]

INPUTS = (
    *FEATURES,
    "alike",  # cosine between its genres and those of the shown history, rare genres weighing more
    "picked",  # share of the random slates with the item from which it was picked
    "liked",  # reward of a turn in which it was picked from one, at most 1
    "fresh",  # 1 = not shown in this visit
    "picked and fresh",  # products
    "liked and fresh",
    "liked and recent",
    "constant",  # 1
)
"""Inputs about a candidate, each from 0 to 1; an empty place has zeros."""

SIGNS = ("consumed", "returned", "wished", "history")
"""About the moment: the last slate was consumed from; the user had left and came back; has ever left with a wish; share
of the places of the history that are filled."""

RECENT, SHOWN = FEATURES.index("recent"), FEATURES.index("shown")
PRACTICE = 40_000  # turns of random slates that are enough to tell how items fare
PRIOR = 5  # slates that an item counts as having been in before the first, with an average result


@final
class Inputs:
    """Reads the observations of ``vrsim/Session-v0``.

    ``turns`` turns of random slates with training users tell how each item fares: the click-through rates that
    every recommender in use has.
    """

    def __init__(self, setting: SessionSetting, turns: int) -> None:
        self._genres = _genre_vectors(setting)  # float32 (n_items + 1, genres), of length 1 or 0
        self._rates = _rates(setting, turns)  # float32 (n_items + 1, 2)

    def of_candidates(self, observations: Mapping[str, np.ndarray]) -> np.ndarray:
        """INPUTS of each candidate, float32 (B, C, len(INPUTS))."""
        features, candidates = observations["features"], observations["candidates"]
        taste = self._genres[observations["history"]].sum(axis=1)
        taste /= np.maximum(np.linalg.norm(taste, axis=1, keepdims=True), 1e-9)
        alike = np.einsum("bcg,bg->bc", self._genres[candidates], taste)
        picked, liked = np.moveaxis(self._rates[candidates], 2, 0)
        fresh = (features[..., SHOWN] == 0).astype(np.float32)
        own = alike, picked, liked, fresh, picked * fresh, liked * fresh, liked * features[..., RECENT], alike**0
        inputs = np.concatenate([features, np.stack(own, axis=2)], axis=2)
        inputs[candidates == 0] = 0
        return inputs

    def of_moment(self, observations: Mapping[str, np.ndarray], inputs: np.ndarray) -> np.ndarray:
        """SIGNS, and mean and maximum of the candidates' inputs float32 (B, C, F): float32 (B, len(SIGNS) + 2 F)."""
        _, consumed, returned, wish = observations["response"].T
        known = (observations["history"] > 0).mean(axis=1)
        signs = np.stack([consumed, returned, wish > 0, known], axis=1).astype(np.float32)
        return np.concatenate([signs, inputs.mean(axis=1), inputs.max(axis=1)], axis=1)


def _genre_vectors(setting: SessionSetting) -> np.ndarray:
    """The genres of each item, float32 (n_items + 1, genres), weighed by how rare they are; of length 1 or 0."""
    catalog = setting.world.catalog
    bits = np.arange(len(genre_names(catalog)), dtype=np.uint64)
    has = ((genre_masks(catalog).astype(np.uint64)[:, None] >> bits) & np.uint64(1)).astype(np.float32)
    weighed = has * (1 + np.log((1 + len(has)) / (1 + has.sum(axis=0))))
    return (weighed / np.maximum(np.linalg.norm(weighed, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def _rates(setting: SessionSetting, turns: int) -> np.ndarray:
    """How often each item is picked from random slates, and what that earns, float32 (n_items + 1, 2)."""
    size, rng = setting.config.slate, generator(setting.seed, "random slates")

    def anything(observations: Mapping[str, np.ndarray]) -> np.ndarray:
        candidates = observations["candidates"]
        return best_places(rng.random(candidates.shape), candidates, size)

    shown, picked, earned = np.zeros((3, setting.world.n_items + 1))
    for step in practise(setting, anything, turns):
        np.add.at(shown, step.slate, 1)
        np.add.at(picked, step.item, 1)
        np.add.at(earned, step.item, np.minimum(step.reward, 1))
    average = earned.sum() / max(1, picked.sum())
    rates = (picked + PRIOR / size) / (shown + PRIOR), (earned + PRIOR * average) / (picked + PRIOR)
    return np.stack(rates, axis=1).astype(np.float32)
