"""What probabilities are worth: AUC, expected calibration error, and the quality of the ranking they give."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from vrsim.estimates import Estimate, Outcomes, mean_of_users

__all__ = ["BINS", "Bins", "auc_difference", "calibration", "probabilistic"]

BINS = 10  # equally wide
RESAMPLES = 200
RANKED = 5  # wrong items beside the right one, from which on a judgment is also read as a ranking
CUTOFFS = (3, 5, 10)


@dataclass(frozen=True, eq=False)
class Bins:
    """Stated probability against what happened, by bin; NaN where a bin is empty."""

    share: np.ndarray  # float (BINS,): of all decisions
    stated: np.ndarray  # float (BINS,): mean probability
    happened: np.ndarray  # float (BINS,): judgment: share of Yes; selection: share of right choices

    @property
    def error(self) -> float:
        """Expected calibration error (Guo et al., ICML 2017): mean distance of the two, weighted by share."""
        return float(np.nansum(self.share * np.abs(self.stated - self.happened)))


def calibration(found: Outcomes, task: str, weight: np.ndarray | None = None) -> Bins:
    """Bins of the stated probabilities, each decision counted ``weight`` times, float (N,)."""
    event = found.positive if task == "judgment" else found.correct
    bins = np.minimum((found.probability * BINS).astype(np.int64), BINS - 1)
    total, stated, happened = (
        np.bincount(bins, values if weight is None else weight * values, BINS)
        for values in (np.ones(len(event)), found.probability, event.astype(float))
    )
    with np.errstate(invalid="ignore"):
        return Bins(total / total.sum(), stated / total, happened / total)


def probabilistic(found: Outcomes, task: str, m: int, seed: int = 0) -> dict[str, Estimate]:
    """``auc`` (judgment), ``ece``, and ``recall@k``, ``mrr@k``, ``ndcg@k`` where m is large. {} if there are none."""
    if found.probability is None:
        return {}
    metrics: dict[str, Estimate] = {}
    if task == "judgment" and found.positive.any() and not found.positive.all():
        metrics["auc"] = _over_users(found, _auc(found), seed)
    metrics["ece"] = _over_users(found, lambda weight: calibration(found, task, weight).error, seed)
    if task == "judgment" and m >= RANKED:
        metrics |= _ranking(found, seed)
    return metrics


def auc_difference(one: Outcomes, other: Outcomes, seed: int = 0) -> tuple[Estimate, float]:
    """The AUC of one agent minus that of another on the same decisions, and a p-value; NaN without probabilities."""
    if one.probability is None or other.probability is None:
        return Estimate(np.nan, np.nan, np.nan), np.nan

    first, second = _auc(one), _auc(other)

    def metric(weight: np.ndarray | None) -> float:
        return first(weight) - second(weight)

    value, resamples = metric(None), _resamples(one, metric, seed)
    deviation = np.nanstd(resamples)
    p = 2 * norm.sf(abs(value) / deviation) if deviation > 0 else float(value == 0)
    return _estimate(value, resamples), float(p)


def _auc(found: Outcomes) -> Callable[[np.ndarray | None], float]:
    """The AUC of weighted decisions, NaN where they are all of one kind.

    As scikit-learn's roc_auc_score gives it, but the probabilities are sorted once for all resamples.
    """
    values, place = np.unique(found.probability, return_inverse=True)

    def auc(weight: np.ndarray | None) -> float:
        weight = np.ones(len(place)) if weight is None else weight
        right, wrong = (np.bincount(place, weight * kind, len(values)) for kind in (found.positive, ~found.positive))
        pairs = right.sum() * wrong.sum()
        return float(right @ (np.cumsum(wrong) - wrong / 2) / pairs) if pairs else np.nan

    return auc


def _over_users(found: Outcomes, metric: Callable[[np.ndarray | None], float], seed: int) -> Estimate:
    """A metric of weighted decisions with its interval."""
    return _estimate(metric(None), _resamples(found, metric, seed))


def _resamples(found: Outcomes, metric: Callable[[np.ndarray], float], seed: int) -> np.ndarray:
    """The metric with users drawn again, with all their decisions; empty for a single user."""
    users, group = np.unique(found.user, return_inverse=True)
    rng, resamples = np.random.default_rng(seed), []
    for _ in range(RESAMPLES if len(users) > 1 else 0):
        times = np.bincount(rng.integers(len(users), size=len(users)), minlength=len(users))
        resamples.append(metric(times[group].astype(float)))
    return np.array(resamples)


def _estimate(value: float, resamples: np.ndarray) -> Estimate:
    low, high = np.nanpercentile(resamples, [2.5, 97.5]) if len(resamples) else (np.nan, np.nan)
    return Estimate(float(value), float(low), float(high))


def _ranking(found: Outcomes, seed: int) -> dict[str, Estimate]:
    """The right item's place among the items of its position, by probability; equal ones share the middle place."""
    _, group = np.unique(np.stack([found.run, found.user, found.t], axis=1), axis=0, return_inverse=True)
    target = np.flatnonzero(found.positive)
    own = np.full(group.max() + 1, np.nan)
    own[group[target]] = found.probability[target]
    ahead = np.bincount(group, found.probability > own[group])
    equal = np.bincount(group, found.probability == own[group]) - 1
    rank = (1 + ahead + equal / 2)[group[target]]
    _, row = np.unique(found.user[target], return_inverse=True)
    columns = {}
    for k in CUTOFFS:
        hit = rank <= k
        gains = {"recall": hit, "mrr": hit / rank, "ndcg": hit / np.log2(rank + 1)}
        columns |= {f"{name}@{k}": np.bincount(row, gain) / np.bincount(row) for name, gain in gains.items()}
    return dict(zip(columns, mean_of_users(list(columns.values()), seed), strict=True))
