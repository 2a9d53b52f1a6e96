"""Sessions whose actions are weights: what algorithms are given that know no slates."""

from collections.abc import Mapping
from typing import Any, final

import gymnasium as gym
import numpy as np

from vrsim.baselines.recommending.inputs import INPUTS, SIGNS, Inputs
from vrsim.session.policy import SessionSetting

__all__ = ["RULES", "Ranked", "as_vec_env", "lead_and_rest"]

N = len(INPUTS) - 1  # the constant orders nothing
SPREAD = 2.0  # how far an action moves a weight


def _weights(**own: float) -> np.ndarray:
    row = np.zeros(N)
    for name, weight in own.items():
        row[INPUTS.index(name.replace("_", " "))] = weight
    return row


GREEDY = _weights(rank=1, shown=-10)
WANTED = {"picked": 4, "liked": 2, "alike": 1, "recent": -1, "shown": -10}
_LEADS = GREEDY, _weights(liked=4, recent=-1, shown=-10), _weights(picked=4, shown=-10), _weights(**WANTED)
_RESTS = GREEDY, _weights(picked=-4, alike=-1), _weights(rank=1, picked=-2, shown=-10)
RULES = np.array([np.concatenate([lead, rest]) for lead in _LEADS for rest in _RESTS])
"""Weights to choose from, float (12, 2 N); the first are those of the greedy policy."""


def lead_and_rest(weights: np.ndarray, inputs: np.ndarray, candidates: np.ndarray, size: int) -> np.ndarray:
    """Slates of one lead and the rest, int64 (B, size): the best by the first N weights, then by the others.

    ``weights`` float (B, 2 N), ``inputs`` (B, C, N + 1), ``candidates`` int64 (B, C), 0 = none: comes last. A user
    picks one item of a slate and is bored by all that were in it, so the rest had better not compete with the lead,
    and not be what could lead the next slates.
    """
    inputs = inputs[..., :N]
    lead, rest = (np.einsum("bcf,bf->bc", inputs, half) for half in (weights[:, :N], weights[:, N:]))
    best = np.where(candidates > 0, lead, -np.inf).argmax(axis=1)
    rest = np.where(candidates > 0, rest, -np.inf)
    rest[np.arange(len(best)), best] = np.inf
    return np.argsort(-rest, axis=1, kind="stable")[:, :size]


@final
class Ranked:
    """What an algorithm sees and does: Inputs.of_moment, and weights or one of the RULES."""

    def __init__(self, setting: SessionSetting, inputs: Inputs, discrete: bool) -> None:
        self._inputs, self._size, self._discrete = inputs, setting.config.slate, discrete
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (len(SIGNS) + 2 * len(INPUTS),), np.float32)
        weights = gym.spaces.Box(-1, 1, (2 * N,), np.float32)  # added, times SPREAD, to those of the greedy policy
        self.action_space = gym.spaces.Discrete(len(RULES)) if discrete else weights

    def see(self, observations: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The moment, float32 (B, S), and the inputs of the candidates."""
        inputs = self._inputs.of_candidates(observations)
        return self._inputs.of_moment(observations, inputs), inputs

    def places(self, actions: np.ndarray, inputs: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """The slates that B actions mean, int64 (B, K)."""
        weights = RULES[actions] if self._discrete else np.tile(GREEDY, 2) + SPREAD * np.clip(actions, -1, 1)
        return lead_and_rest(weights, inputs, candidates, self._size)


def as_vec_env(setting: SessionSetting, ranked: Ranked, num_envs: int) -> Any:
    """The native vector environment of training users, as a VecEnv of Stable-Baselines3."""
    from stable_baselines3.common.vec_env import VecEnv

    class RankedVecEnv(VecEnv):
        render_mode = None

        def __init__(self) -> None:
            self._env = setting.make_vec(num_envs)
            super().__init__(num_envs, ranked.observation_space, ranked.action_space)

        def reset(self) -> np.ndarray:
            self._observations, _ = self._env.reset(seed=self._seeds[0])
            self._reset_seeds()
            return self._look()

        def step_async(self, actions: np.ndarray) -> None:
            self._actions = actions

        def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
            places = ranked.places(self._actions, self._seen, self._observations["candidates"])
            places = places[:, 0] if places.shape[1] == 1 else places
            self._observations, rewards, gone, truncated, info = self._env.step(places)
            over = gone | truncated
            told: list[dict[str, Any]] = [{} for _ in range(num_envs)]
            if over.any():
                rows = np.flatnonzero(over)
                last, _ = ranked.see({name: column[rows] for name, column in info["final_obs"].items()})
                for row, seen in zip(rows.tolist(), last, strict=True):
                    told[row] = {"terminal_observation": seen, "TimeLimit.truncated": bool(truncated[row])}
            return self._look(), rewards.astype(np.float32), over, told

        def _look(self) -> np.ndarray:
            moment, self._seen = ranked.see(self._observations)
            return moment

        def close(self) -> None:
            self._env.close()

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            return [getattr(self, attr_name)] * num_envs

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
            setattr(self, attr_name, value)

        def env_method(self, method_name: str, *args: Any, indices: Any = None, **options: Any) -> list[Any]:
            return [getattr(self, method_name)(*args, **options)] * num_envs

        def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
            return [False] * num_envs

    return RankedVecEnv()
