"""Conformance suite for recommender agents: inherit it in three lines and run pytest.

::

    class TestMyPolicy(vrsim.testing_policies.PolicyContract):
        def make(self):
            return MyPolicy()

Each test is a rule, named as a sentence. The suite runs on the tiny world and needs pytest.
"""

import copy
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np

from vrsim.session import SessionConfig, Sessions
from vrsim.session.loop import play_sessions
from vrsim.session.policy import Policy, SessionSetting
from vrsim.simulated_user import SimulatedUser
from vrsim.testing import without_future
from vrsim.world import World

__all__ = ["PolicyContract"]

USERS = 12


@cache
def _user() -> SimulatedUser:
    return SimulatedUser("content", World.load("tiny"))


@cache
def _blind_user() -> SimulatedUser:
    """The same one in a world in which test users did something else from their first held-out position on."""
    world = World.load("tiny")
    positions = Sessions(_user(), SessionConfig(), 1).positions
    return SimulatedUser("content", without_future(world, np.stack(world.held_out, axis=1)[positions]))


class PolicyContract:
    """What every policy owes the loop of sessions. Inherit and write ``make``."""

    configs = (SessionConfig(), SessionConfig(candidates=6, slate=1), SessionConfig(slate=20, no_repeat=False))

    def make(self) -> Policy:
        """A fresh, unfitted policy."""
        raise TypeError("a PolicyContract needs a make() that returns the policy to test")

    def _fitted(self, config: SessionConfig, user: SimulatedUser | None = None) -> Policy:
        policy = self.make()
        policy.fit(SessionSetting(user or _user(), config))
        return policy

    def test_is_a_policy(self) -> None:
        assert isinstance(self.make(), Policy)

    def test_shows_different_candidates_that_exist(self) -> None:
        for config in self.configs:
            for observations, places in _walk(self._fitted(config), config):
                assert places.shape == (USERS, config.slate)
                assert places.dtype.kind in "iu"
                assert (np.take_along_axis(observations["candidates"], places, axis=1) > 0).all()
                assert all(len(set(row)) == len(row) for row in places.tolist())

    def test_shows_a_slate_to_a_single_user(self) -> None:
        config = self.configs[0]
        observations, _ = next(_walk(self._fitted(config), config))
        policy = self._fitted(config)
        policy.reset(0)
        one = policy.act({name: column[:1] for name, column in observations.items()}, [""])
        assert one.shape == (1, config.slate)

    def test_equal_seeds_and_observations_give_equal_slates(self) -> None:
        config = self.configs[0]
        one, other = self._fitted(config), self._fitted(config)
        for (_, first), (_, second) in zip(_walk(one, config, 7), _walk(other, config, 7), strict=True):
            np.testing.assert_array_equal(first, second)

    def test_does_not_change_the_observations(self) -> None:
        config = self.configs[0]
        policy = self._fitted(config)
        observations, _ = next(_walk(policy, config))
        before = copy.deepcopy(observations)
        policy.act(observations, [""] * USERS)
        for name, column in before.items():
            np.testing.assert_array_equal(column, observations[name])

    def test_survives_learning(self) -> None:
        for config in self.configs:
            log = play_sessions(self.make(), SessionSetting(_user(), config, turns=6), users=USERS)
            assert log.over.sum() == USERS

    def test_does_not_read_the_future_of_the_users_it_is_asked_about(self) -> None:
        config = self.configs[0]
        honest, blind = self._fitted(config), self._fitted(config, _blind_user())
        blind.reset(0)
        for observations, places in _walk(honest, config):
            np.testing.assert_array_equal(places, blind.act(observations, [""] * USERS))


def _walk(
    policy: Policy, config: SessionConfig, seed: int = 0, turns: int = 5
) -> Iterator[tuple[Mapping[str, np.ndarray], np.ndarray]]:
    """Observations and slates of sessions that nobody learns from."""
    sessions, rows = Sessions(_user(), config, USERS), np.arange(USERS)
    for row in rows:
        sessions.seed(row, np.random.default_rng([seed, row]))
    sessions.begin(rows, rows)
    policy.reset(seed)
    for _ in range(turns):
        observations: dict[str, Any] = sessions.observe()
        places = policy.act(copy.deepcopy(observations), [""] * USERS)
        yield observations, places
        sessions.show(rows, places)
