"""``checkpoint``: a simulated user that vrsim trained, asked in the way it was trained."""

from pathlib import Path
from typing import Any, final

import numpy as np

from vrsim.agent import Agent, Decisions, Observations
from vrsim.episodes import Episodes, split_users
from vrsim.errors import ModelError
from vrsim.models.ledger import Ledger
from vrsim.models.model import Listener
from vrsim.models.trained import read_trained
from vrsim.registry import agent_class
from vrsim.world import World

__all__ = ["Checkpoint"]


@final
class Checkpoint(Agent):
    """A model from ``vrsim train``: ``checkpoint:FOLDER``, with the prompt and the switches of its card.

    It answers on the world and under the protocol that it was trained for, where test users and training users never
    meet; ``elsewhere=True`` asks it under other protocols of the same world too, as long as none of their test users
    was a training user. Other options go to the agent that was trained.
    """

    variants = ()
    wants_gpu = True

    def __init__(self, path: str, elsewhere: bool = False, **options: Any) -> None:
        """Raises ModelError if ``path`` holds no trained model."""
        self._trained = read_trained(Path(path).expanduser())
        self._elsewhere = elsewhere
        card = self._trained.card
        self._agent = agent_class(card["agent"])(model=f"checkpoint:{path}", **(card["switches"] | options))

    def fit(self, world: World, training: Episodes) -> None:
        """Raises ModelError for another world, another protocol, or test users it was trained on."""
        self._trained.check_world(world)
        if not self._elsewhere:
            self._trained.check_protocol(training.protocol.name, training.protocol.hash)
        met = np.intersect1d(self._trained.users, split_users(world, training.protocol, "test"))
        if len(met):
            raise ModelError(
                f"{self._trained.folder} was trained on {len(met)} of the test users of {training.protocol.name!r}, "
                f"user {met[0]} for one: its answers about them would say nothing"
            )
        self._agent.fit(world, training)

    def reset(self, seed: int) -> None:
        self._agent.reset(seed)

    def act(self, observations: Observations) -> Decisions:
        return self._agent.act(observations)

    def about(self) -> dict[str, Any]:
        card = self._trained.card
        kept = {name: card[name] for name in ("method", "hash", "agent", "lineage")}
        return self._agent.about() | {"checkpoint": kept}

    def account(self, name: str, ledger: Ledger) -> None:
        self._agent.account(name, ledger)

    def speak_to(self, listener: Listener | None) -> None:
        self._agent.speak_to(listener)
