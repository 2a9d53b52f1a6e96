"""Stable-Baselines3, imported where it is used: its algorithms by name, seeded, silent, and without side effects."""

import contextlib
import importlib.util
import inspect
import random
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from vrsim.errors import DependencyError, OptionError, UnknownNameError
from vrsim.threads import import_torch

__all__ = ["ALGORITHMS", "algorithm_class", "check_training", "contained", "need", "train"]

ALGORITHMS = ("A2C", "DQN", "PPO")  # those of Stable-Baselines3 that choose one of several actions
OWN = ("self", "policy", "env", "seed", "device", "verbose", "tensorboard_log", "_init_setup_model")  # set here


def check_training(who: str, algorithm: str, steps: int, options: Mapping[str, Any]) -> None:
    """Refuse what cannot be trained with, before anything is. Raises UnknownNameError, OptionError, DependencyError.

    ``who`` is the agent that asks, for example "agent 'sb3'"; ``options`` go to the algorithm.
    """
    if algorithm not in ALGORITHMS:
        raise UnknownNameError("algorithm", str(algorithm), ALGORITHMS)
    if type(steps) is not int or steps < 1:
        raise OptionError(f"steps must be an integer from 1, found {steps!r}")
    if options:  # a misspelt name is found here, not after the agents before it
        known = set(inspect.signature(algorithm_class(who, algorithm).__init__).parameters).difference(OWN)
        for name in options:
            if name not in known:
                raise UnknownNameError(f"option of {algorithm}", name, known | {"algorithm", "steps", "policy"})


def algorithm_class(who: str, name: str) -> Any:
    """The class of that name. Raises DependencyError."""
    need(who, "stable_baselines3")
    import_torch()  # its threads may not spin, whoever comes first
    import stable_baselines3

    return getattr(stable_baselines3, name)


def need(who: str, module: str) -> None:
    """Raise DependencyError unless ``module``, stable_baselines3 or torch, is installed."""
    if not importlib.util.find_spec(module):
        raise DependencyError(
            f"{who} needs {module.replace('_', '-')}, not installed here. "
            "Install vrsim with its extra: pip install -e '.[sb3]' in a checkout"
        )


def train(make: Any, policy: str, env: Any, seed: int, steps: int, options: Mapping[str, Any]) -> Any:
    """A trained model of an ``algorithm_class``; ``seed`` below 2 ** 31. Raises OptionError for what it refuses."""
    from stable_baselines3.common.logger import Logger

    with contained():
        try:
            model = make(policy, env, seed=seed, device="cpu", verbose=0, **options)
        except (TypeError, ValueError, AssertionError) as error:
            raise OptionError(f"{make.__name__} refuses its options: {error}") from error
        model.set_logger(Logger(folder=None, output_formats=[]))  # by default each training leaves a folder behind
        return model.learn(steps)


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """One thread, and the global generators as they were afterwards; warnings stay inside."""
    torch = import_torch()
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
