"""``pocket``: the language model that needs no download, built for one world and kept in the cache folder.

A Qwen2 of 1.7 million parameters whose tokenizer holds each title of the catalog as one token beside byte-level
pieces, so that any text works. It is trained to find each title as probable after a history as the recommender does, to
name the one that was taken, and nothing else: it answers through the probabilities of titles. Fine-tuning it is like
that of any other causal model.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vrsim.building import versions
from vrsim.errors import ModelError
from vrsim.models.model import Model
from vrsim.models.pocket_training import PocketConfig
from vrsim.progress import Progress, progress_bar, silent
from vrsim.text.templates import TITLES
from vrsim.world import World
from vrsim.world_files import locked, staged
from vrsim.worlds import home

__all__ = ["CARD", "build_pocket", "load_pocket", "pocket_folder"]

CARD = "vrsim.json"  # in the folder of a model made by vrsim: what it was made for, from what, and how
FORMAT = 4  # moves when the same world and configuration give another model


def pocket_folder(world: World, config: PocketConfig) -> Path:
    """Where the pocket model of a world is kept."""
    recipe = json.dumps([FORMAT, world.hash, asdict(config)], sort_keys=True)
    return home() / "models" / f"pocket-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"


def build_pocket(
    world: World, config: PocketConfig, folder: Path | None = None, progress: Progress = silent, force: bool = False
) -> dict[str, Any]:
    """Train the pocket model of a world and store it, whole or not at all; returns its card.

    ``folder`` None = the one in the cache, where agents look. A folder that exists is taken as it is in the cache and
    refused elsewhere, unless ``force`` replaces it. Raises ModelError, WorldError (it cannot be written).
    """
    target = Path(folder) if folder is not None else pocket_folder(world, config)
    if folder is not None:
        _refuse(target, force)  # before anything is written beside it
    with locked(target):
        if target.exists() and folder is None and not force:
            return read_card(target)
        _refuse(target, force)
        from vrsim.models.loading import quiet
        from vrsim.models.pocket_training import train

        model, tokenizer, report = train(world, config, progress)
        card = {
            "kind": "pocket",
            "completes": TITLES.name,
            "world": world.name,
            "world_hash": world.hash,
            "config": asdict(config),
            **report,
            "versions": versions(),
        }
        with staged(target) as private:
            with quiet():
                model.save_pretrained(private)
            tokenizer.save_pretrained(private)
            card["hash"] = hashlib.sha256((private / "model.safetensors").read_bytes()).hexdigest()
            (private / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return card


def _refuse(target: Path, force: bool) -> None:
    if target.exists() and not force:
        raise ModelError(f"{target} exists already; choose another folder, or replace it with --force")
    if target.exists() and not (target / CARD).exists():
        raise ModelError(f"{target} holds something else than a model made by vrsim and will not be replaced")


def read_card(folder: Path) -> dict[str, Any]:
    """What the folder of a model made by vrsim says of it. Raises ModelError."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        card["completes"], card["world_hash"], card["hash"]
    except FileNotFoundError:
        raise ModelError(f"{folder} is no pocket model: it has no {CARD}; make one with vrsim pocket build") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / CARD} is damaged ({error!r}); build the model again with --force") from error
    return card


def load_pocket(world: World, config: PocketConfig, folder: Path | None = None) -> Model:
    """The pocket model of a world, built first if the cache has none yet; or the one in ``folder``.

    Raises ModelError if the folder's model was made for another world: it might have seen what is asked.
    """
    from vrsim.models.local import LocalConfig, LocalModel

    target = folder or pocket_folder(world, config)
    if folder is None and not target.exists():
        with progress_bar("pocket") as progress:
            build_pocket(world, config, None, progress)
    card = read_card(target)
    if card["world_hash"] != world.hash:
        raise ModelError(
            f"{target} was made for world {card['world']!r} ({card['world_hash'][:12]}), not for {world.name!r} "
            f"({world.hash[:12]}); make its own with vrsim pocket build --world {world.name}"
        )
    model = LocalModel(LocalConfig(str(target), dtype="float32"))
    model.name, model.completes = f"pocket:{card['hash'][:16]}", card["completes"]
    return model
