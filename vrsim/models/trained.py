"""Models that vrsim trained: their card, what they were trained on, and who may be asked about them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vrsim.errors import ModelError
from vrsim.models.model import Model
from vrsim.models.pocket import CARD
from vrsim.world import World

__all__ = ["KIND", "Trained", "load_trained", "read_trained"]

KIND = "trained"
NEEDED = ("world", "world_hash", "protocol", "protocol_hash", "users", "completes", "agent", "base", "lineage", "hash")


@dataclass(frozen=True)
class Trained:
    """A trained model as its card describes it; nothing is loaded yet."""

    folder: Path  # with the weights
    card: dict[str, Any]

    @property
    def name(self) -> str:
        """What names it in stores and manifests: it changes with the weights."""
        return f"checkpoint:{self.card['hash'][:16]}"

    @property
    def base(self) -> str:
        """Name or folder of the model below the adapters, "" = it is whole."""
        return self.card["base"]

    @property
    def users(self) -> np.ndarray:
        """The users it was trained or checked on, int64, ascending."""
        return np.array(self.card["users"], np.int64)

    @property
    def step(self) -> dict[str, Any]:
        """This run as an entry of another one's lineage."""
        return {name: self.card.get(name) for name in ("method", "hash", "origin", "config", "step")}

    def check_world(self, world: World) -> None:
        """Raise ModelError if it was trained on another world."""
        if self.card["world_hash"] != world.hash:
            raise ModelError(
                f"{self.folder} was trained on world {self.card['world']!r} ({self.card['world_hash'][:12]}), not on "
                f"{world.name!r} ({world.hash[:12]}): what it is asked there it may have seen, or have no words for"
            )

    def check_protocol(self, name: str, digest: str) -> None:
        """Raise ModelError if it was trained for another protocol, or another version of it."""
        card = self.card
        if (card["protocol"], card["protocol_hash"]) != (name, digest):
            raise ModelError(
                f"{self.folder} was trained for protocol {card['protocol']!r} ({card['protocol_hash'][:12]}), not for "
                f"{name!r} ({digest[:12]}); train one for it, or ask it there all the same with elsewhere=True"
            )


def read_trained(folder: Path) -> Trained:
    """The card of a trained model: ``folder`` is its own, or that of its training run. Raises ModelError."""
    for place in (folder, folder / "model"):
        if (place / CARD).exists():
            break
    else:
        hint = (
            "it is not finished; the command that started it goes on"
            if (folder / "training.json").exists()
            else ("name the folder that vrsim train wrote")
        )
        raise ModelError(f"{folder} holds no trained model: {hint}")
    try:
        card = json.loads((place / CARD).read_text(encoding="utf-8"))
        kind = card["kind"]
        missing = [name for name in NEEDED if name not in card]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{place / CARD} is damaged ({error!r})") from error
    if kind != KIND or missing:
        raise ModelError(f"{place} holds a model of kind {kind!r}, not one that vrsim train made")
    return Trained(place, card)


def load_trained(folder: Path, world: World, config: Any) -> Model:
    """The trained model, ready to be asked about ``world``; ``config`` is a LocalConfig. Raises ModelError."""
    from dataclasses import replace

    from vrsim.models.local import LocalModel

    trained = read_trained(folder)
    trained.check_world(world)
    own = str(trained.folder)
    dtype = config.dtype if config.dtype != "auto" or trained.base else "float32"
    placed = replace(config, model=trained.base or own, adapter=own if trained.base else "", dtype=dtype)
    model = LocalModel(placed)
    model.name, model.completes = trained.name, trained.card["completes"]
    return model
