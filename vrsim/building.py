"""Make a world from data, and store it whole or not at all."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import vrsim
from vrsim.data import Data, read_ranked
from vrsim.errors import OptionError, UnknownNameError, WorldError
from vrsim.progress import Progress, silent
from vrsim.recommender import BLOCK, ItemTransitions, RankedCandidates, Recommender, rank_unseen
from vrsim.world import World
from vrsim.world_files import digest, is_world, locked, read_world, staged, write_world

__all__ = [
    "RANKINGS", "TRANSITIONS", "BuildConfig", "build", "make_config", "make_world", "rank_all", "versions",
    "world_hash",
]  # fmt: skip

RANKINGS = ("candidates", "target_ranks", "blocks", "block_scores")  # what the recommender says of a world
TRANSITIONS = "transitions"  # the recommender that needs no training library


@dataclass(frozen=True)
class BuildConfig:
    """How a world is made from data."""

    recommender: str = "SASRec"  # a model of RecBole, or "transitions"
    holdout: int = 1  # last interactions of each user that the recommender never sees, from 1
    candidates: int = 100  # ranked items kept for each held-out position, from 1
    seed: int = 2020  # of the recommender's training
    options: Mapping[str, Any] = field(default_factory=dict)  # RecBole's settings for the model

    def __post_init__(self) -> None:
        for name, least in {"holdout": 1, "candidates": 1, "seed": 0}.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value < 2**32:
                raise OptionError(f"{name} must be an integer from {least}, found {value!r}")
        if not isinstance(self.recommender, str):
            raise OptionError(f"recommender must be the name of a model, found {self.recommender!r}")

    @property
    def shortest(self) -> int:
        """Smallest number of interactions of a user: something to train on, to validate on and to ask about."""
        return self.holdout + 2


def make_config(recommender: str, options: Mapping[str, Any]) -> BuildConfig:
    """A BuildConfig from loose options; those it does not know are settings of the RecBole model."""
    own = {f.name for f in fields(BuildConfig)} - {"options"}
    known = {"recommender": recommender} | {k: v for k, v in options.items() if k in own}
    rest = {k: v for k, v in options.items() if k not in own}
    if known["recommender"] == TRANSITIONS and (rest or "seed" in known):
        name = next(iter(rest), "seed")
        raise UnknownNameError("option of a world with recommender transitions", name, own - {"seed"})
    return BuildConfig(**known, options=rest)


def build(
    folder: Path,
    data: Data,
    config: BuildConfig,
    name: str | None = None,
    recommender: Recommender | Path | None = None,
    progress: Progress = silent,
    exist_ok: bool = False,
    force: bool = False,
) -> World:
    """Make a world and store it in ``folder``, whole or not at all.

    ``recommender`` replaces the trained one: an object with ``score``, or the path of a table of
    ranked candidates. If the folder exists, ``exist_ok`` takes it as it is, ``force`` replaces it, and
    otherwise WorldError is raised. Raises DataError, OptionError, DependencyError.
    """
    folder = Path(folder)
    with locked(folder):
        if folder.exists() and exist_ok:
            return read_world(folder)
        if folder.exists() and not force:
            raise WorldError(f"{folder} exists already. Choose another folder, or replace it with --force")
        if folder.exists() and not is_world(folder):
            raise WorldError(f"{folder} holds something else than a world and will not be replaced")
        world, used = make_world(name or folder.name, data, config, recommender, progress)
        with staged(folder) as private:
            if world.manifest["recommender"]["kind"] == "recbole":
                used.save(private / "recommender")
            progress(1, 1, "writing")
            write_world(world, private)
    return read_world(folder)


def make_world(
    name: str,
    data: Data,
    config: BuildConfig,
    recommender: Recommender | Path | None = None,
    progress: Progress = silent,
) -> tuple[World, Recommender]:
    """A world in memory and the recommender behind it; see ``build``."""
    interactions, n_items = data.interactions, data.catalog.n_items
    shortest = int(interactions.lengths.min())
    if shortest < config.shortest:
        raise OptionError(
            f"holdout {config.holdout} needs users with {config.shortest} interactions, one has {shortest}"
        )
    about: dict[str, Any] = {}
    listed = None  # the candidates that a table gives
    if recommender is not None:
        config = replace(config, recommender="own", options={})
    if isinstance(recommender, Path | str):
        listed, dropped = read_ranked(Path(recommender), data, config.holdout)
        about = {"kind": "candidates", "skipped": dropped}
        recommender = RankedCandidates(listed, n_items)
    elif recommender is not None:
        about = {"kind": "candidates", "class": type(recommender).__name__}
    elif config.recommender == TRANSITIONS:
        about = {"kind": TRANSITIONS}
        recommender = ItemTransitions(interactions, n_items, config.holdout)
    else:
        from vrsim.recommender.recbole_models import RecBoleRecommender
        from vrsim.recommender.recbole_settings import RecBoleConfig, resolved_options

        recbole = RecBoleConfig(config.recommender, config.options, config.seed)
        recommender = RecBoleRecommender.train(recbole, interactions, data.catalog, config.holdout, progress)
        about = {"kind": "recbole", "settings": resolved_options(recbole), **recommender.report}

    none = np.empty((0, 0), np.int32)
    unranked = dict.fromkeys(RANKINGS, none)
    world = World(name, interactions, data.catalog, data.users, **unranked, manifest={"config": asdict(config)})
    rankings = rank_all(recommender, world, config.candidates, progress) if listed is None else _placed(listed, world)
    manifest = {
        "config": asdict(config),
        "data": dict(data.origin),
        "counts": {"users": world.n_users, "items": n_items, "interactions": len(interactions)},
        "skipped": dict(data.skipped),
        "recommender": about,
        "versions": versions(),
        "hash": world_hash(data, config.holdout, rankings),
    }
    names = ("offsets", "items", "times", "ratings", "unordered")
    frozen = replace(interactions, **{name: _frozen(getattr(interactions, name)) for name in names})
    rankings = {name: _frozen(array) for name, array in rankings.items()}
    world = replace(world, interactions=frozen, manifest=manifest, **rankings)
    return world, recommender


def _frozen(array: np.ndarray | None) -> np.ndarray | None:
    """A view that nobody can write through: everything that uses the world shares it."""
    if array is None:
        return None
    view = array.view()
    view.setflags(write=False)
    return view


def rank_all(recommender: Recommender, world: World, depth: int, progress: Progress) -> dict[str, np.ndarray]:
    """The RANKINGS of a world: what ``rank_unseen`` says of every held-out position."""
    users, t = world.held_out
    batch = max(1, 4_000_000 // (world.n_items + 1))  # 16 MB of scores at a time
    parts = []
    for start in range(0, len(users), batch):
        part = slice(start, start + batch)
        parts.append(rank_unseen(recommender, world.interactions, world.n_items, users[part], t[part], depth))
        progress(min(start + batch, len(users)), len(users), "ranking the candidates of every held-out position")
    return dict(zip(RANKINGS, map(np.concatenate, zip(*parts, strict=True)), strict=True))


def _placed(candidates: np.ndarray, world: World) -> dict[str, np.ndarray]:
    """The RANKINGS of a world whose candidates are all that is known: the score is minus the place."""
    found = candidates == world.targets[:, None]
    ranks = np.where(found.any(axis=1), found.argmax(axis=1) + 1, 0).astype(np.int32)
    places = (ranks[:, None] - 1) // BLOCK * BLOCK + np.arange(BLOCK)
    there = (ranks[:, None] > 0) & (places < candidates.shape[1])
    blocks = np.where(there, np.take_along_axis(candidates, np.where(there, places, 0), axis=1), 0)
    scores = np.where(blocks > 0, -places, 0).astype(np.float32)
    return dict(zip(RANKINGS, (candidates, ranks, blocks, scores), strict=True))


def world_hash(data: Data, holdout: int, rankings: Mapping[str, np.ndarray]) -> str:
    """See World.hash; ``rankings`` are the RANKINGS of a world."""
    optional = {name: getattr(data.interactions, name) for name in ("ratings", "unordered")}
    columns: dict[str, Any] = {
        "offsets": data.interactions.offsets,
        "items": data.interactions.items,
        "catalog": data.catalog.table,
        "users": data.users,
        "holdout": np.array([holdout]),
        **rankings,
        **{name: column for name, column in optional.items() if column is not None},
    }
    return digest(columns)


def versions() -> dict[str, str]:
    """Versions of vrsim and of the libraries that can change a number."""
    names = (
        "vrsim",
        "numpy",
        "scipy",
        "scikit-learn",
        "gymnasium",
        "pyarrow",
        "torch",
        "recbole",
        "transformers",
        "openai",
    )
    found = {}
    for name in names:
        try:
            found[name] = vrsim.__version__ if name == "vrsim" else metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
