"""Find worlds: the built-in ones by name, built on first use, and stored ones by folder."""

import hashlib
import importlib.util
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, fields, replace
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
from vrsim.item_tables import table_key, with_captions
from vrsim.naming import parse_name, write_name
from vrsim.progress import Progress, progress_bar
from vrsim.recommender import ItemTransitions, RankedCandidates, Recommender
from vrsim.recommender.additions import Additions
from vrsim.recommender.item_variants import variant_of
from vrsim.recommender.recbole_settings import RecBoleConfig, resolved_options
from vrsim.sources import SOURCES, ml_100k
from vrsim.tiny import tiny_data
from vrsim.world import World
from vrsim.world_files import locked, read_world, staged

if TYPE_CHECKING:
    from vrsim.recommender.recbole_models import RecBoleRecommender

__all__ = [
    "BUILT_IN",
    "build_named",
    "home",
    "kept_recommender",
    "listing",
    "load",
    "load_recommender",
    "source_data",
    "train_recommender",
]


BUILT_IN = {  # name: what it is
    "tiny": "200 made-up users and 160 made-up films, for tests and documentation",
    "ml-100k": "MovieLens-100K: 943 users, 1,682 films, 100,000 ratings (GroupLens)",
    **{source.name: source.about for source in SOURCES.values()},
}


@dataclass(frozen=True)
class _Named:
    """What the name of a built-in world says."""

    source: str
    config: BuildConfig
    captions: str = ""  # the key of a table of captions, see vrsim.item_tables; "" = the data's own
    tables: Mapping[str, Path] = field(default_factory=dict)  # the files named, by option

    @property
    def name(self) -> str:
        """The name with exactly the options that differ from the defaults, in alphabetical order."""
        changed = {f.name: getattr(self.config, f.name) for f in fields(self.config) if f.name != "options"}
        usual = TRANSITIONS if self.source == "tiny" else "SASRec"
        default = asdict(replace(BuildConfig(), recommender=usual))
        options = {k: v for k, v in changed.items() if v != default[k]} | dict(self.config.options)
        return write_name(self.source, options | ({"captions": self.captions} if self.captions else {}))

    @property
    def folder(self) -> Path:
        return home() / "worlds" / quote(self.name, safe="=,")

    @property
    def tuned(self) -> BuildConfig:
        """The configuration with the settings that a data set needs for the usual recommender."""
        usual = variant_of(self.config.recommender).base == BuildConfig.recommender
        if self.source not in SOURCES or not usual or "preset" in self.config.options:
            return self.config
        return replace(self.config, options={**SOURCES[self.source].options, **self.config.options})

    def data(self) -> Data:
        shortest = self.config.shortest
        data = ml_100k(shortest) if self.source == "ml-100k" else SOURCES[self.source].load(shortest)
        return with_captions(data, self.tables["captions"]) if self.captions else data


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
    named = _parse(name)
    if named.source == "tiny":
        return _tiny(name)
    if not named.folder.exists():
        return build_named(name, exist_ok=True)
    world = read_world(named.folder)
    made_with = world.manifest["recommender"].get("settings")
    if made_with is not None and importlib.util.find_spec("recbole"):
        config = named.tuned
        if resolved_options(RecBoleConfig(config.recommender, config.options, config.seed)) != made_with:
            raise WorldError(
                f"world {name} was built with other default settings of {config.recommender} than this version of "
                f"vrsim has; build it again with: vrsim world build {name} --force"
            )
    return world


def source_data(name: str) -> Data:
    """The data that a built-in world is made of, before any recommender saw them. Raises what ``load`` raises."""
    named = _parse(name)
    return tiny_data() if named.source == "tiny" else named.data()


