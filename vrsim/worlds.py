"""Find, build and store worlds: the built-in ones by name, your own from tables."""

import hashlib
import importlib.util
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs

from vrsim.data import Data, read_data, read_ranked
from vrsim.errors import OptionError, UnknownNameError, WorldError
from vrsim.naming import parse_name, write_name
from vrsim.progress import Progress, progress_bar, silent
from vrsim.recommender import ItemTransitions, RankedCandidates, Recommender, rank_unseen
from vrsim.tiny import tiny_data
from vrsim.world import World
from vrsim.world_files import MANIFEST, digest, locked, read_world, staged, write_world

if TYPE_CHECKING:
    from vrsim.recommender.recbole_models import RecBoleRecommender

__all__ = [
    "BUILT_IN",
    "BuildConfig",
    "build",
    "build_named",
    "home",
    "listing",
    "load",
    "load_recommender",
    "make_config",
    "make_world",
    "train_recommender",
    "versions",
]

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
            if type(value) is not int or value < least:
                raise OptionError(f"{name} must be an integer from {least}, found {value!r}")

    @property
    def shortest(self) -> int:
        """Smallest number of interactions of a user: something to train on, to validate on and to ask about."""
        return self.holdout + 2


def _ml_100k(config: BuildConfig) -> Data:
    """MovieLens-100K (GroupLens; Harper and Konstan, ACM TiiS 2015), from the files inside RecBole."""
    from vrsim.recommender.recbole_setup import require_recbole

    require_recbole()
    folder = Path(importlib.util.find_spec("recbole").origin).parent / "dataset_example" / "ml-100k"
    return read_data(folder / "ml-100k.inter", folder / "ml-100k.item", config.shortest)


BUILT_IN = {
    "tiny": (lambda config: tiny_data(), "200 made-up users and 160 made-up films, for tests and documentation"),
    "ml-100k": (_ml_100k, "MovieLens-100K: 943 users, 1,682 films, 100,000 ratings (GroupLens)"),
}


def home() -> Path:
    """Where built worlds and trained recommenders are kept: VRSIM_HOME, else the user's cache folder."""
    return Path(os.environ.get("VRSIM_HOME") or platformdirs.user_cache_path("vrsim"))


def load(name: str | Path) -> World:
    """See World.load."""
    built_in = isinstance(name, str) and name.partition(":")[0] in BUILT_IN
    if not built_in and (isinstance(name, Path) or Path(name).is_dir() or os.sep in name.partition(":")[0]):
        folder = Path(name)
        if not folder.is_dir():
            raise WorldError(f"no world folder at {folder}")
        return read_world(folder)
    source, config = _parse(name)
    if source == "tiny":
        return _tiny(name)
    folder = _folder(source, config)
    if not folder.exists():
        return build_named(name, exist_ok=True)
    return read_world(folder)


def build_named(name: str, force: bool = False, exist_ok: bool = False) -> World:
    """Build a built-in world into the cache folder, with a progress bar."""
    source, config = _parse(name)
    if source == "tiny":
        return _tiny(name)
    full, folder = _canonical(source, config), _folder(source, config)
    with progress_bar(f"building world {full}") as progress:
        data = BUILT_IN[source][0](config)
        return build(folder, data, config, full, progress=progress, exist_ok=exist_ok, force=force)


def listing() -> list[dict[str, str]]:
    """Every built-in world and every world in the cache folder: name, state, about."""
    rows = []
    stored = {folder.name.replace("--", ":") for folder in (home() / "worlds").glob("[!.]*") if folder.is_dir()}
    for name in sorted({*BUILT_IN, *stored}):
        source = name.partition(":")[0]
        state = "in memory" if source == "tiny" else "built" if name in stored else "built on first use"
        rows.append({"name": name, "state": state, "about": BUILT_IN[source][1] if source in BUILT_IN else ""})
    return rows


def _folder(source: str, config: BuildConfig) -> Path:
    return home() / "worlds" / _canonical(source, config).replace(":", "--")


def _parse(name: str) -> tuple[str, BuildConfig]:
    source, options = parse_name(name)
    if source not in BUILT_IN:
        raise UnknownNameError("world", source, BUILT_IN)
    return source, make_config(TRANSITIONS if source == "tiny" else "SASRec", options)


def make_config(recommender: str, options: Mapping[str, Any]) -> BuildConfig:
    """A BuildConfig from loose options; those it does not know are settings of the RecBole model."""
    own = {f.name for f in fields(BuildConfig)} - {"options"}
    known = {"recommender": recommender} | {k: v for k, v in options.items() if k in own}
    rest = {k: v for k, v in options.items() if k not in own}
    if rest and known["recommender"] == TRANSITIONS:
        raise UnknownNameError("option of a world with recommender transitions", next(iter(rest)), own)
    return BuildConfig(**known, options=rest)


def _canonical(source: str, config: BuildConfig) -> str:
    """The name with exactly the options that differ from the defaults, in alphabetical order."""
    changed = {f.name: getattr(config, f.name) for f in fields(config) if f.name != "options"}
    default = asdict(replace(BuildConfig(), recommender=TRANSITIONS if source == "tiny" else "SASRec"))
    return write_name(source, {k: v for k, v in changed.items() if v != default[k]} | dict(config.options))


