"""What the runs say about one set of questions: every number of the report, none of its looks."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vrsim.audit import lifts
from vrsim.comparisons import Difference, Group, agreement, by_activity
from vrsim.episodes import Episodes
from vrsim.estimates import Estimate, outcomes
from vrsim.loop import Played
from vrsim.probabilities import Bins, calibration
from vrsim.runs import Question
from vrsim.statistics import Score, evaluate

__all__ = ["COMPARED", "Findings", "Result", "find"]

COMPARED = 12  # agents in the table of agreement, at most
ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class Result:
    """One agent on one set of questions."""

    name: str
    shortcut: bool
    score: Score
    groups: list[Group]  # from the least to the most active users
    bins: Bins | None  # None without probabilities
    lift: Difference | None  # over the best shortcut; None for shortcuts
    p: float  # of the lift, Holm-corrected over the agents of this set; NaN for shortcuts

    @property
    def headline(self) -> Estimate:
        """Accuracy, or AUC where the protocol goes by it: NaN without probabilities."""
        return self.score.headline

    @property
    def beats_shortcuts(self) -> bool:
        return self.lift is not None and self.lift.value.value > 0 and self.p < ALPHA


@dataclass(frozen=True, eq=False)
class Findings:
    """All agents on one set of questions, best first."""

    question: Question
    episodes: list[Episodes]  # by seed
    results: list[Result]
    best_shortcut: Result | None  # by the protocol's metric; None if none has it
    chance: float  # of a blind guess, accuracy and AUC alike
    always: float  # judgment by accuracy: what always giving the more frequent answer has; else chance
    kappa: np.ndarray  # float (A, A): agreement of the first COMPARED agents; NaN where both always say the same

    @property
    def agents(self) -> list[Result]:
        return [result for result in self.results if not result.shortcut]

    @property
    def metric(self) -> str:
        """What agents are ordered and compared by: "accuracy" or "auc"."""
        return self.results[0].score.metric


def find(question: Question, by_agent: Mapping[str, Sequence[Played]], shortcuts: Collection[str]) -> Findings:
    """Work out the numbers. ``shortcuts`` are names in ``by_agent``. Raises ResultsError for unlike questions."""
    scores = {name: evaluate(runs) for name, runs in by_agent.items()}
    ordered = sorted(by_agent, key=lambda name: _merit(scores[name]), reverse=True)
    able = [name for name in ordered if name in shortcuts and np.isfinite(scores[name].headline.value)]
    best = able[0] if able else None
    rivals = {name: by_agent[name] for name in ordered if name not in shortcuts} if best is not None else {}
    over = lifts(rivals, by_agent[best]) if rivals else {}
    results = {
        name: Result(
            name=name,
            shortcut=name in shortcuts,
            score=scores[name],
            groups=by_activity(by_agent[name]),
            bins=_bins(by_agent[name], question.task),
            lift=over[name].difference if name in over else None,
            p=over[name].p if name in over else float("nan"),
        )
        for name in ordered
    }
    episodes = [run.episodes for run in by_agent[ordered[0]]]
    positive = float(np.mean(np.concatenate([part.answers for part in episodes]) == 1))
    chance = 1 / episodes[0].n_options
    frequent = question.task == "judgment" and scores[ordered[0]].metric == "accuracy"
    return Findings(
        question=question,
        episodes=episodes,
        results=list(results.values()),
        best_shortcut=results.get(best),
        chance=chance,
        always=max(positive, 1 - positive) if frequent else chance,
        kappa=_kappa([by_agent[name] for name in ordered[:COMPARED]]),
    )


def _merit(score: Score) -> tuple[float, float]:
    """What agents are ordered by: the protocol's number, an agent without it last, then accuracy."""
    return float(np.nan_to_num(score.headline.value, nan=-1)), score.metrics["accuracy"].value


def _bins(runs: Sequence[Played], task: str) -> Bins | None:
    found = outcomes(runs)
    return None if found.probability is None else calibration(found, task)


def _kappa(agents: Sequence[Sequence[Played]]) -> np.ndarray:
    kappa = np.eye(len(agents))
    for i, one in enumerate(agents):
        for j, other in enumerate(agents[:i]):
            kappa[i, j] = kappa[j, i] = agreement(one, other).kappa
    return kappa
