"""The benchmark of recommender agents: every policy in sessions with the same simulated users, into one folder."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from vrsim.audit import Lift
from vrsim.bench import NO_LIMIT, Budget, plain
from vrsim.building import versions
from vrsim.comparisons import compare_users, holm
from vrsim.errors import OptionError
from vrsim.models.ledger import Ledger
from vrsim.progress import Progress, silent
from vrsim.ranking_folder import RankingFolder
from vrsim.records import COSTS
from vrsim.registry import make_agent, make_policy, policies
from vrsim.seeding import derive
from vrsim.session.config import make_session
from vrsim.session.policy import SessionSetting
from vrsim.session_files import read_sessions, write_sessions
from vrsim.session_loop import SessionLog, play_sessions
from vrsim.session_metrics import SessionScore, score_sessions, user_columns
from vrsim.simulated_user import SimulatedUser
from vrsim.world import World

__all__ = ["REFERENCE", "SessionBench", "SessionBenchConfig", "SessionRow", "run_session_bench", "session_json"]

REFERENCE = "greedy"  # the policy that all others are compared with, if it is there
RESULT, SESSIONS = "result.json", "sessions"


@dataclass(frozen=True)
class SessionBenchConfig:
    """Which policies, with whom, for how long."""

    world: str = "ml-100k"
    policies: tuple[str, ...] = field(default_factory=lambda: tuple(policies()))
    user: str = "content"  # the user agent
    protocol: str = "uniform"  # whose training users it learns from, and whose test users it plays
    turns: int = 20  # after which a session is truncated
    options: Mapping[str, Any] = field(default_factory=dict)  # of vrsim.session.config.make_session
    users: int = 0  # at most this many test users, 0 = all
    seeds: int = 3  # seeds 0, 1, ... of the policies and of the sessions

    def __post_init__(self) -> None:
        for name, least in (("seeds", 1), ("users", 0)):
            if type(getattr(self, name)) is not int or getattr(self, name) < least:
                raise OptionError(f"{name} must be an integer from {least}, found {getattr(self, name)!r}")
        if not self.policies or len(set(self.policies)) < len(self.policies):
            raise OptionError(f"name at least one policy and none twice, found {', '.join(self.policies)}")
        make_session(dict(self.options))
        make_agent(self.user)
        for name in self.policies:
            make_policy(name)


@dataclass(frozen=True)
class SessionRow:
    """One policy, all seeds together."""

    policy: str
    score: SessionScore
    over: Lift | None  # its return minus that of the reference, per user


@dataclass(frozen=True)
class SessionBench:
    """The result."""

    config: SessionBenchConfig
    rows: list[SessionRow]


def run_session_bench(
    config: SessionBenchConfig, out: Path, progress: Progress = silent, budget: Budget = NO_LIMIT
) -> SessionBench:
    """Play every policy with every seed, and write sessions/*.parquet and result.json to ``out``.

    The same call goes on where it stopped, policy by policy and seed by seed; what a language model answered before is
    in its store. Raises the errors of worlds, agents, policies and records, and BudgetError once the budget is spent.
    """
    world = World.load(config.world)
    asked = plain({**asdict(config), "world_hash": world.hash, "vrsim": versions()["vrsim"]})
    asked.pop("policies")  # others may be added
    folder = RankingFolder(out, asked, RESULT, (SESSIONS, COSTS))
    ledger = Ledger(out / COSTS, budget.dollars, budget.tokens)
    users = [
        SimulatedUser(config.user, world, config.protocol, seed=seed, ledger=ledger) for seed in range(config.seeds)
    ]
    logs: dict[str, list[SessionLog]] = {}
    total = len(config.policies) * config.seeds
    for name in config.policies:
        logs[name] = []
        for seed, user in enumerate(users):
            setting = SessionSetting(user, make_session(dict(config.options)), config.turns, seed)
            done = len(logs) * config.seeds - config.seeds + seed
            within = _within(progress, done, total, f"{name}, seed {seed}")
            logs[name].append(_cell(folder, name, setting, config.users, within))
    progress(total, total, "done")
    result = SessionBench(config, _rows(world, logs))
    folder.finish(session_json(result))
    return result


def session_json(result: SessionBench) -> dict[str, Any]:
    """The result as plain data; what is not defined is null."""
    return plain(asdict(result))


def _cell(folder: RankingFolder, name: str, setting: SessionSetting, users: int, progress: Progress) -> SessionLog:
    slug = re.sub(r"[^A-Za-z0-9=,.-]+", "-", name)[:80]
    file = folder.path / SESSIONS / f"{slug}.seed{setting.seed}.{sha256(name.encode()).hexdigest()[:8]}.parquet"
    if not file.exists():
        policy = make_policy(name)
        log = play_sessions(policy, setting, users, derive(setting.seed, "policy", name), progress=progress)
        write_sessions(log, file)
    return read_sessions(file)


def _rows(world: World, logs: Mapping[str, list[SessionLog]]) -> list[SessionRow]:
    scores = {name: score_sessions(world, runs) for name, runs in logs.items()}
    returns = {name: user_columns(world, runs)["return"] for name, runs in logs.items()}
    over: dict[str, Lift] = {}
    if REFERENCE in returns:
        others = [name for name in returns if name != REFERENCE]
        found = [compare_users("return", returns[name], returns[REFERENCE]) for name in others]
        corrected = holm([difference.p for difference in found])
        over = {name: Lift(*pair) for name, *pair in zip(others, found, corrected, strict=True)}
    rows = [SessionRow(name, score, over.get(name)) for name, score in scores.items()]
    return sorted(rows, key=lambda row: -np.nan_to_num(row.score.metrics["return"].value))


def _within(progress: Progress, done: int, total: int, what: str) -> Progress:
    return lambda part, whole, text: progress(done + part / max(1, whole), total, what)
