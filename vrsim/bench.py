"""The benchmark: every agent on every set of questions, with every seed, into one run folder."""

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vrsim.building import versions
from vrsim.episodes import Episodes, make_episodes
from vrsim.errors import OptionError, UnknownNameError
from vrsim.loop import Played, join, play
from vrsim.progress import Progress, silent
from vrsim.protocols import TASKS, get_protocol
from vrsim.records import Cell, RunFolder
from vrsim.registry import baselines, make_agent
from vrsim.seeding import derive
from vrsim.statistics import Score, evaluate
from vrsim.world import World

__all__ = ["BenchConfig", "Row", "as_json", "plain", "run_bench"]


@dataclass(frozen=True)
class BenchConfig:
    """What to compare on what."""

    world: str = "ml-100k"
    agents: tuple[str, ...] = field(default_factory=lambda: tuple(baselines()))
    protocols: tuple[str, ...] = ("vragent-paper",)
    tasks: tuple[str, ...] = ("judgment", "selection")
    m: tuple[int, ...] = (1, 3, 4)  # of the selection; a judgment always has one negative per positive
    cohort: str = "all"
    seeds: int = 3  # seeds 0, 1, ... of the episodes and of the agents, at least 1

    def __post_init__(self) -> None:
        if type(self.seeds) is not int or self.seeds < 1:
            raise OptionError(f"seeds must be an integer from 1, found {self.seeds!r}")
        for name in ("agents", "protocols", "tasks", "m"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise OptionError(f"{name} must name at least one and none twice, found {', '.join(map(str, values))}")
        for task in self.tasks:
            if task not in TASKS:
                raise UnknownNameError("task", task, TASKS)


@dataclass(frozen=True)
class Row:
    """One line of the result: an agent on one set of questions, all seeds together."""

    agent: str
    protocol: str
    task: str
    m: int
    cohort: str
    score: Score


def run_bench(config: BenchConfig, out: Path, progress: Progress = silent) -> list[Row]:
    """Play every cell that is not yet recorded in ``out`` and return the scores.

    Calling it again with the same arguments goes on where it stopped. Raises the errors of worlds,
    agents and records.
    """
    world = World.load(config.world)
    for name in config.agents:  # a misspelt name should not cost the minutes before its turn
        make_agent(name)
    questions = [
        (protocol, task, m)
        for protocol in config.protocols
        for task in get_protocol(protocol).tasks
        if task in config.tasks
        for m in get_protocol(protocol).sizes(task, config.m)
    ]
    if not questions:
        raise OptionError(f"{', '.join(config.protocols)} asks no {' and no '.join(config.tasks)}")
    made = {  # likewise for questions that cannot be asked
        # The m of a judgment is the protocol's, perhaps 0, and not for the caller to say.
        (protocol, task, m, seed): make_episodes(
            world, protocol, task, m if task == "selection" else 1, "test", config.cohort, seed
        )
        for protocol, task, m in questions
        for seed in range(config.seeds)
    }
    total, rows = len(config.agents) * len(made), []
    with RunFolder.open(out, _plain(config), _facts(world, config, made)) as run:
        for agent in config.agents:
            for question in questions:
                played = []
                for seed in range(config.seeds):
                    cell = Cell(agent, *question, config.cohort, seed)
                    done = len(rows) * config.seeds + seed
                    played.append(_play_cell(run, cell, made[*question, seed], _within(progress, cell, done, total)))
                rows.append(Row(agent, *question, config.cohort, evaluate(played)))
        progress(total, total, "done")
        run.finish()
    return rows


def _play_cell(run: RunFolder, cell: Cell, episodes: Episodes, progress: Progress) -> Played:
    before = run.recorded(cell, episodes)
    if sum(len(part.index) for part in before) == len(episodes):
        run.keep(cell, episodes)
        return join(before)
    run.begin(cell, episodes)
    return play(
        make_agent(cell.agent),
        episodes,
        derive(cell.seed, "agent"),
        before=before,
        write=lambda played: run.append(cell, played),
        progress=progress,
    )


def _within(progress: Progress, cell: Cell, done: int, total: int) -> Progress:
    """Progress of one cell, as a part of the whole."""
    what = f"{cell.agent}: {cell.protocol}, {cell.task}, m = {cell.m}, seed {cell.seed}"
    progress(done, total, what)
    return lambda part, whole, text: progress(done + part / whole, total, what)


def _plain(config: BenchConfig) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}


def _facts(world: World, config: BenchConfig, made: dict[tuple, Episodes]) -> dict[str, Any]:
    return {
        "command": " ".join(sys.argv),
        "world_hash": world.hash,
        "episodes": {" ".join(map(str, question)): episodes.hash for question, episodes in made.items()},
        "protocol_hashes": {name: get_protocol(name).hash for name in config.protocols},
        "versions": versions(),
    }


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as plain data; intervals are {value, low, high}, what is not defined is null."""
    return [plain(asdict(row)) for row in rows]


def plain(value: Any) -> Any:
    """Nested data without tuples, NaN and infinity, as JSON has it."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
