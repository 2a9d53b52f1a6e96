"""The same agent with less to go on: no history, a shuffled one, somebody else's.

``AGENT@no-history``, ``AGENT@shuffled-history`` and ``AGENT@other-history`` are agents like any other. What is
left of the score does not come from the history, from its order, from the user. Only the observation changes:
an agent that looks up the order of the history elsewhere is not touched by ``shuffled-history``.
"""

from typing import TYPE_CHECKING, Any, final

import numpy as np

from vrsim.agent import Agent, Decisions, Observations
from vrsim.episodes import shown_histories
from vrsim.seeding import generator

if TYPE_CHECKING:
    from vrsim.episodes import Episodes
    from vrsim.models.ledger import Ledger
    from vrsim.models.model import Listener
    from vrsim.world import World

__all__ = ["ABLATIONS", "Ablated"]

ABLATIONS = ("no-history", "shuffled-history", "other-history")


@final
class Ablated(Agent):
    """An agent that learns as usual and is then asked with another history."""

    def __init__(self, agent: Agent, ablation: str) -> None:
        self._agent, self._ablation = agent, ablation
        self.interactive, self.wants_gpu = agent.interactive, agent.wants_gpu
        self._world: World | None = None
        self._training: Episodes | None = None

    def fit(self, world: "World", training: "Episodes") -> None:
        self._world, self._training = world, training
        self._agent.fit(world, training)

    def about(self) -> dict[str, Any]:
        return self._agent.about()

    def account(self, name: str, ledger: "Ledger") -> None:
        self._agent.account(name, ledger)

    def speak_to(self, listener: "Listener | None") -> None:
        self._agent.speak_to(listener)

    def reset(self, seed: int) -> None:
        self._agent.reset(seed)

    def act(self, observations: Observations) -> Decisions:
        return self._agent.act(self._change(observations))

    def wish(self, observations: Observations) -> list[str] | None:
        return self._agent.wish(self._change(observations))

    def learn(self, observations: Observations, decisions: Decisions, rewards: np.ndarray) -> None:
        self._agent.learn(self._change(observations), decisions, rewards)

    def shown(self, observations: Observations) -> Observations:
        """What the agent is asked in place of ``observations``."""
        changed = self._change(observations)
        return self._agent.shown(changed) if isinstance(self._agent, Ablated) else changed

    def _change(self, observations: Observations) -> dict[str, np.ndarray]:
        position, history = observations["position"].copy(), observations["history"].copy()
        if self._ablation == "no-history":
            position[:, 1] = 0
            history[:] = 0
        elif self._ablation == "shuffled-history":
            for row, (user, t) in zip(history, position.tolist(), strict=True):
                row[row > 0] = generator(0, "shuffled", user, t).permutation(row[row > 0])
        else:
            users = self._world.n_users
            steps = [int(generator(0, "other", user, t).integers(1, users)) for user, t in position.tolist()]
            position[:, 0] = (position[:, 0] + steps) % users  # a step from 1 to users - 1: never the same user
            position[:, 1] = self._world.interactions.lengths[position[:, 0]] - 1
            history = shown_histories(self._world, self._training.protocol, *position.T)
        return {**observations, "position": position, "history": history}
