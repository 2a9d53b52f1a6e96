"""Decisions as columns, and numbers with a 95 % interval from a bootstrap over users (scipy)."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import DegenerateDataWarning, bootstrap

from vrsim.loop import Played

__all__ = ["Estimate", "Outcomes", "mean_of_users", "outcomes", "over_users"]

RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % percentile interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What one agent's runs, one per seed, came to; one row per decision."""

    user: np.ndarray  # int64 (N,)
    run: np.ndarray  # int64 (N,): which of the runs
    t: np.ndarray  # int64 (N,): number of earlier interactions
    positive: np.ndarray  # bool (N,): whether the right answer is Yes; of a selection always true
    correct: np.ndarray  # bool (N,)
    probability: np.ndarray | None  # float (N,): of Yes; of a selection: of the chosen place


def outcomes(runs: Sequence[Played]) -> Outcomes:
    """The columns of several runs on one task, one after the other."""
    judged = runs[0].episodes.task == "judgment"
    chances = [run.decisions.probability for run in runs]

    def own(run: Played) -> np.ndarray:
        column = np.zeros(len(run.index), np.int64) if judged else run.decisions.action
        return np.take_along_axis(run.decisions.probability, column[:, None], axis=1)[:, 0]

    positions = [run.episodes.positions[run.index] for run in runs]
    return Outcomes(
        user=np.concatenate([position[:, 0] for position in positions]),
        run=np.repeat(np.arange(len(runs)), [len(run.index) for run in runs]),
        t=np.concatenate([position[:, 1] for position in positions]),
        positive=np.concatenate([(run.episodes.answers[run.index] == 1) | (not judged) for run in runs]),
        correct=np.concatenate([run.correct for run in runs]),
        probability=None if any(chance is None for chance in chances) else np.concatenate([own(run) for run in runs]),
    )


def mean_of_users(columns: Sequence[np.ndarray], seed: int = 0) -> list[Estimate]:
    """The mean over users of each column, float (users,), NaN left out, with its interval."""

    def statistic(*drawn: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.stack([np.nanmean(column, axis=axis) for column in drawn])

    return over_users(columns, statistic, seed)


def over_users(columns: Sequence[np.ndarray], statistic: Callable[..., np.ndarray], seed: int) -> list[Estimate]:
    """A statistic with several values, float (values, ...), over users drawn again; columns are (users,)."""
    with warnings.catch_warnings():
        # Resamples in which a metric is not defined are left out below; scipy's own interval is not used.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        values = statistic(*columns)
        if len(columns[0]) < 2:
            return [Estimate(float(value), np.nan, np.nan) for value in values]
        drawn = bootstrap(
            columns,
            statistic,
            paired=True,
            vectorized=True,
            n_resamples=RESAMPLES,
            batch=max(1, 4_000_000 // len(columns[0])),  # 32 MB of drawn users at a time
            method="percentile",
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution
    return [_estimate(value, resamples) for value, resamples in zip(values, drawn, strict=True)]


def _estimate(value: float, resamples: np.ndarray) -> Estimate:
    if np.isnan(value):
        return Estimate(np.nan, np.nan, np.nan)
    low, high = np.nanpercentile(resamples, [2.5, 97.5])
    return Estimate(float(value), float(low), float(high))
