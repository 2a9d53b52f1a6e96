"""The conformance suites can fail: whoever breaks a rule is caught by the test of that name."""

import gymnasium as gym
import numpy as np
import pytest

from vrsim.agent import Agent, Decisions, n_options
from vrsim.envs import SelectionEnv, SelectionVectorEnv
from vrsim.episodes import make_episodes
from vrsim.testing import AgentContract, EnvironmentContract, without_future
from vrsim.world import World


def rules(suite: type) -> list[str]:
    return [name for name in dir(suite) if name.startswith("test_")]


# Agents: one that keeps every rule, and others that break one each


class Honest(Agent):
    """Random from the seed, with probabilities."""

    world: World
    rng = np.random.default_rng(0)

    def fit(self, world, training):
        self.world = world

    def reset(self, seed):
        self.rng = np.random.default_rng(seed)

    def act(self, observations):
        size, options = len(observations["slate"]), n_options(observations)
        chance = np.full(observations["slate"].shape, 1 / options)
        return Decisions(self.rng.integers(options, size=size), probability=chance)


class NoAgent:
    fit, reset, act, learn = Honest.fit, Honest.reset, Honest.act, Honest.learn


class TooHigh(Honest):
    def act(self, observations):
        return Decisions(np.full(len(observations["slate"]), n_options(observations)))


class Negative(Honest):
    def act(self, observations):
        return Decisions(np.full(len(observations["slate"]), -1))


class OneTooMany(Honest):
    def act(self, observations):
        return Decisions(np.zeros(len(observations["slate"]) + 1, np.int64))


class BareArray(Honest):
    def act(self, observations):
        return super().act(observations).action


class Squeezes(Honest):
    def act(self, observations):
        return Decisions(np.squeeze(super().act(observations).action))


class OddsForChances(Honest):
    def act(self, observations):
        return Decisions(super().act(observations).action, probability=np.full(observations["slate"].shape, 1.5))


class DoesNotAddUp(Honest):
    def act(self, observations):
        return Decisions(super().act(observations).action, probability=np.full(observations["slate"].shape, 0.6))


class BelowZero(Honest):
    def act(self, observations):
        return Decisions(super().act(observations).action, probability=np.full(observations["slate"].shape, -0.1))


class BothAnswers(Honest):
    def act(self, observations):
        action = super().act(observations).action
        return Decisions(
            action, probability=np.full((len(action), n_options(observations)), 1 / n_options(observations))
        )


class IgnoresTheSeed(Honest):
    def reset(self, seed):
        self.rng = np.random.default_rng()


class NeverResets(Honest):
    def reset(self, seed):
        pass


class SortsTheSlate(Honest):
    def act(self, observations):
        observations["slate"].sort(axis=1)
        observations["history"][:] = 0
        return super().act(observations)


class LooksAtTheAnswer(Honest):
    def pick(self, likes):
        return Decisions(likes[:, 0].astype(np.int64) if likes.shape[1] == 1 else likes.argmax(axis=1))

    def act(self, observations):
        users, t = observations["position"].T
        interactions = self.world.interactions
        return self.pick(interactions.items[interactions.offsets[users] + t][:, None] == observations["slate"])


class LooksAtWhatAUserEverTook(LooksAtTheAnswer):
    def act(self, observations):
        users = observations["position"][:, :1]
        return self.pick(self.world.interactions.contains(users, observations["slate"]))


class CountsTheFuture(LooksAtTheAnswer):
    def act(self, observations):
        counts = np.bincount(self.world.interactions.items, minlength=self.world.n_items + 1)
        scores = counts[observations["slate"]]
        return self.pick(scores % 2 if scores.shape[1] == 1 else scores)


class LooksAtTheRankOfTheAnswer(LooksAtTheAnswer):
    def act(self, observations):
        row = (observations["position"][:, 0] + 1) * self.world.holdout - 1
        rank = self.world.target_ranks[row]
        listed = np.minimum(rank, self.world.candidates.shape[1]) - 1
        return self.pick(self.world.candidates[row, listed][:, None] == observations["slate"])


class CannotLearn(Honest):
    def learn(self, decisions, rewards):
        raise ValueError("nothing more fits in here")


BROKEN_AGENTS = {
    "test_is_an_agent": [NoAgent],
    "test_answers_every_question_with_an_action_that_exists": [TooHigh, Negative, OneTooMany, BareArray],
    "test_answers_a_single_question": [Squeezes, OneTooMany],
    "test_probabilities_are_probabilities": [OddsForChances, DoesNotAddUp, BelowZero, BothAnswers],
    "test_equal_seeds_and_observations_give_equal_decisions": [IgnoresTheSeed, NeverResets],
    "test_does_not_change_the_observations": [SortsTheSlate],
    "test_does_not_read_the_future_of_the_users_it_is_asked_about": [
        LooksAtTheAnswer,
        LooksAtWhatAUserEverTook,
        CountsTheFuture,
        LooksAtTheRankOfTheAnswer,
    ],
    "test_survives_learning": [CannotLearn],
}


def suite_of(agent: type) -> AgentContract:
    class Suite(AgentContract):
        def make(self):
            return agent()

    return Suite()


def test_every_rule_for_agents_has_someone_who_breaks_it():
    assert sorted(BROKEN_AGENTS) == rules(AgentContract)


@pytest.mark.parametrize("rule", rules(AgentContract))
def test_an_honest_agent_passes(rule):
    getattr(suite_of(Honest), rule)()


@pytest.mark.parametrize(
    ("rule", "agent"),
    [pytest.param(rule, agent, id=agent.__name__) for rule, agents in BROKEN_AGENTS.items() for agent in agents],
)
def test_an_agent_that_breaks_a_rule_is_caught(rule, agent):
    with pytest.raises((AssertionError, TypeError, ValueError, AttributeError)):
        getattr(suite_of(agent), rule)()


def test_a_suite_without_an_agent_says_what_to_write():
    with pytest.raises(TypeError, match=r"make\(\)"):
        AgentContract().test_is_an_agent()


def test_a_world_without_future_differs_in_the_held_out_interactions_only():
    world = World.load("tiny:holdout=2")
    users = np.array([0, 7, world.n_users - 1])
    other = without_future(world, users)
    for user in range(world.n_users):
        mine, theirs = world.interactions.of(user), other.interactions.of(user)
        np.testing.assert_array_equal(mine[:-2], theirs[:-2])
        if user in users:
            assert not set(theirs[-2:].tolist()) & set(mine.tolist())
        else:
            np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(world.candidates, other.candidates)
    np.testing.assert_array_equal(world.popularity, other.popularity)
    users, t = world.held_out
    histories = world.interactions.histories(users, t, 50)
    keep = t < world.interactions.lengths[users] - 1  # the histories that hold no held-out interaction
    mine, theirs = (w.recommender.score(users[keep], histories[keep]) for w in (world, other))
    np.testing.assert_array_equal(mine, theirs)


def test_making_a_world_without_future_leaves_the_world_alone():
    world = World.load("tiny")
    before, popularity = world.interactions.items.copy(), world.popularity
    without_future(world, np.arange(world.n_users))
    np.testing.assert_array_equal(world.interactions.items, before)
    assert world.popularity is popularity
    assert make_episodes(world, "uniform", "selection").world is world


# Environments: likewise


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
