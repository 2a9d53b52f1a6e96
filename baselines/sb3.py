"""``sb3``: reinforcement learning on the environment itself, by an algorithm of Stable-Baselines3."""

from typing import Any, final

import gymnasium as gym
import numpy as np

from vrsim.agent import Agent, Decisions, Observations
from vrsim.baselines.features import SlateFeatures
from vrsim.baselines.reinforcement import algorithm_class, check_training, contained, train
from vrsim.episodes import Episodes
from vrsim.errors import EpisodeError
from vrsim.seeding import derive
from vrsim.world import World

__all__ = ["SlateEnv", "StableBaselines"]

LIMIT = 10.0  # deviations from the mean, beyond which a feature is cut


@final
class StableBaselines(Agent):
    """A policy trained by trial and reward on the training users' episodes, ``steps`` of them.

    It sees the features of vrsim.baselines.features, standardised, all items of the slate side by side. The
    further options are the algorithm's own: ``sb3:algorithm=DQN,learning_rate=0.001``. Training is seeded by
    the seed of the episodes, runs on the CPU and leaves the global generators as they were.
    """

    variants = ()  # needs a library that not everyone has, and minutes: played where it is named

    def __init__(self, algorithm: str = "PPO", steps: int = 20_000, policy: str = "MlpPolicy", **options: Any) -> None:
        check_training("agent 'sb3'", algorithm, steps, options)
        self._algorithm, self._steps, self._policy, self._options = algorithm, steps, policy, options
        self._features = SlateFeatures()
        self._model: Any = None

    def fit(self, world: World, training: Episodes) -> None:
        """Raises DependencyError, and OptionError for values that the algorithm refuses."""
        make = algorithm_class("agent 'sb3'", self._algorithm)
        self._features.fit(world, training)
        env = SlateEnv(_environment(training), self._flat(self._features.of_all(training)))
        seed = derive(training.seed, "sb3", self._algorithm) % 2**31
        self._model = train(make, self._policy, env, seed, self._steps, self._options)

    def act(self, observations: Observations) -> Decisions:
        inputs = self._flat(self._features.of(observations))
        with contained():
            action = self._model.predict(inputs, deterministic=True)[0]
            return Decisions(action, probability=self._probability(inputs, observations["slate"].shape[1]))

    def _flat(self, features: np.ndarray) -> np.ndarray:
        """Standardised features of B slates, float32 (B, K * F)."""
        features = (features - self._features.mean) / self._features.deviation
        return np.clip(features, -LIMIT, LIMIT).astype(np.float32).reshape(len(features), -1)

    def _probability(self, inputs: np.ndarray, size: int) -> np.ndarray | None:
        """Of each place, or of Yes, float (B, K); None for an algorithm that learns values instead."""
        if self._algorithm == "DQN":
            return None
        policy = self._model.policy
        distribution = policy.get_distribution(policy.obs_to_tensor(inputs)[0]).distribution
        probability = distribution.probs.detach().numpy().astype(float)
        probability /= probability.sum(axis=1, keepdims=True)
        return probability[:, 1:] if size == 1 else probability


@final
class SlateEnv(gym.Wrapper):
    """An environment of vrsim that shows, instead of items, a row of numbers for each of its episodes."""

    def __init__(self, env: gym.Env, rows: np.ndarray) -> None:
        super().__init__(env)
        self._rows = rows  # float32 (episodes, numbers), from -LIMIT to LIMIT
        self.observation_space = gym.spaces.Box(-LIMIT, LIMIT, rows.shape[1:], np.float32)

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict[str, Any]]:
        _, info = self.env.reset(**kwargs)
        return self._rows[info["episode_id"]].copy(), info

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        _, reward, terminated, truncated, info = self.env.step(action)
        return self._rows[info["episode_id"]].copy(), reward, terminated, truncated, info


def _environment(training: Episodes) -> gym.Env:
    """The environment that asks the training episodes. Raises EpisodeError if none does."""
    size = {"m": training.m} if training.task == "selection" else {}
    question = {"world": training.world, "protocol": training.protocol, "seed": training.seed, **size}
    env = gym.make(f"vrsim/{training.task.title()}-v0", disable_env_checker=True, split="train", **question)
    if env.unwrapped.episodes.hash != training.hash:
        raise EpisodeError(
            f"agent 'sb3' is trained on the {len(env.unwrapped.episodes)} training episodes that the environment "
            f"asks; the {len(training)} handed to fit() are others"
        )
    return env
