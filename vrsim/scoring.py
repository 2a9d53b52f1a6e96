"""What an answer is worth: rewards and metrics as pure functions of the answers.

Rewards follow VRAgent-R1 (section "US Agent"): judgment +1 for a right answer and -1 for a wrong
one, selection 2 and 0. Metrics are ratios of four counts, so that one formula serves a single run
(floats) and thousands of bootstrap resamples (arrays).
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

__all__ = ["REWARDS", "Counts", "count", "implied_base_rate", "judgment_reward", "selection_reward"]

Number = TypeVar("Number", float, np.ndarray)


def judgment_reward(correct: bool | np.ndarray) -> Number:
    """+1 where ``correct``, else -1."""
    return 2.0 * correct - 1.0


def selection_reward(correct: bool | np.ndarray) -> Number:
    """2 where ``correct``, else 0."""
    return 2.0 * correct


REWARDS = {"judgment": judgment_reward, "selection": selection_reward}


@dataclass(frozen=True)
class Counts:
    """Right and wrong answers, as numbers or as arrays of one shape. For selection all are positives."""

    true_positive: np.ndarray  # answer Yes, said Yes (selection: took the target)
    false_negative: np.ndarray  # answer Yes, said No or nothing readable (selection: took another)
    true_negative: np.ndarray  # answer No, said No
    false_positive: np.ndarray  # answer No, said Yes or nothing readable

    @property
    def accuracy(self) -> np.ndarray:
        right = self.true_positive + self.true_negative
        return _ratio(right, right + self.false_negative + self.false_positive)

    @property
    def precision(self) -> np.ndarray:
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> np.ndarray:
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def f1(self) -> np.ndarray:
        wrong = self.false_positive + self.false_negative
        return _ratio(2 * self.true_positive, 2 * self.true_positive + wrong)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where there is nothing to divide by."""
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole > 0)


def count(positive: np.ndarray, correct: np.ndarray, group: np.ndarray, groups: int) -> Counts:
    """Counts per group, each int64 (groups,).

    ``positive`` and ``correct`` are bool (N,): whether the right answer is Yes (selection: always
    true), and whether it was given, which an unreadable answer never is. ``group`` is int (N,).
    """

    def total(mask: np.ndarray) -> np.ndarray:
        return np.bincount(group[mask], minlength=groups)

    return Counts(
        total(positive & correct), total(positive & ~correct), total(~positive & correct), total(~positive & ~correct)
    )


def implied_base_rate(accuracy: Number, precision: Number, recall: Number) -> Number:
    """Share of positives that a published accuracy, precision and recall imply.

    Solves ``accuracy = p recall + (1 - p)(1 - fpr)`` with ``precision = p recall / (p recall + (1 - p) fpr)``
    for p; NaN where precision is 0 or where no answer is wrong.
    """
    accuracy, precision, recall = (np.asarray(x, float) for x in (accuracy, precision, recall))
    odds = _ratio(1, precision) - 1  # false positives per true positive
    return _ratio(1 - accuracy, (1 - recall) + recall * odds)
