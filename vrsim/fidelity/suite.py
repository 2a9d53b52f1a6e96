"""Fidelity: which simulated user may be trusted to choose between recommenders?"""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from vrsim.bench import Budget, plain
from vrsim.building import versions
from vrsim.episodes import split_users
from vrsim.errors import EpisodeError, OptionError
from vrsim.fidelity.ladder import MODELS, check_shown, make_ladder
from vrsim.fidelity.numbers import RULE, Alike, Trust, alike_agents, trust
from vrsim.fidelity.order import Rung
from vrsim.fidelity.questions import ANSWER, FidelityQuestions, ask_all
from vrsim.models.ledger import Ledger
from vrsim.progress import Progress, silent, within
from vrsim.protocols import get_protocol
from vrsim.ranking_folder import RankingFolder
from vrsim.records import COSTS
from vrsim.registry import make_agent, shortcuts
from vrsim.seeding import generator
from vrsim.simulated_user import SimulatedUser
from vrsim.world import World

__all__ = ["BESIDE", "RESULT", "Fidelity", "FidelityConfig", "fidelity_json", "run_fidelity"]

BESIDE = ("recommender", "popularity")  # shortcuts that are asked whoever else is
RESULT = "fidelity.json"


@dataclass(frozen=True)
class FidelityConfig:
    """Whom to ask, about whom, and which recommenders they are to order."""

    agents: tuple[str, ...]  # simulated users by name; BESIDE are asked too
    world: str = "ml-100k"
    protocol: str = "uniform"  # what the agents learn from; its test users are asked
    users: int = 0  # at most this many of them, drawn at random, 0 = all
    seeds: int = 3  # seeds 0, 1, ... of the agents; the slates are always the same
    shown: int = 10  # items of a slate
    models: tuple[str, ...] = MODELS  # recommenders of RecBole on the ladder, beside the world's own
    options: Mapping[str, Any] = field(default_factory=dict)  # their settings, see vrsim.recommender_options

    def __post_init__(self) -> None:
        for name, least in {"seeds": 1, "users": 0}.items():
            if type(getattr(self, name)) is not int or getattr(self, name) < least:
                raise OptionError(f"{name} must be an integer from {least}, found {getattr(self, name)!r}")
        check_shown(self.shown)
        for name in ("agents", "models"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise OptionError(f"{name} must name none twice, found {', '.join(values)}")
        get_protocol(self.protocol)


@dataclass(frozen=True)
class Fidelity:
    """The result: the ladder, and one row for each simulated user."""

    world: str
    protocol: str
    users: int
    seeds: int
    shown: int
    questions: int  # that each simulated user answers with each seed
    rungs: list[Rung]
    left_out: dict[str, str]  # recommenders, and why
    rows: list[Trust]  # the highest tau first
    shortcut: str | None  # the one with the highest tau; None = no shortcut orders anything
    alike: list[Alike]  # every two simulated users
    rule: tuple[str, ...] = RULE


def run_fidelity(
    config: FidelityConfig, out: Path, progress: Progress = silent, budget: Budget | None = None
) -> Fidelity:
    """Make the ladder, ask every simulated user with every seed, compare, and write ``out/fidelity.json``.

    The same call goes on where it stopped, also with more seeds, other agents or another ``budget``: answers are kept
    in ``out``, trained recommenders in the cache folder. Raises what worlds, agents, training and records raise.
    """
    agents = tuple(dict.fromkeys([*config.agents, *BESIDE]))
    about = {name: _about(name) for name in agents}  # a misspelt name should not cost the hours before its turn
    world = World.load(config.world)
    protocol, users = get_protocol(config.protocol), _users(world, config)
    parts = 1 + len(agents) * config.seeds
    ladder = make_ladder(
        world, users, config.shown, config.models, config.options, within(progress, 0, parts, "ladder")
    )
    questions = FidelityQuestions.of(world, ladder)
    folder = RankingFolder(out, _asked(config, world), RESULT, (COSTS,))
    limits = budget or Budget()
    ledger = Ledger(out / COSTS, limits.dollars, limits.tokens)
    answers: dict[str, list[np.ndarray]] = {name: [] for name in agents}
    for done, (name, seed) in enumerate(product(agents, range(config.seeds)), 1):
        user = SimulatedUser(name, world, config.protocol, seed=seed, ledger=ledger)
        ask = partial(ask_all, user, questions, within(progress, done, parts, f"{name}, seed {seed}"))
        settings = [world.hash, protocol.hash, questions.hash, name, about[name], seed]
        answers[name].append(folder.column(name, seed, settings, ANSWER, len(questions), ask))
    progress(parts, parts, "comparing")
    rungs, rows, best = trust(questions, answers, shortcuts())
    result = Fidelity(
        world=config.world,
        protocol=config.protocol,
        users=len(users),
        seeds=config.seeds,
        shown=config.shown,
        questions=len(questions),
        rungs=rungs,
        left_out=ladder.left_out,
        rows=rows,
        shortcut=best,
        alike=alike_agents(answers),
    )
    folder.finish({"command": " ".join(sys.argv), "versions": versions(), **fidelity_json(result)})
    return result


def fidelity_json(result: Fidelity) -> dict[str, Any]:
    """The result as plain data; what is not defined is null."""
    return plain(asdict(result))


def _about(name: str) -> dict[str, Any]:
    """What an agent says of itself. Raises UnknownNameError, OptionError."""
    agent = make_agent(name)
    if agent.interactive:
        raise OptionError(f"{name} asks a person, who cannot answer thousands of questions; leave it out")
    return agent.about()


def _users(world: World, config: FidelityConfig) -> np.ndarray:
    """Who is asked, int64, ascending: a smaller number is a part of a larger one."""
    users = split_users(world, get_protocol(config.protocol), "test")
    if config.users:
        users = np.sort(generator(0, "fidelity", "users").permutation(users)[: config.users])
    if len(users) < 2:
        raise EpisodeError(
            f"fidelity needs at least 2 test users of {config.protocol!r} in world {world.name!r}, found {len(users)}"
        )
    return users


def _asked(config: FidelityConfig, world: World) -> dict[str, Any]:
    """Everything that the numbers depend on; agents and seeds may be added later."""
    return {
        "suite": "fidelity",
        "world": config.world,
        "world_hash": world.hash,
        "protocol": config.protocol,
        "protocol_hash": get_protocol(config.protocol).hash,
        "users": config.users,
        "shown": config.shown,
        "models": list(config.models),
        "options": dict(config.options),
    }
