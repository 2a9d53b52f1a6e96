"""Conformance suite for environments in which the agent is the recommender: inherit it and set ``env_id``."""

import pickle
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env

__all__ = ["SessionContract"]


class SessionContract:
    """What every session environment owes Gymnasium, learning libraries and the benchmark."""

    env_id: str = ""
    kwargs: dict[str, Any] = {"world": "tiny"}

    def _make(self, **more: Any) -> gym.Env:
        return gym.make(self.env_id, **(self.kwargs | more))

    def test_passes_the_checker_of_gymnasium(self) -> None:
        for options in ({}, {"slate": 1}, {"render_mode": "ansi"}, {"render_mode": "rgb_array"}):
            check_env(self._make(**options).unwrapped)

    def test_equal_seeds_and_actions_give_equal_sessions(self) -> None:
        one, other = self._make(), self._make()
        for first, second in zip(_walk(one, 60, seed=5), _walk(other, 60, seed=5), strict=True):
            _same(first, second)

    def test_observations_lie_in_the_space_and_are_fresh(self) -> None:
        env = self._make()
        observation, _ = env.reset(seed=0)
        for array in observation.values():
            array[...] = 0
        for seen, *_ in _walk(env, 40, seed=1):
            assert seen in env.observation_space
            assert seen["features"].min() >= 0
            assert len(np.unique(seen["candidates"])) == len(seen["candidates"])
            for array in seen.values():
                array[...] = 0

    def test_leaving_terminates_and_the_time_limit_truncates(self) -> None:
        env, ends = self._make(), set()
        for _, _, terminated, truncated, info in _walk(env, 600, seed=2):
            assert type(terminated) is bool
            assert type(truncated) is bool
            assert terminated == (info["left"] and not info["returned"])
            ends |= {terminated and "left", truncated and "late"}
        assert ends >= {"left", "late"}

    def test_a_pinned_session_has_the_same_user_again(self) -> None:
        env = self._make()
        users = [env.reset(seed=seed, options={"episode": 3})[1]["user"] for seed in range(3)]
        assert len(set(users)) == 1
        assert env.reset(options={"episode": 4})[1]["user"] != users[0]

    def test_a_pickled_environment_goes_on_where_it_was(self) -> None:
        env = self._make()
        env.reset(seed=3)
        other = pickle.loads(pickle.dumps(env))
        for first, second in zip(_walk(env, 30), _walk(other, 30), strict=True):
            _same(first, second)

    def test_its_spec_survives_json(self) -> None:
        env = self._make(boredom=0.3)
        again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
        for first, second in zip(_walk(env, 20, seed=1), _walk(again, 20, seed=1), strict=True):
            _same(first, second)

    def test_scalar_and_vector_go_the_same_way(self) -> None:
        vector = gym.make_vec(self.env_id, num_envs=3, **self.kwargs)
        scalars = [self._make() for _ in range(3)]
        seen, _ = vector.reset(seed=11)
        own = [env.reset(seed=11 + i)[0] for i, env in enumerate(scalars)]
        rng = np.random.default_rng(0)
        for _ in range(200):  # past the first chunk of drawn numbers
            for name in seen:
                np.testing.assert_array_equal(seen[name], np.stack([o[name] for o in own]))
            actions = rng.integers(vector.single_action_space.nvec, size=(3, len(vector.single_action_space.nvec)))
            seen, rewards, terminated, truncated, info = vector.step(actions)
            steps = [env.step(action) for env, action in zip(scalars, actions, strict=True)]
            np.testing.assert_array_equal(rewards, [step[1] for step in steps])
            np.testing.assert_array_equal(terminated, [step[2] for step in steps])
            np.testing.assert_array_equal(truncated, [step[3] for step in steps])
            for name in ("user", "slate", "item", "consumed", "satisfaction", "left", "returned", "instruction"):
                np.testing.assert_array_equal(info[name], [step[4][name] for step in steps])
            own = [env.reset()[0] if step[2] or step[3] else step[0] for env, step in zip(scalars, steps, strict=True)]


def _walk(env: gym.Env, steps: int, seed: int | None = None) -> list[tuple[Any, ...]]:
    """Random slates for some turns, new sessions begun as needed; with ``seed`` from a fresh start."""
    rng, results = np.random.default_rng(0), []
    if seed is not None:
        env.reset(seed=seed)
    for _ in range(steps):
        results.append(env.step(rng.integers(env.action_space.nvec)))
        if results[-1][2] or results[-1][3]:
            env.reset()
    return results


def _same(first: tuple[Any, ...], second: tuple[Any, ...]) -> None:
    for name in first[0]:
        np.testing.assert_array_equal(first[0][name], second[0][name])
    assert first[1:4] == second[1:4]
    np.testing.assert_equal(first[4], second[4])
