"""``epsilon-greedy``: any other policy, with a random candidate here and there."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np

from vrsim.errors import OptionError
from vrsim.registry import make_policy
from vrsim.seeding import derive, generator
from vrsim.session.engine import Turn
from vrsim.session.policy import Policy, SessionSetting

if TYPE_CHECKING:
    from vrsim.models.ledger import Ledger

__all__ = ["EpsilonGreedy"]


@final
class EpsilonGreedy(Policy):
    """Each place of the slate of ``of`` is given to a random other candidate with probability ``epsilon``.

    ``of`` is the name of a policy with its options; several of them need brackets around all of it:
    ``epsilon-greedy:of=[linear:explore=thompson,alpha=0.5],epsilon=0.05``.
    """

    def __init__(self, of: str = "greedy", epsilon: float = 0.1) -> None:
        if not isinstance(of, str):
            raise OptionError(f"of must be the name of a policy, for example 'greedy', found {of!r}")
        if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 <= epsilon <= 1:
            raise OptionError(f"epsilon must be a number from 0 to 1, found {epsilon!r}")
        self._epsilon = float(epsilon)
        self._of: Policy = make_policy(of.removeprefix("[").removesuffix("]"))

    def fit(self, setting: SessionSetting) -> None:
        super().fit(setting)
        self._of.fit(setting)

    def reset(self, seed: int) -> None:
        self._rng = generator(seed, "epsilon-greedy")
        self._of.reset(derive(seed, "of"))

    def act(self, observations: Mapping[str, np.ndarray], instructions: Sequence[str]) -> np.ndarray:
        places = self._of.act(observations, instructions)
        self.unread = self._of.unread
        candidates = observations["candidates"]
        chosen = np.zeros(candidates.shape, bool)
        np.put_along_axis(chosen, places, True, axis=1)
        free = np.where(chosen | (candidates == 0), np.inf, self._rng.random(candidates.shape))
        others = np.argsort(free, axis=1)[:, : places.shape[1]]  # (B, K): random ones that are not in the slate
        there = np.isfinite(np.take_along_axis(free, others, axis=1))
        lucky = self._rng.random(others.shape) < self._epsilon
        return np.where(lucky & there, others, places)

    def learn(
        self, observations: Mapping[str, np.ndarray], places: np.ndarray, turn: Turn, rewards: np.ndarray
    ) -> None:
        self._of.learn(observations, places, turn, rewards)

    def account(self, name: str, ledger: "Ledger") -> None:
        self._of.account(name, ledger)

    def about(self) -> dict[str, Any]:
        return self._of.about()
