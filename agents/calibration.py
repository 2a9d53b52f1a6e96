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
SPREAD = 2.0  # standard deviation of slopes that are expected, so that a few questions move them little
EXPECTED = (1.0, 0.0)  # their means: of what is judged, and of what it is compared with


@dataclass(frozen=True)
class Calibration:
    """Probabilities to the power of ``slope``; a Yes gets ``intercept`` nats more.

    For a judgment that is Platt scaling (1999), for a selection temperature scaling (Guo et al., ICML 2017), here with
    a slope that may be negative. An item may be judged beside a rival, something else that the user could take: then a
    Yes gets ``rival`` nats more for each nat of the rival's log probability.
    """

    slope: float = 1.0
    intercept: float = 0.0
    rival: float = 0.0

    def __call__(self, shares: np.ndarray, rivals: np.ndarray | None = None) -> np.ndarray:
        """``shares`` float (B, K): of each option, or (B, 1): of Yes alone. The same shape. ``rivals`` float (B,)."""
        both = shares if shares.shape[1] > 1 else np.concatenate([1 - shares, shares], axis=1)
        logs = self.slope * np.log(np.maximum(both, LEAST))
        logs[:, -1] += self.intercept + (0.0 if rivals is None else self.rival * rivals)
        return np.exp(log_softmax(logs, axis=1))[:, -shares.shape[1] :]


def fit_calibration(probability: np.ndarray, answers: np.ndarray, rivals: np.ndarray | None = None) -> Calibration:
    """The one that makes the right answers most probable, under a normal prior: about slope 1, of the rival about 0.

    ``probability`` float (B, K), by place in the slate, ``answers`` int64 (B,): the right place; of a judgment (B, 1),
    of Yes, and 1 = Yes was right. Where all judgments have the same answer nothing is changed. ``rivals`` float (B,):
    log probabilities of what is judged beside, None = of nothing.
    """
    if not len(answers):
        return Calibration()
    if probability.shape[1] == 1:
        odds = logit(np.clip(probability[:, 0], LEAST, 1 - 1e-16))
        return _fit_judgments(np.stack([odds] if rivals is None else [odds, rivals]), answers)
    logs, rows = np.log(np.maximum(probability, LEAST)), np.arange(len(answers))

    def surprise(slope: np.ndarray) -> float:
        return _prior(slope) - float(log_softmax(slope[0] * logs, axis=1)[rows, answers].sum())

    return Calibration(float(minimize(surprise, [1.0]).x[0]))


def _fit_judgments(known: np.ndarray, answers: np.ndarray) -> Calibration:
    """From the log odds of Yes and perhaps the rivals, float (1 or 2, B). The level at their mean is free: numbers that
    are all alike say nothing.
    """
    share, middle = answers.mean(), known.mean(axis=1)
    if share in (0, 1):
        return Calibration()

    def surprise(line: np.ndarray) -> float:
        found = line[-1] + line[:-1] @ (known - middle[:, None])
        return _prior(line[:-1]) - float(log_expit(np.where(answers == 1, found, -found)).sum())

    *slopes, level = minimize(surprise, [*EXPECTED[: len(known)], logit(share)]).x.tolist()
    return Calibration(slopes[0], level - float(slopes @ middle), *slopes[1:])


def _prior(slopes: np.ndarray) -> float:
    return float((((slopes - EXPECTED[: len(slopes)]) / SPREAD) ** 2).sum() / 2)
