"""What would have kept a user who leaves: RecoWorld's instruction (2025), as a genre or in words."""

import numpy as np

from vrsim.catalog import Catalog
from vrsim.session.features import genre_masks, genre_names

__all__ = ["named_genre", "wish_in_words", "wished_genres"]


def wished_genres(catalog: Catalog, history: np.ndarray, slate: np.ndarray) -> np.ndarray:
    """The genre of the history that the last slate served least, int64 (B,): from 1, 0 = none.

    ``history`` int64 (B, H), ``slate`` int64 (B, K). It is the genre with the largest share of the history's items
    times the share of the slate's items without it; the most frequent of the catalog in case of a tie.
    """
    names, masks = genre_names(catalog), genre_masks(catalog)
    if not names:
        return np.zeros(len(history), np.int64)
    bits = masks.dtype.type(1) << np.arange(len(names), dtype=masks.dtype)

    def share(items: np.ndarray) -> np.ndarray:
        return ((masks[items.T][:, :, None] & bits) > 0).sum(axis=0, dtype=np.uint8) / items.shape[1]  # (B, genres)

    missing = share(history) * (1 - share(slate))
    best = missing.argmax(axis=1)
    return np.where(missing[np.arange(len(best)), best] > 0, best + 1, 0)


def wish_in_words(catalog: Catalog, genre: int) -> str:
    """The wish of a user who has no words, "" for none; ``genre`` from 1, 0 = none."""
    return f"I would have stayed for more {genre_names(catalog)[genre - 1]}." if genre else ""


def named_genre(catalog: Catalog, words: str) -> int:
    """The genre of the catalog that stands first in a text, from 1, 0 = none of them."""
    places = {g: words.casefold().find(name.casefold()) for g, name in enumerate(genre_names(catalog), 1)}
    found = {g: place for g, place in places.items() if place >= 0}
    return min(found, key=found.get, default=0)
