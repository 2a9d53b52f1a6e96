"""A user agent that answers about any items, at any moment: what sessions, augmentation and fidelity ask."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from vrsim.agent import Agent, Decisions, check_decisions
from vrsim.episodes import make_episodes, shown_histories
from vrsim.protocols import Protocol, get_protocol
from vrsim.registry import make_agent
from vrsim.seeding import derive
from vrsim.world import World

if TYPE_CHECKING:
    from vrsim.models.ledger import Ledger

__all__ = ["Judged", "SimulatedUser"]

BATCH = 1024  # questions per call of the agent


@dataclass(frozen=True, eq=False)
class Judged:
    """What was said about each of K items by B users."""

    yes: np.ndarray  # bool (B, K); False where the reply could not be read
    valid: np.ndarray  # bool (B, K): the reply could be read
    probability: np.ndarray | None  # float (B, K): of Yes; None for agents that tell none


@final
class SimulatedUser:
    """A user agent by name, fitted to a world: one copy of it judges, another one selects.

    Each copy learns from the training users' episodes of ``protocol``, as it does in a benchmark, so ask about test
    users only: vrsim.episodes.split_users. ``m``: wrong items of the slates that the second copy learns from. What a
    language model answers is booked in ``ledger``.

    ::

        user = SimulatedUser("recommender", World.load("ml-100k"))
        judged = user.judge(positions, user.histories(positions), items)  # items int64 (B, K)
        decisions = user.choose(positions, user.histories(positions), slates)
    """

    def __init__(
        self,
        agent: str,
        world: World,
        protocol: str | Protocol = "uniform",
        m: int = 3,
        seed: int = 0,
        ledger: "Ledger | None" = None,
    ) -> None:
        self.name, self.world = agent, world
        self.protocol = protocol if isinstance(protocol, Protocol) else get_protocol(protocol)
        self._m, self._seed, self._ledger = m, seed, ledger
        self._seeds: dict[int, int] = {}  # what agents are reset with
        make_agent(agent)  # a misspelt name is found here

    @cached_property
    def judge_agent(self) -> Agent:
        """The copy that judges."""
        return self._fitted("judgment")

    @cached_property
    def choice_agent(self) -> Agent:
        """The copy that selects."""
        return self._fitted("selection")

    def histories(self, positions: np.ndarray) -> np.ndarray:
        """What the protocol shows of the real history at each position int64 (B, 2), int64 (B, protocol.history)."""
        return shown_histories(self.world, self.protocol, *positions.T)

    def judge(self, positions: np.ndarray, histories: np.ndarray, items: np.ndarray, seed: int = 0) -> Judged:
        """Would each user take each of these items? ``items`` int64 (B, K), never 0."""
        size = items.shape[1]
        if size > 1:
            rows = np.repeat(np.arange(len(items)), size)
            positions, histories = positions[rows], histories[rows]
        observations = {"position": positions, "history": histories, "slate": items.reshape(-1, 1)}
        answers = self._ask(self.judge_agent, observations, seed)
        valid = answers.valid.reshape(-1, size)
        probability = None if answers.probability is None else answers.probability.reshape(-1, size)
        return Judged((answers.action.reshape(-1, size) == 1) & valid, valid, probability)

    def choose(self, positions: np.ndarray, histories: np.ndarray, slates: np.ndarray, seed: int = 0) -> Decisions:
        """Which one next? ``slates`` int64 (B, K), distinct in each row, never 0. The words are not kept."""
        observations = {"position": positions, "history": histories, "slate": slates}
        return self._ask(self.choice_agent, observations, seed)

    def wish(self, positions: np.ndarray, histories: np.ndarray, slates: np.ndarray) -> list[str] | None:
        """What would have kept users who leave after these slates, in words; None for agents without words."""
        return self.choice_agent.wish({"position": positions, "history": histories, "slate": slates})

    def _ask(self, agent: Agent, observations: dict[str, np.ndarray], seed: int) -> Decisions:
        options = max(2, observations["slate"].shape[1])
        if seed not in self._seeds:
            self._seeds[seed] = derive(self._seed, "simulated user", seed)
        parts = []
        for start in range(0, len(observations["slate"]), BATCH):
            part = {name: column[start : start + BATCH] for name, column in observations.items()}
            agent.reset(self._seeds[seed])
            decisions = agent.act(part)
            check_decisions(agent, decisions, len(part["slate"]), options)
            parts.append(decisions)
        if len(parts) == 1:
            return parts[0]
        chances = [part.probability for part in parts]
        return Decisions(
            np.concatenate([part.action for part in parts]),
            np.concatenate([part.valid for part in parts]),
            probability=None if any(chance is None for chance in chances) else np.concatenate(chances),
        )

    def _fitted(self, task: str) -> Agent:
        agent = make_agent(self.name)
        if self._ledger is not None:
            agent.account(self.name, self._ledger)
        training = make_episodes(self.world, self.protocol, task, self._m, "train", seed=self._seed)
        agent.fit(self.world, training)
        return agent
