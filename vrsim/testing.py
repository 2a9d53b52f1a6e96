"""Conformance suites for environments and agents: inherit one in three lines and run pytest.

::

    class TestMyAgent(vrsim.testing.AgentContract):
        def make(self):
            return MyAgent()

Each test is a rule, named as a sentence. The suites run on the tiny world and need pytest.
"""

import copy
import pickle
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pyarrow as pa
from gymnasium.utils.env_checker import check_env

from vrsim.agent import Agent, Decisions
from vrsim.episodes import Episodes, make_episodes
from vrsim.loop import play
from vrsim.world import World

__all__ = ["AgentContract", "EnvironmentContract", "without_future"]

QUESTIONS = (
    ("tiny", "vragent-paper", "judgment", 1),
    ("tiny", "uniform", "selection", 4),
    ("tiny:holdout=2", "uniform", "judgment", 1),
    ("tiny:holdout=2", "vragent-paper", "selection", 3),
)


def without_future(world: World, positions: np.ndarray) -> World:
    """The same world in which what happened at some positions and later is drawn anew: items, ratings, comments.

    ``positions`` is int64 (N, 2): user, t. Candidates and everything a recommender may learn from stay as
    they are; the ranks of the targets and their blocks are hidden. An agent that decides otherwise in this world has
    looked at an answer.
    """
    rng = np.random.default_rng(0)
    items = world.interactions.items.copy()
    later = np.zeros(len(items), bool)
    for user in np.unique(positions[:, 0]):
        begin = world.interactions.offsets[user] + positions[positions[:, 0] == user, 1].min()
        end = world.interactions.offsets[user + 1]
        unseen = np.setdiff1d(np.arange(1, world.n_items + 1), world.interactions.of(user))
        items[begin:end] = rng.choice(unseen, end - begin, replace=False)
        later[begin:end] = True
    old = world.interactions
    changed = copy.copy(world)
    said: dict[str, Any] = {}
    if old.ratings is not None:
        known = old.ratings[np.isfinite(old.ratings)]
        said["ratings"] = np.where(later, rng.choice(known, len(items)), old.ratings).astype(old.ratings.dtype)
    if old.comments is not None:
        told = zip(old.comments.to_pylist(), later.tolist(), strict=True)
        said["comments"] = pa.chunked_array([["another comment" if changed else words for words, changed in told]])
    object.__setattr__(changed, "interactions", replace(old, items=items, **said))
    for name in ("target_ranks", "blocks", "block_scores"):
        object.__setattr__(changed, name, np.zeros_like(getattr(world, name)))
    for name in ("popularity", "recommender", "targets"):  # computed from the interactions on first use
        changed.__dict__.pop(name, None)
    return changed


class AgentContract:
    """What every agent owes the loop. Inherit and write ``make``."""

    questions = QUESTIONS  # world, protocol, task, m; an agent that is made for one world asks about that one alone

    def make(self) -> Agent:
        """A fresh, unfitted agent."""
        raise TypeError("an AgentContract needs a make() that returns the agent to test")

    def _questions(self) -> list[Episodes]:
        return [make_episodes(World.load(world), *question) for world, *question in self.questions]

    def _fitted(self, episodes: Episodes) -> Agent:
        agent = self.make()
        agent.fit(episodes.world, episodes.training())
        return agent

    def _act(self, agent: Agent, observations: dict[str, np.ndarray], seed: int = 0) -> Decisions:
        agent.reset(seed)
        return agent.act({name: array.copy() for name, array in observations.items()})

    def test_is_an_agent(self) -> None:
        assert isinstance(self.make(), Agent)

    def test_answers_every_question_with_an_action_that_exists(self) -> None:
        for episodes in self._questions():
            decisions = self._act(self._fitted(episodes), episodes.observe(np.arange(len(episodes))))
            assert isinstance(decisions, Decisions)
            assert len(decisions) == len(episodes)
            assert decisions.action.min() >= 0
            assert decisions.action.max() < episodes.n_options

    def test_answers_a_single_question(self) -> None:
        for episodes in self._questions():
            decisions = self._act(self._fitted(episodes), episodes.observe(np.array([0])))
            assert len(decisions) == 1

    def test_probabilities_are_probabilities(self) -> None:
        for episodes in self._questions():
            decisions = self._act(self._fitted(episodes), episodes.observe(np.arange(len(episodes))))
            if decisions.probability is None:
                continue
            assert decisions.probability.shape == episodes.slates.shape
            assert decisions.probability.min() >= 0
            assert decisions.probability.max() <= 1
            if episodes.task == "selection":
                np.testing.assert_allclose(decisions.probability.sum(axis=1), 1, atol=1e-6)

    def test_equal_seeds_and_observations_give_equal_decisions(self) -> None:
        for episodes in self._questions():
            observations = episodes.observe(np.arange(len(episodes)))
            one, other = self._fitted(episodes), self._fitted(episodes)
            first = self._act(one, observations, seed=7)
            np.testing.assert_array_equal(first.action, self._act(one, observations, seed=7).action)
            np.testing.assert_array_equal(first.action, self._act(other, observations, seed=7).action)

    def test_does_not_change_the_observations(self) -> None:
        for episodes in self._questions():
            agent = self._fitted(episodes)
            observations = episodes.observe(np.arange(len(episodes)))
            before = copy.deepcopy(observations)
            agent.reset(0)
            agent.act(observations)
            for name, array in before.items():
                np.testing.assert_array_equal(array, observations[name])

    def test_a_decision_does_not_depend_on_the_other_questions_of_the_batch(self) -> None:
        for episodes in self._questions():
            agent = self._fitted(episodes)
            whole = self._act(agent, episodes.observe(np.arange(len(episodes))))
            for row in np.linspace(0, len(episodes) - 1, 25).astype(int):
                index = np.full(len(episodes), (row + 1) % len(episodes))  # all others ask the next question
                index[row] = row
                assert self._act(agent, episodes.observe(index)).action[row] == whole.action[row]

    def test_does_not_read_the_future_of_the_users_it_is_asked_about(self) -> None:
        for episodes in self._questions():
            other = without_future(episodes.world, episodes.positions)
            observations = episodes.observe(np.arange(len(episodes)))
            honest, blind = self.make(), self.make()
            honest.fit(episodes.world, episodes.training())
            blind.fit(other, episodes.training())
            np.testing.assert_array_equal(self._act(honest, observations).action, self._act(blind, observations).action)

    def test_survives_learning(self) -> None:
        for episodes in self._questions():
            played = play(self.make(), episodes, batch=64)
            assert len(played.correct) == len(episodes)


