"""``sb3``: reinforcement learning on the environment itself, by an algorithm of Stable-Baselines3."""

import contextlib
import importlib.util
import inspect
import random
import warnings
from collections.abc import Iterator
from typing import Any, final

import gymnasium as gym
import numpy as np

from vrsim.agent import Agent, Decisions, Observations
from vrsim.baselines.features import SlateFeatures
from vrsim.episodes import Episodes
from vrsim.errors import DependencyError, EpisodeError, OptionError, UnknownNameError
from vrsim.seeding import derive
from vrsim.world import World

__all__ = ["SlateEnv", "StableBaselines"]

ALGORITHMS = ("A2C", "DQN", "PPO")  # those of Stable-Baselines3 that choose one of several actions
OWN = ("self", "policy", "env", "seed", "device", "verbose", "tensorboard_log", "_init_setup_model")  # set here
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
        if algorithm not in ALGORITHMS:
            raise UnknownNameError("algorithm", str(algorithm), ALGORITHMS)
        if type(steps) is not int or steps < 1:
            raise OptionError(f"steps must be an integer from 1, found {steps!r}")
        if options:  # a misspelt name is found here, not after the agents before it
            known = set(inspect.signature(_algorithm(algorithm).__init__).parameters).difference(OWN)
            for name in options:
                if name not in known:
                    raise UnknownNameError(f"option of {algorithm}", name, known | {"algorithm", "steps", "policy"})
        self._algorithm, self._steps, self._policy, self._options = algorithm, steps, policy, options
        self._features = SlateFeatures()
        self._model: Any = None

    def fit(self, world: World, training: Episodes) -> None:
        """Raises DependencyError, and OptionError for values that the algorithm refuses."""
        make = _algorithm(self._algorithm)
        from stable_baselines3.common.logger import Logger

        self._features.fit(world, training)
        env = SlateEnv(_environment(training), self._flat(self._features.of_all(training)))
        seed = derive(training.seed, "sb3", self._algorithm) % 2**31
        with _contained():
            try:
                model = make(self._policy, env, seed=seed, device="cpu", verbose=0, **self._options)
            except (TypeError, ValueError, AssertionError) as error:
                raise OptionError(f"{self._algorithm} refuses its options: {error}") from error
            model.set_logger(Logger(folder=None, output_formats=[]))  # by default each training leaves a folder behind
            self._model = model.learn(self._steps)

    def act(self, observations: Observations) -> Decisions:
        inputs = self._flat(self._features.of(observations))
        with _contained():
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


def _algorithm(name: str) -> Any:
    """The class of that name. Raises DependencyError."""
    if not importlib.util.find_spec("stable_baselines3"):
        raise DependencyError(
            "agent 'sb3' needs stable-baselines3, not installed here. "
            "Install vrsim with its extra: pip install -e '.[sb3]' in a checkout"
        )
    _torch()
    import stable_baselines3

    return getattr(stable_baselines3, name)


def _torch() -> Any:
    from vrsim.recommender.recbole_setup import import_torch  # its threads may not spin, whoever comes first

    return import_torch()


@contextlib.contextmanager
def _contained() -> Iterator[None]:
    """One thread, and the global generators as they were afterwards; warnings stay inside."""
    torch = _torch()
    states, threads = (random.getstate(), np.random.get_state()), torch.get_num_threads()
    torch.set_num_threads(1)  # the networks are small: on two busy cores two threads took seven times as long
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations, and hints about batch sizes
            yield
    finally:
        torch.set_num_threads(threads)
        random.setstate(states[0])
        np.random.set_state(states[1])