@lru_cache(maxsize=16)
def _tiny(name: str) -> World:
    source, config = _parse(name)
    return make_world(_canonical(source, config), BUILT_IN[source][0](config), config)[0]


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
        if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).exists():
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
    if shortest < config.holdout + 1:
        raise OptionError(
            f"holdout {config.holdout} needs users with {config.holdout + 1} interactions, one has {shortest}"
        )
    about: dict[str, Any] = {}
    candidates = None
    if isinstance(recommender, Path | str):
        candidates, dropped = read_ranked(Path(recommender), data, config.holdout)
        about = {"kind": "candidates", "already_seen": dropped}
        recommender = RankedCandidates(candidates, n_items)
    elif recommender is not None:
        about = {"kind": "candidates", "class": type(recommender).__name__}
    elif config.recommender == TRANSITIONS:
        about = {"kind": TRANSITIONS}
        recommender = ItemTransitions(interactions, n_items, config.holdout)
    else:
        from vrsim.recommender.recbole_models import RecBoleConfig, RecBoleRecommender

        recbole = RecBoleConfig(config.recommender, config.options, config.seed)
        recommender = RecBoleRecommender.train(recbole, interactions, data.catalog, config.holdout, progress)
        about = {"kind": "recbole", **recommender.report}

    world = World(
        name, interactions, data.catalog, data.users, np.empty((0, 0)), np.empty(0), {"config": asdict(config)}
    )
    if candidates is None:
        candidates, ranks = _rank_all(recommender, world, config.candidates, progress)
    else:
        targets = interactions.items[interactions.offsets[1:] - 1]
        listed = candidates == targets[:, None]
        ranks = np.where(listed.any(axis=1), listed.argmax(axis=1) + 1, 0).astype(np.int32)
    manifest = {
        "config": asdict(config),
        "counts": {"users": world.n_users, "items": n_items, "interactions": len(interactions)},
        "skipped": dict(data.skipped),
        "recommender": about,
        "versions": versions(),
        "hash": _hash(data, candidates, config),
    }
    for array in (interactions.offsets, interactions.items, candidates, ranks):
        array.setflags(write=False)  # shared by everything that uses the world
    return replace(world, candidates=candidates, target_ranks=ranks, manifest=manifest), recommender


def _rank_all(recommender: Recommender, world: World, depth: int, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    users, t = world.held_out
    batch = max(1, 4_000_000 // (world.n_items + 1))  # 16 MB of scores at a time
    parts = []
    for start in range(0, len(users), batch):
        part = slice(start, start + batch)
        parts.append(rank_unseen(recommender, world.interactions, world.n_items, users[part], t[part], depth))
        progress(min(start + batch, len(users)), len(users), "ranking the candidates of every held-out position")
    return np.concatenate([c for c, _ in parts]), np.concatenate([r for _, r in parts])


def _hash(data: Data, candidates: np.ndarray, config: BuildConfig) -> str:
    columns: dict[str, Any] = {
        "offsets": data.interactions.offsets,
        "items": data.interactions.items,
        "catalog": data.catalog.table,
        "users": data.users,
        "candidates": candidates,
        "holdout": np.array([config.holdout]),
    }
    return digest(columns)


def load_recommender(world: World) -> Recommender:
    """See World.recommender."""
    kind = world.manifest["recommender"]["kind"]
    if kind == TRANSITIONS:
        return ItemTransitions(world.interactions, world.n_items, world.holdout)
    if kind == "candidates":
        if world.holdout != 1:
            raise WorldError(
                f"world {world.name!r} keeps the ranked candidates of a recommender of your own, which answer for "
                "one held-out position per user only; with a larger holdout its scores cannot be looked up"
            )
        return RankedCandidates(world.candidates, world.n_items)
    from vrsim.recommender.recbole_models import RecBoleRecommender

    return RecBoleRecommender.load(world.path / "recommender", world.interactions, world.catalog, world.holdout)


def train_recommender(world: World, model: str, options: Mapping[str, Any]) -> "RecBoleRecommender":
    """Another RecBole model, trained on the same part of ``world``; kept in the cache folder for next time."""
    from vrsim.recommender.recbole_models import RecBoleConfig, RecBoleRecommender

    config = RecBoleConfig(model, dict(options))
    key = hashlib.sha256(json.dumps([world.hash, asdict(config)], sort_keys=True).encode()).hexdigest()
    folder = home() / "recommenders" / f"{model}-{key[:16]}"
    with locked(folder):
        if not folder.exists():
            with progress_bar(f"training {model} on {world.name}") as progress, staged(folder) as private:
                trained = RecBoleRecommender.train(config, world.interactions, world.catalog, world.holdout, progress)
                trained.save(private)
            return trained
    return RecBoleRecommender.load(folder, world.interactions, world.catalog, world.holdout)


def versions() -> dict[str, str]:
    """Versions of vrsim and of the libraries that can change a number."""
    names = ("vrsim", "numpy", "scipy", "scikit-learn", "gymnasium", "pyarrow", "torch", "recbole")
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
