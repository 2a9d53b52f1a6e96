"""Protocols: frozen, named recipes that turn a world into episodes."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

from vrsim.errors import UnknownNameError

__all__ = ["COHORTS", "PROTOCOLS", "SPLITS", "TASKS", "Protocol", "get_protocol", "list_protocols"]

TASKS = ("judgment", "selection")
SPLITS = ("train", "test")
COHORTS = ("all", "cold", "warm")


@dataclass(frozen=True)
class Protocol:
    """Who is asked, about what, and where the wrong answers come from.

    Users are split into train and test once, by ``split_seed``; the seed of the episodes only draws
    negatives and order. Test users are asked about their last position, training users about every
    held-out one. The positive item is what the user really interacted with next.
    """

    name: str
    negatives: Literal["recommended", "uniform"]  # the recommender's favourites, or any item
    measures: str  # what a score says
    cannot: str  # what it does not say
    pool: int = 0  # recommended: the negatives are drawn from this many first unseen items
    history: int = 20  # newest items of the history that are shown
    test_share: float = 0.5  # share of the users who are test users
    split_seed: int = 0
    cold_share: float = 0.2  # cold: at most as many interactions as the user at this quantile; warm: the rest
    version: int = 1  # moves when the same world, seed and task give other episodes

    @property
    def hash(self) -> str:
        """SHA-256 of the recipe, without its descriptions."""
        recipe = {k: v for k, v in asdict(self).items() if k not in ("measures", "cannot")}
        return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="vragent-paper",
            negatives="recommended",
            pool=10,
            measures="telling a user's next item from the recommender's ten favourites (VRAgent-R1, AAAI 2026)",
            cannot="understanding of the user: the target is mostly what the recommender ranks lowest, "
            "so an agent that takes the lowest score wins without reading",
        ),
        Protocol(
            name="uniform",
            negatives="uniform",
            measures="telling a user's next item from items drawn at random (Agent4Rec's way)",
            cannot="understanding of the user: popularity and the recommender's own score separate most slates",
        ),
    )
}


def list_protocols() -> list[Protocol]:
    """All protocols, in the order in which they are documented."""
    return list(PROTOCOLS.values())


def get_protocol(name: str) -> Protocol:
    """The protocol of that name. Raises UnknownNameError."""
    if name not in PROTOCOLS:
        raise UnknownNameError("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