class EnvironmentContract:
    """What every one-decision environment owes Gymnasium and the benchmark. Inherit and set ``env_id``."""

    env_id: str = ""
    kwargs: dict[str, Any] = {"world": "tiny"}

    def _make(self, **more: Any) -> gym.Env:
        return gym.make(self.env_id, **(self.kwargs | more))

    def test_passes_the_checker_of_gymnasium(self) -> None:
        for mode in (None, "ansi", "rgb_array"):
            env = self._make(render_mode=mode)
            check_env(env.unwrapped)
            env.close()

    def test_equal_seeds_give_equal_episodes(self) -> None:
        one, other = self._make(), self._make()
        for seed in (5, None, None):
            first, second = one.reset(seed=seed), other.reset(seed=seed)
            assert first[1] == second[1]
            for name in first[0]:
                np.testing.assert_array_equal(first[0][name], second[0][name])

    def test_observations_lie_in_the_space_and_are_fresh(self) -> None:
        env = self._make()
        observation, _ = env.reset(seed=0, options={"episode": 0})
        assert observation in env.observation_space
        for array in observation.values():
            array[...] = -1
        again, _ = env.reset(options={"episode": 0})
        assert again in env.observation_space

    def test_the_answer_is_told_after_the_step_only(self) -> None:
        env = self._make()
        _, info = env.reset(seed=0)
        assert set(info) == {"episode_id"}
        info = env.step(0)[4]
        assert set(info) == {"episode_id", "answer", "correct"}
        assert type(info["correct"]) is bool

    def test_the_right_answer_earns_more_than_every_other(self) -> None:
        env = self._make()
        for episode in range(20):
            rewards = []
            for action in range(env.action_space.n):
                env.reset(options={"episode": episode})
                _, reward, terminated, truncated, info = env.step(action)
                assert (terminated, truncated) == (True, False)
                assert type(reward) is float
                rewards.append(reward)
            assert np.argmax(rewards) == info["answer"]
            assert sorted(rewards)[-1] > sorted(rewards)[-2]

    def test_a_pickled_environment_goes_on_where_it_was(self) -> None:
        env = self._make()
        env.reset(seed=3)
        other = pickle.loads(pickle.dumps(env))
        for _ in range(3):
            assert env.step(0)[4] == other.step(0)[4]
            assert env.reset()[1] == other.reset()[1]

    def test_its_spec_survives_json(self) -> None:
        env = self._make()
        spec = gym.envs.registration.EnvSpec.from_json(env.spec.to_json())
        again = gym.make(spec)
        assert again.reset(seed=1)[1] == env.reset(seed=1)[1]

    def test_scalar_and_vector_ask_the_same(self) -> None:
        vector = gym.make_vec(self.env_id, num_envs=3, **self.kwargs)
        scalars = [self._make() for _ in range(3)]
        seen, _ = vector.reset(seed=11)
        own = [env.reset(seed=11 + i)[0] for i, env in enumerate(scalars)]
        rng = np.random.default_rng(0)
        for _ in range(300):  # past the first chunk of drawn episodes
            for name in seen:
                np.testing.assert_array_equal(seen[name], np.stack([o[name] for o in own]))
            actions = rng.integers(vector.single_action_space.n, size=3)
            seen, rewards, terminated, truncated, info = vector.step(actions)
            steps = [env.step(int(action)) for env, action in zip(scalars, actions, strict=True)]
            np.testing.assert_array_equal(rewards, [s[1] for s in steps])
            np.testing.assert_array_equal(info["final_info"]["correct"], [s[4]["correct"] for s in steps])
            assert terminated.all()
            assert not truncated.any()
            own = [env.reset()[0] for env in scalars]
