"""From decisions to numbers: each with a 95 % interval from a bootstrap over users (scipy)."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import DegenerateDataWarning, bootstrap

from vrsim.loop import Played
from vrsim.scoring import Counts, count, implied_base_rate

__all__ = ["METRICS", "Estimate", "Score", "evaluate"]

METRICS = {"judgment": ("accuracy", "precision", "recall", "f1"), "selection": ("accuracy",)}
RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % percentile interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Score:
    """One agent on one set of questions, all seeds together."""

    metrics: dict[str, Estimate]  # by the names in METRICS
    reward: float  # mean per decision
    invalid: float  # share of replies that could not be read
    base_rate: float | None  # judgment: share of positives implied by accuracy, precision and recall
    by_seed: list[float]  # accuracy of each seed
    users: int
    decisions: int
    per_second: float  # decisions per second of the agent's time


def evaluate(runs: Sequence[Played], seed: int = 0) -> Score:
    """The score of one agent on one task, from one run per seed.

    Users are the unit of the bootstrap: all decisions about a user, of all seeds, are drawn
    together. ``seed`` is the bootstrap's.
    """
    task = runs[0].episodes.task
    user = np.concatenate([run.episodes.positions[run.index, 0] for run in runs])
    correct = np.concatenate([run.correct for run in runs])
    positive = np.ones(len(correct), bool)
    if task == "judgment":
        positive = np.concatenate([run.episodes.answers[run.index] == 1 for run in runs])
    users, group = np.unique(user, return_inverse=True)
    counts = count(positive, correct, group, len(users))
    metrics = {name: _estimate(counts, name, seed) for name in METRICS[task]}
    values = {name: estimate.value for name, estimate in metrics.items()}
    base_rate = None
    if task == "judgment":
        base_rate = float(implied_base_rate(values["accuracy"], values["precision"], values["recall"]))
    return Score(
        metrics=metrics,
        reward=float(np.mean(np.concatenate([run.reward for run in runs]))),
        invalid=float(1 - np.mean(np.concatenate([run.decisions.valid for run in runs]))),
        base_rate=base_rate,
        by_seed=[float(run.correct.mean()) for run in runs],
        users=len(users),
        decisions=len(correct),
        per_second=float(len(correct) / max(1e-9, sum(run.seconds.sum() for run in runs))),
    )


def _estimate(counts: Counts, metric: str, seed: int) -> Estimate:
    def statistic(*columns: np.ndarray, axis: int = -1) -> np.ndarray:
        return getattr(Counts(*(column.sum(axis=axis) for column in columns)), metric)

    columns = (counts.true_positive, counts.false_negative, counts.true_negative, counts.false_positive)
    value = float(statistic(*columns))
    if len(columns[0]) < 2 or np.isnan(value):
        return Estimate(value, np.nan, np.nan)
    with warnings.catch_warnings():
        # Resamples in which the metric is not defined are left out below; scipy's own interval is not used.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        drawn = bootstrap(
            columns,
            statistic,
            paired=True,
            vectorized=True,
            n_resamples=RESAMPLES,
            batch=max(1, 4_000_000 // len(columns[0])),  # 32 MB of drawn users at a time
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    low, high = np.nanpercentile(drawn.bootstrap_distribution, [2.5, 97.5])
    return Estimate(value, float(low), float(high))
