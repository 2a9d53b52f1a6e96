"""Slates that cannot be shown as they are."""

import numpy as np

__all__ = ["repair"]


def repair(places: np.ndarray, items: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fill places that repeat an earlier one of the slate, or hold no candidate.

    ``places`` int64 (B, K) in the rows int64 (B,) of ``items`` int64 (N, C), 0 = no candidate, at least K others in
    each row. The places are filled in order by the best ranked candidates that are not in the slate. Returns places
    int64 (B, K), all different, and how many were filled, int64 (B,).
    """
    there = items[rows[:, None], places] > 0
    ordered = np.sort(places, axis=1)
    if there.all() and (ordered[:, 1:] != ordered[:, :-1]).all():
        return places, np.zeros(len(places), np.int64)
    same = places[:, :, None] == places[:, None, :]
    wrong = (same & np.tri(places.shape[1], k=-1, dtype=bool)).any(axis=2) | ~there
    filled = wrong.sum(axis=1)
    short = np.flatnonzero(filled)
    taken = items[rows[short]] == 0
    row, column = np.nonzero(~wrong[short])
    taken[row, places[short][row, column]] = True
    free = np.argsort(taken, axis=1, kind="stable")  # the best ranked free candidates first
    turn = np.maximum(np.cumsum(wrong[short], axis=1) - 1, 0)
    places = places.copy()
    places[short] = np.where(wrong[short], np.take_along_axis(free, turn, axis=1), places[short])
    return places, filled
