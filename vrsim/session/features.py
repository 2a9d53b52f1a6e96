"""What a recommender is told about its candidates, and the genres of the catalog as bit masks."""

from collections import Counter
from functools import lru_cache

import numpy as np

from vrsim.catalog import Catalog

__all__ = ["FEATURES", "MOST_GENRES", "genre_masks", "genre_names", "genre_weights"]

FEATURES = (
    "rank",  # 1 = first in the recommender's order, falling evenly to 1 / C
    "popularity",  # log(1 + interactions in the training part), 1 = the most popular item
    "genres",  # share of the item's genres that occur in the shown history; 0 if it has none
    "recent",  # mean share of its genres in each of the items consumed lately; what bores, see Mood
    "shown",  # turns of this visit in which it was shown, at most 10, over 10
    "consumed",  # 1 = consumed in this session
    "wished",  # 1 = has the genre that the user wished for last
)
"""Features of a candidate, each from 0 to 1; an empty place has zeros."""

MOST_GENRES = 64  # bits of a mask; of a larger catalog the most frequent ones count


@lru_cache(maxsize=8)
def genre_names(catalog: Catalog) -> tuple[str, ...]:
    """The genres that count, the most frequent first, in case of a tie by name."""
    found = Counter(genre for genres in catalog.genres for genre in set(genres))
    return tuple(sorted(found, key=lambda name: (-found[name], name))[:MOST_GENRES])


@lru_cache(maxsize=8)
def genre_masks(catalog: Catalog) -> np.ndarray:
    """The genres of each item, uint32 or, of more than 32 genres, uint64 (n_items + 1,): bit g = genre g of
    ``genre_names``."""
    bit = {name: 1 << place for place, name in enumerate(genre_names(catalog))}
    kind = np.uint32 if len(bit) <= 32 else np.uint64
    return np.array([sum(bit.get(name, 0) for name in {*genres}) for genres in catalog.genres], kind)


@lru_cache(maxsize=8)
def genre_weights(catalog: Catalog) -> np.ndarray:
    """What one genre of each item weighs, float32 (n_items + 1,): 1 / number of its genres, 0 if it has none."""
    counts = np.bitwise_count(genre_masks(catalog)).astype(np.float32)
    return np.divide(1, counts, out=np.zeros_like(counts), where=counts > 0)
