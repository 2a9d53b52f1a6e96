"""Recommender agents: they see candidates and responses, and choose what to show."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import gymnasium as gym
import numpy as np

from vrsim.errors import OptionError
from vrsim.session.config import SessionConfig
from vrsim.session.engine import Turn
from vrsim.simulated_user import SimulatedUser
from vrsim.world import World

if TYPE_CHECKING:
    from vrsim.models.ledger import Ledger

__all__ = ["Policy", "SessionSetting"]


@dataclass(frozen=True, eq=False)
class SessionSetting:
    """Sessions with one simulated user agent."""

    user: SimulatedUser
    config: SessionConfig = field(default_factory=SessionConfig)
    turns: int = 20  # after which a session is truncated
    seed: int = 0  # of what a policy draws while it learns

    def __post_init__(self) -> None:
        for name, least in (("turns", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise OptionError(f"{name} must be an integer from {least}, found {value!r}")

    @property
    def world(self) -> World:
        return self.user.world

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of ``vrsim/Session-v0`` that say what a session is."""
        options = asdict(self.config)
        return options | options.pop("mood")

    def make_vec(self, num_envs: int, split: str = "train") -> gym.vector.VectorEnv:
        """The native vector environment, with training users unless told otherwise."""
        return gym.make_vec(
            "vrsim/Session-v0",
            num_envs,
            world=self.world,
            user=self.user,
            split=split,
            max_episode_steps=self.turns,
            **self.options,
        )


class Policy(ABC):
    """A recommender agent. Only ``act`` has to be written.

    It is made, fitted once, and then asked turn after turn about B sessions side by side.
    """

    variants: ClassVar[tuple[str, ...]] = ("",)
    """Options ("epsilon=0.2", "" = none) of the variants worth a line each in a benchmark; () = where it is named."""

    unread: np.ndarray | None = None
    """bool (B,): of the last ``act``, where a reply could not be read and a declared slate stands; None = nowhere."""

    def fit(self, setting: SessionSetting) -> None:
        """Learn from sessions with training users (``setting.make_vec``), once. The default keeps the setting."""
        self.setting = setting

    def reset(self, seed: int) -> None:
        """New sessions: take all randomness from ``seed``; what was learned stays. The default does nothing."""

    @abstractmethod
    def act(self, observations: Mapping[str, np.ndarray], instructions: Sequence[str]) -> np.ndarray:
        """Places of the candidates to show, int64 (B, K), those of a row different.

        ``observations`` are those of ``vrsim/Session-v0``, a batch of B; ``instructions``: what would have kept each
        user who left last, "" = never left.
        """

    def learn(
        self, observations: Mapping[str, np.ndarray], places: np.ndarray, turn: Turn, rewards: np.ndarray
    ) -> None:
        """Online policies only: what the last slates of these sessions came to; ``rewards`` float64 (B,)."""

    def account(self, name: str, ledger: "Ledger") -> None:
        """Book under ``name`` what slates cost from now on. The default costs nothing."""

    def about(self) -> dict[str, Any]:
        """What can change its slates beside its name and options, plain data. The default is nothing."""
        return {}
