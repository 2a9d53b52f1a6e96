"""Two agents on the same questions: who is better, by how much, and whether that could be chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from vrsim.errors import ResultsError
from vrsim.estimates import Estimate, mean_of_users, outcomes, over_users
from vrsim.loop import Played
from vrsim.probabilities import auc_difference

__all__ = ["Agreement", "Difference", "Group", "agreement", "alike", "by_activity", "compare", "compare_users", "holm"]


@dataclass(frozen=True)
class Difference:
    """A number of one agent minus that of a reference."""

    metric: str  # accuracy, or auc where the protocol goes by it; of recommenders HR@10
    value: Estimate
    better: int  # users about whom the agent is right more often
    worse: int  # users about whom the reference is
    p: float  # accuracy and HR@10: exact McNemar test; auc: of a normal distribution with the bootstrap's deviation


@dataclass(frozen=True)
class Agreement:
    """How alike two agents decide."""

    same: float  # share of equal decisions
    kappa: float  # Cohen's: 0 = as by chance, 1 = always; NaN where both always say the same


@dataclass(frozen=True)
class Group:
    """The accuracy about users of like activity."""

    least: int  # interactions before the user's first position, both bounds included
    most: int
    users: int
    accuracy: Estimate


def compare(runs: Sequence[Played], reference: Sequence[Played], seed: int = 0) -> Difference:
    """Compare two agents, one run per seed each, on the same episodes in the same order of seeds.

    Users are the unit, so that several decisions about a user do not pass for independent ones: the
    interval is a paired bootstrap over users, and the test asks whether the users for whom one agent is
    right more often are as many as those for whom the other is. With one decision per user that is
    McNemar's exact test. Where the protocol goes by AUC, so does the comparison; without probabilities its
    value and p are NaN. Raises ResultsError for different questions.
    """
    _refuse_others(runs, reference)
    one, other = outcomes(runs), outcomes(reference)
    metric = runs[0].episodes.protocol.metric
    _, group = np.unique(one.user, return_inverse=True)
    asked = np.bincount(group)
    difference = np.bincount(group, one.correct.astype(float) - other.correct)
    better, worse = int((difference > 0).sum()), int((difference < 0).sum())
    if metric == "auc":
        value, p = auc_difference(one, other, seed)
    else:
        (value,) = over_users((difference, asked), _per_decision, seed)
        p = _sign_test(better, worse)
    return Difference(metric, value, better, worse, p)


def compare_users(metric: str, values: np.ndarray, reference: np.ndarray, seed: int = 0) -> Difference:
    """Compare two by what each gets for the same users, float (users,), as ``compare`` does."""
    difference = values - reference
    better, worse = int((difference > 0).sum()), int((difference < 0).sum())
    (value,) = mean_of_users([difference], seed)
    return Difference(metric, value, better, worse, _sign_test(better, worse))


def _sign_test(better: int, worse: int) -> float:
    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction: p-values that may all be read together (Holm, Scand. J. Statist. 1979). NaN stays NaN."""
    p = np.asarray(p_values, float)
    if np.isnan(p).any():
        rest = iter(holm(p[~np.isnan(p)]))
        return [value if np.isnan(value) else next(rest) for value in p.tolist()]
    order = np.argsort(p)
    stepped = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    corrected = np.empty(len(p))
    corrected[order] = stepped
    return corrected.tolist()


def agreement(runs: Sequence[Played], others: Sequence[Played]) -> Agreement:
    """How often two agents decide alike on the same episodes. Raises ResultsError for different questions."""
    _refuse_others(runs, others)
    return alike(*(np.concatenate([run.decisions.action for run in both]) for both in (runs, others)))


def alike(one: np.ndarray, other: np.ndarray) -> Agreement:
    """How often two columns of answers to the same questions, int (N,), are equal."""
    same = float((one == other).mean())
    always = len(np.unique(np.concatenate([one, other]))) == 1
    return Agreement(same, float("nan") if always else float(cohen_kappa_score(one, other)))


def by_activity(runs: Sequence[Played], groups: int = 5, seed: int = 0) -> list[Group]:
    """Accuracy for users from the least to the most active, in up to ``groups`` groups of like size."""
    found = outcomes(runs)
    users, group = np.unique(found.user, return_inverse=True)
    length = np.full(len(users), np.iinfo(np.int64).max)
    np.minimum.at(length, group, found.t)
    accuracy = np.bincount(group, found.correct) / np.bincount(group)
    edges = np.unique(np.quantile(length, np.linspace(0, 1, groups + 1)[1:-1], method="higher"))
    place = np.searchsorted(edges, length, side="right")
    rows = [np.flatnonzero(place == k) for k in np.unique(place)]
    return [
        Group(int(length[row].min()), int(length[row].max()), len(row), mean_of_users([accuracy[row]], seed)[0])
        for row in rows
    ]


def _per_decision(difference: np.ndarray, asked: np.ndarray, axis: int = -1) -> np.ndarray:
    """The mean over all decisions about the users along ``axis``."""
    return (difference.sum(axis=axis) / asked.sum(axis=axis))[None]


def _refuse_others(runs: Sequence[Played], others: Sequence[Played]) -> None:
    one, other = ([run.episodes.hash for run in both] for both in (runs, others))
    if one != other:
        raise ResultsError(f"the agents were asked different questions: episodes {one} and {other}")
    if [len(run.index) for run in runs] != [len(run.index) for run in others]:
        raise ResultsError("one of the agents has not answered all questions; finish its run first")
