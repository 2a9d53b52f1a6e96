"""The world "tiny": made-up people and films for tests and documentation, from a fixed seed.

People like a few genres and tend to go on with the sequel-like next film of a genre, so that a
recommender, popularity and titles all carry some signal and none of them all of it.
"""

import numpy as np
import pyarrow as pa

from vrsim.catalog import Catalog
from vrsim.data import Data
from vrsim.interactions import Interactions
from vrsim.seeding import generator

__all__ = ["tiny_data"]

GENRES = ("Comedy", "Crime", "Drama", "Fantasy", "Romance", "Space", "War", "Western")
MOODS = ("Quiet", "Last", "Golden", "Broken", "Second", "Hidden", "Restless", "Paper", "Northern", "Stolen")
THINGS = {
    "Comedy": "Wedding", "Crime": "Alibi", "Drama": "Orchard", "Fantasy": "Dragon",
    "Romance": "Summer", "Space": "Comet", "War": "Bridge", "Western": "Canyon",
}  # fmt: skip
USERS, ITEMS = 200, 160


def tiny_data() -> Data:
    """200 users, 160 items, 5 to 30 interactions each; the same on every machine."""
    rng = generator(0, "tiny")
    genre = np.arange(ITEMS) % len(GENRES)  # item i + 1 has genre[i], and item i + 1 + 8 is its "sequel"
    appeal = rng.permutation(ITEMS) + 10.0  # integer-valued weights: exact on every machine
    items, lengths = [], []
    for _ in range(USERS):
        length = int(rng.integers(5, 31))
        taste = rng.permutation(len(GENRES))[:3]
        weight = appeal * np.where(np.isin(genre, taste), 12.0, 1.0)
        chosen: list[int] = []
        for _ in range(length):
            sequel = chosen[-1] + len(GENRES) if chosen else ITEMS
            if sequel < ITEMS and sequel not in chosen and rng.integers(3) == 0:
                chosen.append(sequel)
                continue
            weight[chosen] = 0.0
            ticket = rng.integers(int(weight.sum()))
            chosen.append(int(np.searchsorted(np.cumsum(weight), ticket, side="right")))
        items.extend(chosen)
        lengths.append(length)
    second = np.where(rng.integers(3, size=ITEMS) == 0, rng.integers(len(GENRES), size=ITEMS), genre)
    table = pa.table(
        {
            "item_id": [f"f{i}" for i in range(ITEMS)],
            "title": [
                f"The {MOODS[i // len(GENRES) % len(MOODS)]} {THINGS[GENRES[genre[i]]]}"
                + (f" {i // (len(GENRES) * len(MOODS)) + 1}" if i >= len(GENRES) * len(MOODS) else "")
                for i in range(ITEMS)
            ],
            "year": [1960 + int(y) for y in rng.integers(60, size=ITEMS)],
            "genres": [sorted({GENRES[genre[i]], GENRES[second[i]]}) for i in range(ITEMS)],
            "caption": [""] * ITEMS,
        },
        schema=Catalog.SCHEMA,
    )
    offsets = np.r_[0, np.cumsum(lengths)].astype(np.int64)
    times = np.arange(offsets[-1], dtype=np.float64)
    columns = np.asarray(items, np.int32) + 1
    interactions = Interactions(offsets, columns, times, _ratings(columns, np.repeat(np.arange(USERS), lengths)))
    users = pa.array([f"u{i}" for i in range(USERS)], pa.string())
    return Data(interactions, Catalog(table), users, {})


def _ratings(items: np.ndarray, users: np.ndarray) -> np.ndarray:
    """1 to 5, float32: some films are better than others, some people kinder than others."""
    rng = generator(0, "tiny", "ratings")
    quality, kindness = rng.integers(3, size=ITEMS + 1), rng.integers(2, size=USERS)
    return (1 + quality[items] + kindness[users] + rng.integers(2, size=len(items))).astype(np.float32)
