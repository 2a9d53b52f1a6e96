"""The benchmark of recommender agents: every policy in sessions with the same simulated users, into one folder."""

import json
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
from vrsim.models.ledger import Ledger, Usage
from vrsim.progress import Progress, silent, within
from vrsim.ranking_folder import RankingFolder
from vrsim.records import COSTS
from vrsim.registry import make_agent, make_policy, policies
from vrsim.seeding import derive
from vrsim.session.config import make_session
from vrsim.session.files import read_sessions, write_sessions
from vrsim.session.loop import SessionLog, play_sessions
from vrsim.session.metrics import SessionScore, score_sessions, user_columns
from vrsim.session.policy import SessionSetting
from vrsim.simulated_user import SimulatedUser
from vrsim.world import World

__all__ = [
    "REFERENCE", "SessionBench", "SessionBenchConfig", "SessionRow", "run_session_bench", "session_json",
]  # fmt: skip

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
    config: SessionBenchConfig,
    out: Path,
    progress: Progress = silent,
    budget: Budget = NO_LIMIT,
    ray: str | None = None,
) -> SessionBench:
    """Play every policy with every seed, and write sessions/*.parquet and result.json to ``out``.

    The same call goes on where it stopped, policy by policy and seed by seed; what a language model answered before is
    in its store. ``ray`` is the address of a Ray cluster to play on, "" = one of this machine, None = in this process;
    the files are the same; what a policy with one seed cost is booked when it is done. Raises the errors of worlds,
    agents, policies and records, and BudgetError once the budget is spent.
    """
    world = World.load(config.world)
    about = {"world_hash": world.hash, "about": make_agent(config.user).about(), "vrsim": versions()["vrsim"]}
    asked = plain({**asdict(config), **about})
    asked.pop("policies")  # others may be added
    folder = RankingFolder(out, asked, RESULT, (SESSIONS, COSTS))
    ledger = Ledger(out / COSTS, budget.dollars, budget.tokens)
    cells = {(name, seed): _file(folder, name, seed) for name in config.policies for seed in range(config.seeds)}
    missing = [cell for cell, file in cells.items() if not file.exists()]
    total = len(cells)
    if ray is not None and missing:
        from vrsim.cluster.tasks import run_on_ray

        pieces = {cell: (config, *cell, ledger.limit, ledger.token_limit) for cell in missing}
        for done, (cell, (log, usage)) in enumerate(run_on_ray(_elsewhere, pieces, world, address=ray), 1):
            for (name, model), used in usage.items():
                ledger.add(name, model, used)
            write_sessions(log, cells[cell], str(cell))
            progress(total - len(missing) + done, total, f"{cell[0]}, seed {cell[1]}")
            ledger.check()
        missing = []
    for done, cell in enumerate(missing, total - len(missing)):
        ledger.check()
        part = within(progress, done, total, f"{cell[0]}, seed {cell[1]}")
        write_sessions(_play(world, config, *cell, ledger, part), cells[cell], str(cell))
    logs = {
        name: [read_sessions(cells[name, seed], str((name, seed))) for seed in range(config.seeds)]
        for name in config.policies
    }
    progress(total, total, "done")
    result = SessionBench(config, _rows(world, logs))
    folder.finish(session_json(result))
    return result


def session_json(result: SessionBench) -> dict[str, Any]:
    """The result as plain data; what is not defined is null."""
    return plain(asdict(result))


def _play(
    world: World, config: SessionBenchConfig, name: str, seed: int, ledger: Ledger, progress: Progress = silent
) -> SessionLog:
    """The sessions of one policy with one seed; the policy learns first."""
    user = SimulatedUser(config.user, world, config.protocol, seed=seed, ledger=ledger)
    setting = SessionSetting(user, make_session(dict(config.options)), config.turns, seed)
    policy = make_policy(name)
    policy.account(name, ledger)
    return play_sessions(policy, setting, config.users, derive(seed, "policy", name), progress=progress)


def _elsewhere(
    world: World, config: SessionBenchConfig, name: str, seed: int, dollars: float | None, tokens: int | None
) -> tuple[SessionLog, Mapping[tuple[str, str], Usage]]:
    """The same on a worker, and what it cost."""
    ledger = Ledger(None, dollars, tokens)
    return _play(world, config, name, seed, ledger), ledger.usage


def _file(folder: RankingFolder, name: str, seed: int) -> Path:
    slug = re.sub(r"[^A-Za-z0-9=,.-]+", "-", name)[:80]
    policy = json.dumps([name, plain(make_policy(name).about())], sort_keys=True)
    return folder.path / SESSIONS / f"{slug}.seed{seed}.{sha256(policy.encode()).hexdigest()[:8]}.parquet"


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
