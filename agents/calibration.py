"""What a model's probabilities are worth, learned from questions whose answers are known.

A language model may be too sure or not sure enough of what it finds probable, or even sure of the wrong thing: where
the wrong answers of a protocol are a recommender's favourites, the least probable title is mostly right.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_expit, log_softmax, logit

__all__ = ["Calibration", "fit_calibration"]

LEAST = 1e-300  # of a probability, so that its logarithm is finite
SPREAD = 2.0  # standard deviation of slopes about 1 that are expected, so that a few questions move them little


@dataclass(frozen=True)
class Calibration:
    """Probabilities to the power of ``slope``; a Yes gets ``intercept`` nats more.

    For a judgment that is Platt scaling (1999), for a selection temperature scaling (Guo et al., ICML 2017), here with
    a slope that may be negative.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, shares: np.ndarray) -> np.ndarray:
        """``shares`` float (B, K): of each option, or (B, 1): of Yes alone. The same shape."""
        both = shares if shares.shape[1] > 1 else np.concatenate([1 - shares, shares], axis=1)
        logs = self.slope * np.log(np.maximum(both, LEAST))
        logs[:, -1] += self.intercept
        return np.exp(log_softmax(logs, axis=1))[:, -shares.shape[1] :]


def fit_calibration(probability: np.ndarray, answers: np.ndarray) -> Calibration:
    """The one that makes the right answers most probable, under a normal prior about slope 1.

    ``probability`` float (B, K), by place in the slate, ``answers`` int64 (B,): the right place; of a judgment (B, 1),
    of Yes, and 1 = Yes was right. Where all judgments have the same answer nothing is changed.
    """
    if not len(answers):
        return Calibration()
    if probability.shape[1] == 1:
        return _fit_judgments(logit(np.clip(probability[:, 0], LEAST, 1 - 1e-16)), answers)
    logs, rows = np.log(np.maximum(probability, LEAST)), np.arange(len(answers))

    def surprise(slope: np.ndarray) -> float:
        return _prior(slope[0]) - float(log_softmax(slope[0] * logs, axis=1)[rows, answers].sum())

    return Calibration(float(minimize(surprise, [1.0], method="Nelder-Mead").x[0]))


def _fit_judgments(odds: np.ndarray, answers: np.ndarray) -> Calibration:
    """From the log odds of Yes, float (B,). The level at their mean is free: odds that are all alike say nothing."""
    share, middle = answers.mean(), float(odds.mean())
    if share in (0, 1):
        return Calibration()

    def surprise(line: np.ndarray) -> float:
        found = line[1] + line[0] * (odds - middle)
        return _prior(line[0]) - float(log_expit(np.where(answers == 1, found, -found)).sum())

    slope, level = minimize(surprise, [1.0, logit(share)], method="Nelder-Mead").x.tolist()
    return Calibration(slope, level - slope * middle)


def _prior(slope: float) -> float:
    return ((slope - 1) / SPREAD) ** 2 / 2
