"""Find worlds: the built-in ones by name, built on first use, and stored ones by folder."""

import hashlib
import importlib.util
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import platformdirs

from vrsim.building import (
    TRANSITIONS,
    BuildConfig,
    build,
    make_config,
    make_world,
    versions,
)
from vrsim.data import Data
from vrsim.errors import OptionError, UnknownNameError, WorldError
from vrsim.naming import parse_name, write_name
from vrsim.progress import progress_bar
from vrsim.recommender import ItemTransitions, RankedCandidates, Recommender
from vrsim.recommender.recbole_settings import RecBoleConfig, resolved_options
from vrsim.sources import SOURCES, ml_100k
from vrsim.tiny import tiny_data
from vrsim.world import World
from vrsim.world_files import locked, read_world, staged

if TYPE_CHECKING:
    from vrsim.recommender.recbole_models import RecBoleRecommender

__all__ = ["BUILT_IN", "build_named", "home", "listing", "load", "load_recommender", "train_recommender"]


BUILT_IN = {  # name: what it is
    "tiny": "200 made-up users and 160 made-up films, for tests and documentation",
    "ml-100k": "MovieLens-100K: 943 users, 1,682 films, 100,000 ratings (GroupLens)",
    **{source.name: source.about for source in SOURCES.values()},
}


def home() -> Path:
    """Where built worlds and trained recommenders are kept: VRSIM_HOME, else the user's cache folder."""
    return Path(os.environ.get("VRSIM_HOME") or platformdirs.user_cache_path("vrsim"))


def load(name: str | Path) -> World:
    """See World.load."""
    if not isinstance(name, str | Path) or not str(name):
        raise OptionError(f"a world is a name or a folder, found {name!r}")
    built_in = isinstance(name, str) and name.partition(":")[0] in BUILT_IN
    if not built_in and (isinstance(name, Path) or Path(name).is_dir() or {"/", os.sep} & {*name.partition(":")[0]}):
        folder = Path(name).expanduser().resolve()
        if not folder.is_dir():
            raise WorldError(f"no world folder at {folder}")
        return read_world(folder)
    source, config = _parse(name)
    if source == "tiny":
        return _tiny(name)
    folder = _folder(source, config)
    if not folder.exists():
        return build_named(name, exist_ok=True)
    world = read_world(folder)
    made_with = world.manifest["recommender"].get("settings")
    if made_with is not None and importlib.util.find_spec("recbole"):
        config = _tuned(source, config)
        config = RecBoleConfig(config.recommender, config.options, config.seed)
        if resolved_options(config) != made_with:
            raise WorldError(
                f"world {name} was built with other default settings of {config.model} than this version of vrsim "
                f"has; build it again with: vrsim world build {name} --force"
            )
    return world


def build_named(name: str, force: bool = False, exist_ok: bool = False) -> World:
    """Build a built-in world into the cache folder, with a progress bar."""
    source, config = _parse(name)
    if source == "tiny":
        return _tiny(name)
    full, folder = _canonical(source, config), _folder(source, config)
    with progress_bar(f"building world {full}") as progress:
        data = _data(source, config)
        return build(folder, data, _tuned(source, config), full, progress=progress, exist_ok=exist_ok, force=force)


def listing() -> list[dict[str, str]]:
    """Every built-in world and every world in the cache folder: name, state, about."""
    rows = []
    stored = {unquote(folder.name) for folder in (home() / "worlds").glob("[!.]*") if folder.is_dir()}
    for name in sorted({*BUILT_IN, *stored}):
        source = name.partition(":")[0]
        state = "in memory" if source == "tiny" else "built" if name in stored else "built on first use"
        rows.append({"name": name, "state": state, "about": BUILT_IN.get(source, "")})
    return rows


def _folder(source: str, config: BuildConfig) -> Path:
    return home() / "worlds" / quote(_canonical(source, config), safe="=,")


def _parse(name: str) -> tuple[str, BuildConfig]:
    source, options = parse_name(name)
    if source not in BUILT_IN:
        raise UnknownNameError("world", source, BUILT_IN)
    return source, make_config(TRANSITIONS if source == "tiny" else "SASRec", options)


def _canonical(source: str, config: BuildConfig) -> str:
    """The name with exactly the options that differ from the defaults, in alphabetical order."""
    changed = {f.name: getattr(config, f.name) for f in fields(config) if f.name != "options"}
    default = asdict(replace(BuildConfig(), recommender=TRANSITIONS if source == "tiny" else "SASRec"))
    return write_name(source, {k: v for k, v in changed.items() if v != default[k]} | dict(config.options))


def _tuned(source: str, config: BuildConfig) -> BuildConfig:
    """The configuration with the settings that a data set needs for the usual recommender."""
    if source not in SOURCES or config.recommender != BuildConfig.recommender:
        return config
    return replace(config, options={**SOURCES[source].options, **config.options})


def _data(source: str, config: BuildConfig) -> Data:
    return ml_100k(config.shortest) if source == "ml-100k" else SOURCES[source].load(config.shortest)


@lru_cache(maxsize=16)
def _tiny(name: str) -> World:
    source, config = _parse(name)
    return make_world(_canonical(source, config), tiny_data(), config)[0]


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
    """Another RecBole model, trained on the same part of ``world``; kept in the cache folder for next time.

    ``options`` are RecBole's settings, and ``seed``.
    """
    from vrsim.recommender.recbole_models import RecBoleRecommender

    rest = {name: value for name, value in options.items() if name != "seed"}
    config = RecBoleConfig(model, rest, options.get("seed", RecBoleConfig.seed))
    key = json.dumps([world.hash, model, config.seed, resolved_options(config), versions().get("recbole")])
    folder = home() / "recommenders" / f"{model}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    if not folder.exists():
        with locked(folder):
            if not folder.exists():
                with progress_bar(f"training {model} on {world.name}") as progress:
                    trained = RecBoleRecommender.train(
                        config, world.interactions, world.catalog, world.holdout, progress
                    )
                with staged(folder) as private:
                    trained.save(private)
                return trained
    return RecBoleRecommender.load(folder, world.interactions, world.catalog, world.holdout)
