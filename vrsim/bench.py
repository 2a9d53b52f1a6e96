"""The benchmark: every agent on every set of questions, with every seed, into one run folder."""

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import Any

from vrsim.building import versions
from vrsim.episode_files import read_episodes
from vrsim.episodes import Episodes
from vrsim.errors import OptionError, UnknownNameError
from vrsim.loop import BATCH, Played, join, play
from vrsim.models.ledger import Ledger
from vrsim.progress import Progress, silent, within
from vrsim.protocols import TASKS
from vrsim.questions import ask, questions_of
from vrsim.records import COSTS, Cell, Question, RunFolder
from vrsim.registry import baselines, make_agent
from vrsim.seeding import derive
from vrsim.statistics import Score, evaluate
from vrsim.world import World

__all__ = ["BenchConfig", "Budget", "Row", "as_json", "plain", "run_bench"]


@dataclass(frozen=True)
class BenchConfig:
    """What to compare on what."""

    world: str = "ml-100k"
    agents: tuple[str, ...] = field(default_factory=lambda: tuple(baselines()))
    protocols: tuple[str, ...] = ("vragent-paper",)
    tasks: tuple[str, ...] = ("judgment", "selection")
    m: tuple[int, ...] = (1, 3, 4)  # wrong items of a selection; of a judgment the protocol says how many
    cohort: str = "all"
    users: int = 0  # at most this many test users, 0 = all
    seeds: int = 3  # seeds 0, 1, ... of the episodes and of the agents, at least 1
    episodes: tuple[str, ...] = ()  # files of episodes: they say what is asked, in place of all the above but the world

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
class Budget:
    """What the models of a run may cost, all its parts together; None = any."""

    dollars: float | None = None
    tokens: int | None = None  # prompts and completions


NO_LIMIT = Budget()


@dataclass(frozen=True)
class Row:
    """One line of the result: an agent on one set of questions, all seeds together."""

    agent: str
    protocol: str
    task: str
    m: int
    cohort: str
    score: Score


def run_bench(
    config: BenchConfig,
    out: Path,
    progress: Progress = silent,
    budget: Budget = NO_LIMIT,
    ray: str | None = None,
) -> list[Row]:
    """Play every cell that is not yet recorded in ``out`` and return the scores.

    Calling it again with the same arguments goes on where it stopped, also with another ``budget``. ``ray`` is the
    address of a Ray cluster to play on, "" = one of this machine, None = in this process; the records are the same,
    see vrsim.cluster.cells. Raises the errors of worlds, agents and records, and BudgetError once the budget is spent.
    """
    world = World.load(config.world)
    about = {name: make_agent(name).about() for name in config.agents}  # a misspelt name costs no minutes either
    made = _read(world, config) if config.episodes else _make(world, config)
    cells = {
        (agent, question): [(Cell(agent, *astuple(question), part.seed), part) for part in parts]
        for agent in config.agents
        for question, parts in made.items()
    }
    every = [cell for same in cells.values() for cell in same]
    done, rows = 0, []
    with RunFolder.open(out, _plain(config), _facts(world, made) | {"agents": about}) as run:
        ledger = Ledger(out / COSTS, budget.dollars, budget.tokens)
        if ray is not None:
            from vrsim.cluster.cells import play_on_ray

            play_on_ray(run, every, ledger, address=ray, progress=progress)
            progress = silent  # what was recorded there is now read
        for (agent, question), same in cells.items():
            played = []
            for cell, episodes in same:
                played.append(_play_cell(run, cell, episodes, ledger, within(progress, done, len(every), str(cell))))
                done += 1
            rows.append(Row(agent, *astuple(question), evaluate(played)))
        progress(done, done, "done")
        run.finish()
    return rows


def _make(world: World, config: BenchConfig) -> dict[Question, list[Episodes]]:
    """The questions of the protocols, one Episodes per seed."""
    made = {
        question: ask(world, question, config.users, config.seeds)
        for protocol in config.protocols
        for question in questions_of(protocol, config.tasks, config.m, config.cohort)
    }
    if not made:
        raise OptionError(f"{', '.join(config.protocols)} asks no {' and no '.join(config.tasks)}")
    return made


def _read(world: World, config: BenchConfig) -> dict[Question, list[Episodes]]:
    """The questions of the files, those of one kind together, in order of their seeds."""
    made: dict[Question, list[Episodes]] = {}
    for path in config.episodes:
        episodes = read_episodes(Path(path), world)
        if episodes.split != "test":
            raise OptionError(f"{path} asks training users, whose answers the agents learn; export the split test")
        question = Question(episodes.protocol.name, episodes.task, episodes.m, episodes.cohort)
        recipes = {
            part.protocol.hash for same in made.values() for part in same if part.protocol.name == question.protocol
        }
        if recipes - {episodes.protocol.hash}:
            raise OptionError(
                f"{path}: another file has another protocol by the name {question.protocol!r}; give it its own"
            )
        parts = made.setdefault(question, [])
        if episodes.seed in [part.seed for part in parts]:
            raise OptionError(
                f"{path}: another file has {question} with seed {episodes.seed} too; one run asks it once"
            )
        parts.append(episodes)
        parts.sort(key=lambda part: part.seed)
    return made


def _play_cell(run: RunFolder, cell: Cell, episodes: Episodes, ledger: Ledger, progress: Progress) -> Played:
    agent = make_agent(cell.agent)
    batch = 1 if agent.interactive else BATCH  # a person's answers are kept one by one
    before = run.recorded(cell, episodes, batch)
    if sum(len(part.index) for part in before) == len(episodes):
        run.keep(cell, episodes)
        return join(before)
    run.begin(cell, episodes)
    agent.account(cell.agent, ledger)
    return play(
        agent,
        episodes,
        derive(cell.seed, "agent"),
        batch=batch,
        before=before,
        write=lambda played: run.append(cell, played),
        progress=progress,
    )


def _plain(config: BenchConfig) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}


def _facts(world: World, made: dict[Question, list[Episodes]]) -> dict[str, Any]:
    return {
        "command": " ".join(sys.argv),
        "world_hash": world.hash,
        "episodes": {question.key(part.seed): part.hash for question, parts in made.items() for part in parts},
        "protocol_hashes": {question.protocol: parts[0].protocol.hash for question, parts in made.items()},
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
