"""A world as a folder for others, with a card: the whole of it, or all but the data that may not be passed on.

A folder with data is a world: ``World.load(FOLDER)``. A folder without is a recipe: what the recommender said, its
weights and the hash. Whoever has the data makes the same world of it with ``rebuild_world``. A recipe has neither ids
nor titles, and names the item that a user took only as one of up to BLOCK items around its rank.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from vrsim.building import RANKINGS, world_hash
from vrsim.errors import OptionError, WorldError
from vrsim.recommender import BLOCK
from vrsim.sources import terms_of
from vrsim.world import World
from vrsim.world_files import MANIFEST, locked, read_world, staged, write_world
from vrsim.worlds import BUILT_IN, source_data

__all__ = ["CARD", "RECIPE", "publish_world", "rebuild_world"]

CARD, RECIPE = "README.md", "recipe.json"
FORMAT = 1  # of a recipe
FIRST = "first_ranks"  # in place of the targets' ranks: the first rank of the block of each
SHOWN = {"candidates": "candidates", "target_ranks": FIRST, "blocks": "blocks", "block_scores": "block_scores"}
OF_DATA = ("files", "sha256", "format")  # entries of a manifest that describe the files of a world


def publish_world(world: World, folder: Path, licence: str, *, data: bool = True) -> None:
    """Write ``world`` into a new folder, for others. ``licence``: the terms for what it holds, as "cc-by-4.0".

    ``data`` False = a recipe, of built-in worlds only. Raises OptionError for data that may not be passed on and for
    a recipe that nobody could follow, WorldError for a folder that exists or cannot be written.
    """
    folder = Path(folder)
    if not re.fullmatch(r"[\w.+-]+", licence):
        raise OptionError(f"expected the name of a licence, as cc-by-4.0, mit or other, found {licence!r}")
    if data and (terms := terms_of(world.name)):
        raise OptionError(
            f"the data of {world.name} are not ours to publish: {terms}. --without-data publishes what others need to "
            "make the same world of their own copy"
        )
    if not data and (_source(world) not in BUILT_IN or "captions" in world.manifest["data"]):
        raise OptionError(
            f"{world.name} can only be published with its data: a recipe needs data that others can get, and those of "
            "a built-in world as they are"
        )
    with locked(folder):
        if folder.exists():
            raise WorldError(f"{folder} exists already; choose another folder")
        with staged(folder) as private:
            if not data:
                _write_recipe(world, private)
            elif world.path is None:
                write_world(world, private)
            else:
                _copy(world.path, private, [MANIFEST, *world.manifest["files"]])
            (private / CARD).write_text(_card(world, licence, data), encoding="utf-8")


def rebuild_world(folder: Path, out: Path) -> World:
    """The world of a published recipe, made of the data that are here, and stored in ``out``, which must be new.

    Raises WorldError where the recipe is damaged or the data are others, and what loading the data raises.
    """
    folder, out = Path(folder), Path(out)
    try:
        recipe = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
        if recipe["format"] != FORMAT:
            raise ValueError(f"format {recipe['format']}, this version of vrsim reads {FORMAT}")
        manifest, name = recipe["manifest"], recipe["name"]
        arrays = {key: np.load(folder / f"{file}.npy", allow_pickle=False) for key, file in SHOWN.items()}
        for file, sha256 in recipe["recommender"].items():
            if _sha256(folder / file) != sha256:
                raise ValueError(f"{file} was changed")
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise WorldError(f"{folder} is no recipe of a world, or damaged ({error!r}); fetch it again") from error
    data = source_data(name)
    world = World(name, data.interactions, data.catalog, data.users, **arrays, manifest=manifest)
    if len(world.targets) == len(world.blocks):  # else the hash says that these are other data
        places = world.blocks == world.targets[:, None]
        ranks = world.target_ranks + np.where(places.any(axis=1), places.argmax(axis=1), 0)
        world = replace(world, target_ranks=ranks.astype(np.int32))
    found = world_hash(data, world.holdout, {key: getattr(world, key) for key in RANKINGS})
    if found != world.hash:
        raise WorldError(
            f"{folder} was made of other data than the copy of {name} here: expected hash {world.hash}, found {found}. "
            f"Its copy was: {json.dumps(manifest['data'])}; here: {json.dumps(dict(data.origin))}"
        )
    with locked(out):
        if out.exists():
            raise WorldError(f"{out} exists already; choose another folder")
        with staged(out) as private:
            _copy(folder, private, recipe["recommender"])
            write_world(world, private)
    return read_world(out)


def _write_recipe(world: World, folder: Path) -> None:
    known = (world.blocks > 0).any(axis=1)
    first = np.where(known, (world.target_ranks - 1) // BLOCK * BLOCK + 1, world.target_ranks).astype(np.int32)
    for name, file in SHOWN.items():
        np.save(folder / f"{file}.npy", first if file == FIRST else getattr(world, name), allow_pickle=False)
    weights = [name for name in world.manifest.get("files", ()) if name.startswith("recommender/")]
    if weights:
        _copy(world.path, folder, weights)
    recipe = {
        "format": FORMAT,
        "name": world.name,
        "manifest": {key: value for key, value in world.manifest.items() if key not in OF_DATA},
        "recommender": {name: world.manifest["files"][name]["sha256"] for name in weights},
    }
    (folder / RECIPE).write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")


def _source(world: World) -> str:
    return world.name.partition(":")[0]


def _copy(source: Path, target: Path, names: Iterable[str]) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _card(world: World, licence: str, data: bool) -> str:
    """The page that the Hugging Face hub shows of the folder, in Markdown."""
    manifest, config = world.manifest, world.manifest["config"]
    counts = ", ".join(f"{count:,} {what}" for what, count in manifest["counts"].items())
    skipped = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in manifest["skipped"].items() if count)
    own = manifest["recommender"]["kind"] == "candidates"
    shown = 'configs: [{"config_name": "items", "data_files": "catalog.parquet"}]\n' if data else ""
    return f"""---
license: {licence}
tags: [vrsim, recommender-systems, user-simulation]
{shown}---
# The world {world.name}

What simulated users are asked about: interactions in the order of time, a catalog, and what one recommender would show
at every held-out position. The folder is read by vrsim, a gym for simulated users of recommender systems.

| | |
|---|---|
| holds | {counts} |
| left out | {skipped or "nothing"} |
| recommender | {"their own" if own else config["recommender"]} |
| held out | {config["holdout"]} per user, {world.candidates.shape[1]} ranked candidates each |
| the next item is among the first 10 | {world.hits(10):.4f} |
| hash | `{world.hash}` |
| made by | vrsim {manifest["versions"].get("vrsim", "")} |

{_with_data(licence) if data else _without_data(world, licence)}"""


def _with_data(licence: str) -> str:
    return f"""## Use it

    vrsim world info FOLDER
    vrsim bench --world FOLDER

Every file is checked when the world is opened. The data are passed on under {licence} by whoever published this folder.
"""


def _without_data(world: World, licence: str) -> str:
    return f"""## What is not here

Interactions, ids and titles ({BUILT_IN[_source(world)]}): {terms_of(world.name) or "vrsim makes them up anew"}.
Here are the rankings of the recommender and, where it has some, its weights, under {licence}. Items are numbers; which
one a user took is only told as one of up to {BLOCK}.

## The same world from your own copy

    export VRSIM_DATA=...          # where your copy lies
    vrsim world rebuild FOLDER OUT
    vrsim bench --world OUT

It is made only if its hash is the one above: then every number is about the same questions. Training the recommender
anew would give nearly the same world, and another hash.
"""