def build_named(name: str, force: bool = False, exist_ok: bool = False, captions: str | Path | None = None) -> World:
    """Build a built-in world into the cache folder, with a progress bar.

    ``captions``: a table of captions of its items, see vrsim.item_tables.with_captions; ``name`` can say it too
    ("ml-100k:captions=captions.parquet"). The world's name then holds the key of the table's content.
    """
    named = _parse(name, captions)
    if named.source == "tiny":
        return _tiny(name)
    for option, file in named.tables.items():
        if str(file) == table_key(file):
            raise WorldError(
                f"world {named.name} is not built here, and {file} is only the key of its {option}: give the file"
            )
    config = named.tuned
    if "vectors" in named.tables:
        config = replace(config, options={**config.options, "vectors": str(named.tables["vectors"])})
    with progress_bar(f"building world {named.name}") as progress:
        return build(named.folder, named.data(), config, named.name, progress=progress, exist_ok=exist_ok, force=force)


def listing() -> list[dict[str, str]]:
    """Every built-in world and every world in the cache folder: name, state, about."""
    rows = []
    stored = {unquote(folder.name) for folder in (home() / "worlds").glob("[!.]*") if folder.is_dir()}
    for name in sorted({*BUILT_IN, *stored}):
        source = name.partition(":")[0]
        state = "in memory" if source == "tiny" else "built" if name in stored else "built on first use"
        rows.append({"name": name, "state": state, "about": BUILT_IN.get(source, "")})
    return rows


def _parse(name: str, captions: str | Path | None = None) -> _Named:
    source, options = parse_name(name)
    if source not in BUILT_IN:
        raise UnknownNameError("world", source, BUILT_IN)
    if captions is not None:
        if source == "tiny" or "captions" in options:
            raise OptionError(f"world {name} takes no other captions")
        options["captions"] = captions
    tables = {}
    if source != "tiny":
        tables = {option: Path(str(options[option])) for option in ("captions", "vectors") if option in options}
        options |= {option: table_key(file) for option, file in tables.items()}
    key = options.pop("captions", "") if tables else ""
    return _Named(source, make_config(TRANSITIONS if source == "tiny" else "SASRec", options), key, tables)


@lru_cache(maxsize=16)
def _tiny(name: str) -> World:
    named = _parse(name)
    return make_world(named.name, tiny_data(), named.config)[0]


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


def train_recommender(
    world: World, model: str, options: Mapping[str, Any], progress: Progress | None = None
) -> "RecBoleRecommender":
    """Another RecBole model, trained on the same part of ``world``; kept in the cache folder for next time.

    ``options`` are RecBole's settings, and ``seed``. Without ``progress`` there is a bar of its own.
    """
    from vrsim.recommender.recbole_models import RecBoleRecommender

    rest = {name: value for name, value in options.items() if name != "seed"}
    config = RecBoleConfig(model, rest, options.get("seed", RecBoleConfig.seed))

    def train(show: Progress) -> RecBoleRecommender:
        return RecBoleRecommender.train(config, world.interactions, world.catalog, world.holdout, show)

    return kept_recommender(world, config, train, progress)


def kept_recommender(
    world: World,
    config: RecBoleConfig,
    train: Callable[[Progress], "RecBoleRecommender"],
    progress: Progress | None = None,
    added: Additions | None = None,
    settings: Sequence[Any] = (),
) -> "RecBoleRecommender":
    """What ``train`` gives, from the cache folder if it has been there before.

    ``settings`` (JSON): what it depends on beside the world, ``config`` and the interactions ``added`` to the world's.
    """
    from vrsim.recommender.recbole_models import RecBoleRecommender

    beside = [*settings, added.hash] if added is not None else []
    key = [world.hash, config.model, config.seed, resolved_options(config), versions().get("recbole"), *beside]
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    folder = home() / "recommenders" / f"{config.model}-{name}"
    if not folder.exists():
        with locked(folder):
            if not folder.exists():
                title = f"training {config.model} on {world.name}"
                with progress_bar(title) if progress is None else nullcontext(progress) as show:
                    trained = train(show)
                with staged(folder) as private:
                    trained.save(private)
                return trained
    return RecBoleRecommender.load(folder, world.interactions, world.catalog, world.holdout, added)
