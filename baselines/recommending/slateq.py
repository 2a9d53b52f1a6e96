"""``slateq``: what each item is worth in the long run, and who picks it from which slate (Ie et al., IJCAI 2019)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from vrsim.baselines.recommending.fixed import best_places
from vrsim.baselines.recommending.inputs import INPUTS, PRACTICE, SIGNS, Inputs
from vrsim.baselines.recommending.practice import Step, practise
from vrsim.baselines.reinforcement import contained, need
from vrsim.errors import OptionError, UnknownNameError
from vrsim.seeding import derive, generator
from vrsim.session.policy import Policy, SessionSetting
from vrsim.threads import import_torch

__all__ = ["SlateQ", "SlateQConfig", "best_slate"]

SLATES = ("exact", "top-k")
ROUNDS = 8  # of Dinkelbach's iteration: it converges faster than linearly


@dataclass(frozen=True)
class SlateQConfig:
    """How SlateQ learns."""

    slates: str = "exact"  # or "top-k", the paper's cheap rule: the highest v * Q
    turns: int = 300_000  # of practice with training users
    gamma: float = 0.95  # what a reward is worth one turn later
    epsilon: float = 0.1  # share of random slates in practice, after a first tenth that begins with nothing else
    hidden: int = 64  # units of both layers of both networks
    learning_rate: float = 1e-3
    batch: int = 512  # turns per step of learning
    memory: int = 50_000  # turns that are learned from again

    def __post_init__(self) -> None:
        if self.slates not in SLATES:
            raise UnknownNameError("slates", str(self.slates), SLATES)
        for name, least in (("turns", 1), ("hidden", 1), ("batch", 1), ("memory", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise OptionError(f"{name} must be an integer from {least}, found {value!r}")
        for name in ("gamma", "epsilon", "learning_rate"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise OptionError(f"{name} must be a number from 0 to 1, found {value!r}")


def best_slate(appeal: np.ndarray, value: np.ndarray, candidates: np.ndarray, size: int, exact: bool) -> np.ndarray:
    """The places of the slate that is worth most, int64 (B, size), best first.

    ``appeal`` v > 0 and ``value`` Q are float (B, C), ``candidates`` int64 (B, C), 0 = none: comes last. An item of the
    slate is picked with probability v / sum of v, so a slate is worth sum(v Q) / sum(v). The paper solves that as a
    linear program; Dinkelbach's iteration (Management Science 1967) is as exact: take the highest v (Q - worth), and
    again with the worth of that slate. Its first round, with worth 0, is the paper's top-k rule.
    """
    worth = np.zeros((len(value), 1))
    places = best_places(appeal * value, candidates, size)
    for _ in range(ROUNDS if exact else 0):
        v, q = (np.take_along_axis(column, places, axis=1) for column in (appeal, value))
        worth = (v * q).sum(axis=1, keepdims=True) / v.sum(axis=1, keepdims=True)
        places = best_places(appeal * (value - worth), candidates, size)
    return places


@final
class SlateQ(Policy):
    """A network for the value of an item, another one for its appeal, both learned from what users picked.

    The value Q of the picked item is pulled towards the reward plus ``gamma`` times what the next slate, the best one
    as of then, is worth: SARSA with expectations, section 4.2 of the paper. The appeal v is a conditional logit, fitted
    to the picks. Both see the inputs of the item and the moment. Options are the fields of SlateQConfig.

    Departures: the choice model is learned in the same practice and has no "nothing", as users of these sessions always
    pick; the target network is a running mean.
    """

    variants = ()  # takes a minute or more for each setting: played where it is named

    def __init__(self, **options: Any) -> None:
        known = SlateQConfig.__dataclass_fields__
        for name in options:
            if name not in known:
                raise UnknownNameError("option of policy 'slateq'", name, known)
        self.config = SlateQConfig(**options)

    def fit(self, setting: SessionSetting) -> None:
        """Raises DependencyError without torch."""
        super().fit(setting)
        need("policy 'slateq'", "torch")
        config, rng = self.config, generator(setting.seed, "slateq")
        self._inputs = Inputs(setting, min(PRACTICE, config.turns))
        memory, done = Memory(config.memory), 0

        def explore(observations: Mapping[str, np.ndarray]) -> np.ndarray:
            candidates, best = observations["candidates"], self.act(observations, ())
            anything = best_places(rng.random(candidates.shape), candidates, best.shape[1])
            share = max(config.epsilon, 1 - 10 * done / config.turns)
            return np.where(rng.random((len(best), 1)) < share, anything, best)

        with contained():
            self._begin(derive(setting.seed, "slateq") % 2**31)
            for step in practise(setting, explore, config.turns):
                done += len(step.item)
                memory.add(**self._remembered(step))
                if len(memory):  # else no answer could be read so far
                    self._learn(memory.draw(rng, config.batch))

    def act(self, observations: Mapping[str, np.ndarray], instructions: Sequence[str]) -> np.ndarray:
        with contained():
            return self._choose(self._rows(observations), observations["candidates"])

    def _begin(self, seed: int) -> None:
        torch = import_torch()
        torch.manual_seed(seed)
        self._appeal, self._value, self._slow = (self._network() for _ in range(3))
        self._slow.load_state_dict(self._value.state_dict())
        learned = [*self._appeal.parameters(), *self._value.parameters()]
        self._optimizer = torch.optim.Adam(learned, lr=self.config.learning_rate)

    def _network(self) -> Any:
        net, hidden = import_torch().nn, self.config.hidden
        layers = net.Linear(len(SIGNS) + 3 * len(INPUTS), hidden), net.ReLU(), net.Linear(hidden, hidden), net.ReLU()
        return net.Sequential(*layers, net.Linear(hidden, 1))

    def _remembered(self, step: Step) -> dict[str, np.ndarray]:
        """The columns that ``_learn`` needs, of the turns whose answer could be read."""
        now, later = self._rows(step.before), self._rows(step.after)
        shown = (step.before["candidates"][:, None] == step.slate[:, :, None]).argmax(axis=2)
        upcoming = self._choose(later, step.after["candidates"])
        columns = {
            "now": np.take_along_axis(now, shown[:, :, None], axis=1),
            "picked": (step.slate == step.item[:, None]).argmax(axis=1),
            "reward": step.reward.astype(np.float32),
            "later": np.take_along_axis(later, upcoming[:, :, None], axis=1),
            "stays": ~step.gone,
        }
        return {name: column[step.item > 0] for name, column in columns.items()}

    def _rows(self, observations: Mapping[str, np.ndarray]) -> np.ndarray:
        """What the networks see of each candidate, float32 (B, C, R): its inputs and the moment."""
        inputs = self._inputs.of_candidates(observations)
        moment = self._inputs.of_moment(observations, inputs)
        moment = np.broadcast_to(moment[:, None], (*inputs.shape[:2], moment.shape[1]))
        return np.concatenate([inputs, moment], axis=2)

    def _choose(self, rows: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        torch = import_torch()
        with torch.no_grad():
            inputs = torch.from_numpy(rows)
            logits, value = (net(inputs)[..., 0].double().numpy() for net in (self._appeal, self._value))
        logits = np.where(candidates > 0, logits, -np.inf)
        appeal = np.exp(np.maximum(logits - logits.max(axis=1, keepdims=True), -20))
        return best_slate(appeal, value, candidates, self.setting.config.slate, self.config.slates == "exact")

    def _learn(self, batch: Mapping[str, np.ndarray]) -> None:
        torch = import_torch()
        now, picked, reward, later, stays = (torch.from_numpy(column) for column in batch.values())
        with torch.no_grad():
            chance = self._appeal(later)[..., 0].softmax(dim=1)
            worth = (chance * self._slow(later)[..., 0]).sum(dim=1)
            target = reward + self.config.gamma * worth * stays
        own = self._value(now)[..., 0].gather(1, picked[:, None])[:, 0]
        loss = torch.nn.functional.smooth_l1_loss(own, target)
        loss = loss + torch.nn.functional.cross_entropy(self._appeal(now)[..., 0], picked)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(self._slow.parameters(), self._value.parameters(), strict=True):
                slow.lerp_(fast, 0.01)


@final
class Memory:
    """The newest rows of several columns."""

    def __init__(self, size: int) -> None:
        self._size, self._columns, self._count = size, {}, 0

    def __len__(self) -> int:
        return min(self._count, self._size)

    def add(self, **columns: np.ndarray) -> None:
        """Add B rows in place of the oldest ones."""
        if not self._columns:
            self._columns = {name: np.zeros((self._size, *c.shape[1:]), c.dtype) for name, c in columns.items()}
        place = (self._count + np.arange(len(columns["reward"]))) % self._size
        for name, column in columns.items():
            self._columns[name][place] = column
        self._count += len(place)

    def draw(self, rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
        """Random rows, with repetition."""
        rows = rng.integers(len(self), size=size)
        return {name: column[rows] for name, column in self._columns.items()}
