"""Simulated users whose worth is known, for the tests of fidelity."""

import numpy as np

from vrsim.agent import Agent, Decisions

__all__ = ["JUDGES"]


class Judge(Agent):
    """Answers by a rule about the world, the users and the items, which are int64 (B,) each."""

    def fit(self, world, training):
        self.world = world

    def act(self, observations):
        chance = self.chance(observations["position"][:, 0], observations["slate"][:, 0])
        return Decisions((chance >= 0.5).astype(np.int64), probability=chance[:, None])


class Seer(Judge):
    """Knows the future: Yes to what the user takes next."""

    def chance(self, users, items):
        return (self.world.targets[users] == items).astype(float)


class Contrary(Seer):
    """Knows the future and says the opposite."""

    def chance(self, users, items):
        return 1 - super().chance(users, items)


class Ranked(Judge):
    """Likes what the world's recommender ranks high; a little more what has an even number, for odd users."""

    def chance(self, users, items):
        place = (self.world.candidates[users] == items[:, None]).argmax(axis=1)
        found = (self.world.candidates[users] == items[:, None]).any(axis=1)
        return np.where(found, 0.9 - place / 200, 0.1) + 0.01 * (users % 2) * (items % 2 == 0)


class Terse(Seer):
    """Tells no probabilities, and cannot be read about every third item."""

    def act(self, observations):
        decisions = super().act(observations)
        return Decisions(decisions.action, valid=observations["slate"][:, 0] % 3 > 0)


class Moody(Judge):
    """Says something else with every seed."""

    def reset(self, seed):
        self.rng = np.random.default_rng(seed)

    def chance(self, users, items):
        return self.rng.random(len(users))


JUDGES = {judge.__name__.lower(): f"{__name__}:{judge.__name__}" for judge in (Seer, Contrary, Ranked, Terse, Moody)}
