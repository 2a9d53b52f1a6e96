"""What a model's probabilities are worth, learned from questions whose answers are known.

A language model may be too sure or not sure enough of what it finds probable, or even sure of the wrong thing: where
the wrong answers of a protocol are a recommender's favourites, the least probable title is mostly right.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logit
from sklearn.linear_model import LogisticRegression

__all__ = ["Calibration", "fit_calibration"]

LEAST = 1e-12  # of a probability, so that its logarithm is finite
STEEPEST = 20.0


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
    """The one that makes the right answers most probable; it changes nothing where nothing can be learned.

    ``probability`` float (B, K), by place in the slate, ``answers`` int64 (B,): the right place; of a judgment (B, 1),
    of Yes, and 1 = Yes was right.
    """
    if len(np.unique(answers)) < 2:
        return Calibration()
    if probability.shape[1] == 1:
        odds = logit(np.clip(probability, LEAST, 1 - LEAST))
        fitted = LogisticRegression(C=1e6).fit(odds, answers)
        return Calibration(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))
    logs, rows = np.log(np.maximum(probability, LEAST)), np.arange(len(answers))

    def surprise(slope: float) -> float:
        return -float(log_softmax(slope * logs, axis=1)[rows, answers].mean())

    return Calibration(float(minimize_scalar(surprise, bounds=(-STEEPEST, STEEPEST), method="bounded").x))
