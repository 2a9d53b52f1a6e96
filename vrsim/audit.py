"""The audit: what can be had without reading, and what an agent has beyond it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vrsim.ablations import ABLATIONS
from vrsim.comparisons import Difference, compare, holm
from vrsim.episodes import Episodes
from vrsim.errors import EpisodeError, OptionError, UnknownNameError
from vrsim.loop import Played, play
from vrsim.progress import Progress, silent
from vrsim.protocols import TASKS, list_protocols
from vrsim.questions import ask, questions_of
from vrsim.registry import make_agent, shortcuts
from vrsim.runs import Question, Run, together
from vrsim.seeding import derive
from vrsim.statistics import Score, evaluate
from vrsim.world import World

__all__ = [
    "AuditConfig",
    "Audited",
    "Lift",
    "audit",
    "audit_run",
    "lifts",
    "missing_shortcuts",
    "play_shortcuts",
    "questions",
]


@dataclass(frozen=True)
class AuditConfig:
    """What to audit."""

    protocols: tuple[str, ...] = ()  # none = every one that the world can serve
    tasks: tuple[str, ...] = ("judgment", "selection")
    m: tuple[int, ...] = (1, 3, 4)  # of selections
    cohort: str = "all"
    users: int = 0  # at most this many test users, 0 = all
    seeds: int = 3
    agent: str | None = None  # an agent that reads: played whole and without, or with other, histories

    def __post_init__(self) -> None:
        if type(self.seeds) is not int or self.seeds < 1:
            raise OptionError(f"seeds must be an integer from 1, found {self.seeds!r}")
        for task in self.tasks:
            if task not in TASKS:
                raise UnknownNameError("task", task, TASKS)


@dataclass(frozen=True)
class Lift:
    """What an agent has over the best shortcut."""

    difference: Difference
    p: float  # of the difference, corrected by Holm for all lifts of the same questions
    changed: float | None = None  # ablations: share of decisions that differ from those of the whole agent


@dataclass(frozen=True)
class Audited:
    """One set of questions."""

    question: Question
    chance: float  # accuracy of an answer at random
    left_out: float  # share of the positions that the protocol could not ask about
    scores: dict[str, Score]  # of the shortcuts
    best: str | None  # the best shortcut by the protocol's metric; None if none has it
    lifts: dict[str, Lift] = field(default_factory=dict)
    agents: dict[str, Score] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)  # shortcuts that the world cannot serve, and why


def audit(world: World, config: AuditConfig, progress: Progress = silent) -> tuple[list[Audited], dict[str, str]]:
    """Play the shortcuts, and ``config.agent``, on every set of questions.

    Also returns the questions that the world cannot serve, with the reason; a protocol that was asked for
    by name raises its error instead. Raises EpisodeError, UnknownNameError, OptionError.
    """
    if config.agent:
        make_agent(config.agent)  # a misspelt name should not cost the minutes before its turn
    asked, impossible = questions(world, config)
    rows = []
    for done, (question, episodes) in enumerate(asked.items()):
        progress(done, len(asked), str(question))
        agents: dict[str, list[Played]] = {}
        if config.agent:
            for name in (config.agent, *(f"{config.agent}@{ablation}" for ablation in ABLATIONS)):
                agents[name] = [_play(name, part) for part in episodes]
        rows.append(_audited(question, episodes, agents))
    progress(len(asked), max(1, len(asked)), "done")
    return rows, impossible


def audit_run(run: Run, progress: Progress = silent) -> list[Audited]:
    """The lift of every recorded agent over the best shortcut on the same episodes."""
    rows = []
    for done, (question, agents) in enumerate(run.played.items()):
        progress(done, len(run.played), str(question))
        rows.append(_audited(question, [played.episodes for played in next(iter(agents.values()))], agents))
    progress(len(run.played), max(1, len(run.played)), "done")
    return rows


def play_shortcuts(episodes: Sequence[Episodes]) -> tuple[dict[str, list[Played]], dict[str, str]]:
    """Every shortcut on the episodes of all seeds, and those that the world cannot serve, with the reason."""
    played: dict[str, list[Played]] = {}
    skipped: dict[str, str] = {}
    for name in shortcuts():
        try:
            played[name] = [_play(name, part) for part in episodes]
        except EpisodeError as error:
            skipped[name] = str(error)
    return played, skipped


def missing_shortcuts(runs: Sequence[Run]) -> dict[Question, dict[str, list[Played]]]:
    """Every shortcut that none of the runs has played, on their episodes."""
    missing = {}
    for question, agents in together(runs).items():
        played, _ = play_shortcuts([part.episodes for part in next(iter(agents.values()))])
        missing[question] = {name: runs for name, runs in played.items() if name not in agents}
    return missing


def lifts(agents: Mapping[str, Sequence[Played]], reference: Sequence[Played]) -> dict[str, Lift]:
    """The lift of each agent over a reference on the same episodes."""
    differences = {name: compare(played, reference) for name, played in agents.items()}
    corrected = holm([difference.p for difference in differences.values()])
    return {
        name: Lift(difference, p, _changed(name, agents))
        for (name, difference), p in zip(differences.items(), corrected, strict=True)
    }


def _changed(name: str, agents: Mapping[str, Sequence[Played]]) -> float | None:
    whole, at, ablation = name.rpartition("@")
    if not at or ablation not in ABLATIONS or whole not in agents:
        return None
    one, other = (np.concatenate([p.decisions.action for p in agents[key]]) for key in (name, whole))
    return float((one != other).mean())


def questions(world: World, config: AuditConfig) -> tuple[dict[Question, list[Episodes]], dict[str, str]]:
    """What an audit asks, one Episodes per seed, and what the world cannot serve, with the reason."""
    asked: dict[Question, list[Episodes]] = {}
    impossible: dict[str, str] = {}
    for protocol in config.protocols or [protocol.name for protocol in list_protocols()]:
        for question in questions_of(protocol, config.tasks, config.m, config.cohort):
            try:
                asked[question] = ask(world, question, config.users, config.seeds)
            except EpisodeError as error:
                if config.protocols:
                    raise
                impossible[str(question)] = str(error)
    if not asked and not impossible:
        raise OptionError(f"{', '.join(config.protocols) or 'no protocol'} asks no {' and no '.join(config.tasks)}")
    return asked, impossible


def _play(agent: str, episodes: Episodes) -> Played:
    return play(make_agent(agent), episodes, derive(episodes.seed, "agent"))


def _audited(question: Question, episodes: Sequence[Episodes], agents: Mapping[str, list[Played]]) -> Audited:
    played, skipped = play_shortcuts(episodes)
    scores = {name: evaluate(runs) for name, runs in played.items()}
    able = {name: score.headline.value for name, score in scores.items() if not np.isnan(score.headline.value)}
    best = max(able, key=lambda name: able[name]) if able else None
    left_out = sum(part.left_out for part in episodes)
    positions = sum(len(np.unique(part.positions, axis=0)) for part in episodes)
    return Audited(
        question,
        1 / episodes[0].n_options,
        left_out / (left_out + positions),
        scores,
        best,
        lifts(agents, played[best]) if best and agents else {},
        {name: evaluate(runs) for name, runs in agents.items()},
        skipped,
    )
