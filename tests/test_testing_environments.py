"""The conformance suite of environments can fail: whoever breaks a rule is caught by the test of that name."""

import gymnasium as gym
import numpy as np
import pytest

from vrsim.envs import SelectionEnv, SelectionVectorEnv
from vrsim.testing import EnvironmentContract
from vrsim.world import World


def rules(suite: type) -> list[str]:
    return [name for name in dir(suite) if name.startswith("test_")]


class HonestEnv(SelectionEnv):
    pass


class Floats(HonestEnv):
    def _observe(self):
        return {name: array.astype(float) for name, array in super()._observe().items()}


class OwnGenerator(HonestEnv):
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return super().reset(options=options or {"episode": np.random.default_rng().integers(len(self.episodes))})


class HandsOutItsArrays(HonestEnv):
    def _observe(self):
        i = self._episode
        return {"position": self._positions[i], "history": self._histories[i], "slate": self._slates[i]}


class TellsTheAnswer(HonestEnv):
    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed, options=options)
        return observation, info | {"answer": self._answers[self._episode]}


class NumpyFlag(HonestEnv):
    def step(self, action):
        *step, info = super().step(action)
        return *step, info | {"correct": np.bool_(info["correct"])}


class PaysForNothing(HonestEnv):
    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, 1.0, *rest


class PaysThePlaceBefore(HonestEnv):
    def step(self, action):
        observation, _, *rest = super().step(action)
        before = (self._answers[self._episode] - 1) % self._n_options
        return observation, 2.0 * (action == before), *rest


class Truncates(HonestEnv):
    def step(self, action):
        observation, reward, _, _, info = super().step(action)
        return observation, reward, False, True, info


class PaysInWholeNumbers(HonestEnv):
    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, int(reward), *rest


class ForgetsItsPlace(HonestEnv):
    def __getstate__(self):
        return self.__dict__ | {"_upcoming": []}


class OneSeedForAll(SelectionVectorEnv):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=None if seed is None else [seed] * self.num_envs, options=options)


class PaysDouble(SelectionVectorEnv):
    def step(self, actions):
        observation, reward, *rest = super().step(actions)
        return observation, 2 * reward, *rest


BROKEN_ENVIRONMENTS = {
    "test_passes_the_checker_of_gymnasium": [Floats, HandsOutItsArrays],
    "test_equal_seeds_give_equal_episodes": [OwnGenerator],
    "test_observations_lie_in_the_space_and_are_fresh": [Floats, HandsOutItsArrays],
    "test_the_answer_is_told_after_the_step_only": [TellsTheAnswer, NumpyFlag],
    "test_the_right_answer_earns_more_than_every_other": [
        PaysForNothing,
        PaysThePlaceBefore,
        Truncates,
        PaysInWholeNumbers,
    ],
    "test_a_pickled_environment_goes_on_where_it_was": [ForgetsItsPlace],
    "test_its_spec_survives_json": [World],  # made with a World instead of its name
    "test_scalar_and_vector_ask_the_same": [OneSeedForAll, PaysDouble, OwnGenerator],
}


@pytest.fixture
def suite_for():
    """A conformance suite for a class of environments, registered for the length of a test."""
    ids = []

    def make(cls: type) -> EnvironmentContract:
        scalar, vector = (HonestEnv, cls) if issubclass(cls, SelectionVectorEnv) else (cls, SelectionVectorEnv)
        scalar = HonestEnv if cls is World else scalar
        ids.append(f"broken/{cls.__name__}-v0")
        gym.register(
            ids[-1],
            entry_point=f"{__name__}:{scalar.__name__}",
            vector_entry_point=f"{vector.__module__}:{vector.__name__}",
        )

        class Suite(EnvironmentContract):
            env_id = ids[-1]
            kwargs = {"world": World.load("tiny") if cls is World else "tiny"}

        return Suite()

    yield make
    for env_id in ids:
        del gym.registry[env_id]


def test_every_rule_for_environments_has_someone_who_breaks_it():
    assert sorted(BROKEN_ENVIRONMENTS) == rules(EnvironmentContract)


@pytest.mark.parametrize("rule", rules(EnvironmentContract))
def test_an_honest_environment_passes(rule, suite_for):
    getattr(suite_for(HonestEnv), rule)()


@pytest.mark.filterwarnings("ignore::UserWarning")  # Gymnasium warns before it refuses
@pytest.mark.parametrize(
    ("rule", "cls"),
    [
        pytest.param(rule, cls, id=f"{cls.__name__}-{rule}")
        for rule, classes in BROKEN_ENVIRONMENTS.items()
        for cls in classes
    ],
)
def test_an_environment_that_breaks_a_rule_is_caught(rule, cls, suite_for):
    with pytest.raises((AssertionError, TypeError, ValueError)):
        getattr(suite_for(cls), rule)()
