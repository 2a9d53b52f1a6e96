"""The suite augment: simulated users judge what a recommender shows, and it is trained again with what they said."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vrsim.augmentation.asking import (
    VARIANTS,
    Answers,
    additions,
    asked_users,
    read_answers,
    read_cohort,
    shown_items,
)
from vrsim.augmentation.retraining import Retraining, check_retrainable, retrain
from vrsim.augmentation.rows import BASE, Answered, AugmentedRow, answered, augmented_rows
from vrsim.bench import Budget, plain
from vrsim.errors import OptionError, UnknownNameError
from vrsim.last_items import last_ranks
from vrsim.models.ledger import Ledger
from vrsim.naming import check_options
from vrsim.progress import Progress, silent, within
from vrsim.protocols import get_protocol
from vrsim.ranking_folder import RankingFolder
from vrsim.recommender.additions import Additions
from vrsim.records import COSTS
from vrsim.registry import make_agent
from vrsim.simulated_user import SimulatedUser
from vrsim.world import World

__all__ = ["AugmentConfig", "Augmentation", "augmentation_json", "run_augmentation"]

RESULT = "augmentation.json"
BEFORE = "before"  # the row of the world's recommender as it is
BLOCK = 500  # users whose answers are kept together


@dataclass(frozen=True)
class AugmentConfig:
    """Whom to ask about what, and how the recommender is trained again."""

    world: str = "ml-100k"
    agent: str = "learned"  # the user agent: any name of the registry
    users: str = "cold:8000"  # who is asked, see vrsim.augmentation.asking.read_cohort
    protocol: str = "uniform"  # what the agent learns from, and who is a test user
    shown: int = 10  # items of the recommender for each user
    likes: int = 0  # how many of them are likes, see asking.read_answers; 0 = those that it says Yes to
    options: Mapping[str, Any] = field(default_factory=dict)  # fields of vrsim.augmentation.retraining.Retraining
    rows: tuple[str, ...] = ()  # of VARIANTS, these alone beside "nothing added"; () = all
    seeds: int = 3  # seeds 0, 1, ... of the training, and of what is drawn

    def __post_init__(self) -> None:
        for name, least in {"shown": 1, "seeds": 1, "likes": 0}.items():
            if type(getattr(self, name)) is not int or getattr(self, name) < least:
                raise OptionError(f"{name} must be an integer from {least}, found {getattr(self, name)!r}")
        if self.likes > self.shown:
            raise OptionError(f"{self.likes} of {self.shown} items shown cannot be likes")
        for name in self.rows:
            if name not in VARIANTS:
                raise UnknownNameError("row of augment", name, VARIANTS)
        read_cohort(self.users)
        check_options("the training", Retraining, self.options)
        Retraining(**self.options)

    @property
    def variants(self) -> list[str]:
        """The rows that are trained, in order."""
        return [name for name in VARIANTS if not self.rows or name in (BASE, *self.rows)]


@dataclass(frozen=True)
class Augmentation:
    """The result of the suite."""

    world: str
    agent: str
    protocol: str
    cohort: str
    seeds: int
    users: int  # of the world
    asked: int
    answers: Answered
    rows: list[AugmentedRow]
    notes: list[str]


def run_augmentation(
    config: AugmentConfig,
    out: Path,
    progress: Progress = silent,
    budget: Budget | None = None,
    ray: str | None = None,
) -> Augmentation:
    """Ask, train every row with every seed, rank, compare, and write ``out/augmentation.json``.

    The same call goes on where it stopped, also with more seeds, other rows or a larger ``budget``: answers and ranks
    are kept in ``out``, trained models in the cache folder. ``ray`` is the address of a Ray cluster to train on, "" =
    one of this machine, None = in this process; the numbers are the same. Raises what worlds, agents, models and
    training raise.
    """
    make_agent(config.agent)  # a misspelt name is found before a world is built
    world, protocol, limits = World.load(config.world), get_protocol(config.protocol), budget or Budget()
    check_retrainable(world)
    asked = asked_users(world, protocol, config.users)
    shown = shown_items(world, asked, config.shown)
    ledger = Ledger(Path(out) / COSTS, limits.dollars, limits.tokens)
    folder = RankingFolder(out, _asked(config, world), RESULT, (COSTS,))
    user = SimulatedUser(config.agent, world, config.protocol, ledger=ledger)
    trainings = [(name, seed) for name in config.variants for seed in range(config.seeds)]
    parts = 1 + len(trainings)
    answers = _ask(folder, user, asked, shown, config.likes, within(progress, 0, parts, config.agent))
    everyone = np.arange(world.n_users)
    before = folder.ranks(BEFORE, 0, [], world.n_users, lambda: last_ranks(world.recommender, world, everyone))
    added: dict[str, list[Additions]] = {name: [] for name in config.variants}
    ranks: dict[str, list[np.ndarray]] = {BEFORE: [before]} | {name: [] for name in config.variants}
    training = Retraining(**config.options)
    everything = {(name, seed): additions(world, answers, name, seed) for name, seed in trainings}
    if ray is not None:
        _train_on_ray(folder, world, everything, training, ray, within(progress, 1, parts, "training"))
    for done, ((name, seed), more) in enumerate(everything.items(), 1):
        part = within(progress, done, parts, f"{name}, seed {seed}")
        added[name].append(more)
        make = partial(_ranks, world, more, training, seed, part)
        ranks[name].append(folder.ranks(name, seed, [more.hash], world.n_users, make))
    progress(parts, parts, "comparing")
    rows = augmented_rows(world, asked, added, ranks)
    told = answered(world, answers)
    notes = [told.note] if told.note else []
    if len(asked) < (wanted := read_cohort(config.users)[1]):
        notes.append(f"{wanted:,} users were to be asked; {config.protocol} has {len(asked):,} test users here")
    about = config.world, config.agent, config.protocol, config.users, config.seeds, world.n_users, len(asked)
    result = Augmentation(*about, told, rows, notes)
    folder.finish(augmentation_json(result))
    return result


def augmentation_json(result: Augmentation) -> dict[str, Any]:
    """The result as plain data; what is not defined is null."""
    return plain({"suite": "augment", **asdict(result)})


def _asked(config: AugmentConfig, world: World) -> dict[str, Any]:
    """Everything that the numbers depend on; seeds and rows may be added later."""
    own = {name: getattr(config, name) for name in ("world", "agent", "users", "protocol", "shown", "likes")}
    about = {"world_hash": world.hash, "about": make_agent(config.agent).about(), "options": dict(config.options)}
    return {"suite": "augment", **own, **about}


def _ask(
    folder: RankingFolder, user: SimulatedUser, users: np.ndarray, shown: np.ndarray, likes: int, progress: Progress
) -> Answers:
    """What the users say of the items shown, block by block."""
    positions = np.stack([users, user.world.interactions.lengths[users] - 1], axis=1)
    said = []
    for start in range(0, len(users), BLOCK):
        progress(start, len(users), "asking")
        part = slice(start, start + BLOCK)

        def ask(part: slice = part) -> np.ndarray:
            judged = user.judge(positions[part], user.histories(positions[part]), shown[part], seed=part.start)
            return read_answers(judged, likes).ravel()

        found = folder.column(f"answers {start}", 0, [], np.dtype("i1"), shown[part].size, ask)
        said.append(found.reshape(-1, shown.shape[1]))
    return Answers(users, shown, np.concatenate(said))


def _ranks(world: World, added: Additions, config: Retraining, seed: int, progress: Progress = silent) -> np.ndarray:
    """The ranks of all users' last items by the recommender that was trained again, int32 (users,)."""
    trained = retrain(world, added, config, seed, progress)
    progress(1, 1, "ranking")
    return last_ranks(trained, world, np.arange(world.n_users))


def _train_on_ray(
    folder: RankingFolder,
    world: World,
    everything: Mapping[tuple[str, int], Additions],
    config: Retraining,
    address: str,
    progress: Progress,
) -> None:
    """Make and keep the ranks that are missing."""
    from vrsim.cluster.tasks import run_on_ray

    missing = {key: more for key, more in everything.items() if not folder.has(*key, [more.hash])}
    pieces = {(name, seed): (more, config, seed) for (name, seed), more in missing.items()}
    for done, ((name, seed), ranks) in enumerate(run_on_ray(_ranks, pieces, world, address=address), 1):
        folder.ranks(name, seed, [missing[name, seed].hash], world.n_users, lambda ranks=ranks: ranks)
        progress(done, len(pieces), f"{name}, seed {seed}")
