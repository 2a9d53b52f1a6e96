"""Decisions a second of the environments, beside bare ones and SARDINE; import and loading times.

Run: python benchmarks/speed.py [world]        (pip install sardine-rec to have SARDINE beside them)
Figures are the best of several rounds in this one process, taken in turn; SARDINE is timed once.
"""

import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

import vrsim  # noqa: F401  registers the environments
from vrsim.envs.decision import decision_spaces

ROUNDS = 7


class Bare(gym.Env):
    """The least an environment with these spaces can do: copy rows out of arrays, compare one number."""

    metadata = {"render_modes": [], "render_fps": 1}

    def __init__(self, episodes) -> None:
        self.observation_space, self.action_space = decision_spaces(episodes)
        self.columns = episodes.positions, episodes.histories, episodes.slates
        self.answers = episodes.answers.tolist()
        self.i = 0

    def _observe(self) -> dict[str, np.ndarray]:
        position, history, slate = self.columns
        return {
            "position": position[self.i].copy(),
            "history": history[self.i].copy(),
            "slate": slate[self.i].copy(),
        }

    def reset(self, *, seed=None, options=None):
        self.i = (self.i + 1) % len(self.answers)
        return self._observe(), {}

    def step(self, action):
        return self._observe(), 2.0 * (action == self.answers[self.i]), True, False, {}


class BareVector(VectorEnv):
    """The same as one batch."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, episodes, num_envs: int) -> None:
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = decision_spaces(episodes)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.episodes, self.rng = episodes, np.random.default_rng(0)
        self.index = self.rng.integers(len(episodes), size=num_envs)

    def step(self, actions):
        reward = 2.0 * (actions == self.episodes.answers[self.index])
        self.index = self.rng.integers(len(self.episodes), size=self.num_envs)
        done = np.ones(self.num_envs, bool)
        return self.episodes.observe(self.index), reward, done, ~done, {}


def scalar_rate(env: gym.Env, n: int = 30_000) -> float:
    started = time.perf_counter()
    for _ in range(n):
        env.reset()
        env.step(1)
    return n / (time.perf_counter() - started)


def vector_rate(env: VectorEnv, n: int = 300) -> float:
    actions = np.ones(env.num_envs, np.int64)
    started = time.perf_counter()
    for _ in range(n):
        env.step(actions)
    return n * env.num_envs / (time.perf_counter() - started)


def sardine_rate() -> float:
    import sardine  # noqa: F401

    env = gym.make("sardine/SlateTopK-Bored-v0")
    env.reset(seed=0)
    n, started = 3_000, time.perf_counter()
    for _ in range(n):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()
    return n / (time.perf_counter() - started)


def seconds(code: str) -> float:
    """Time of a statement in a fresh interpreter, without the interpreter's own start."""
    timed = f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", timed], check=True, capture_output=True, text=True).stdout)


def best(measures: dict[str, Callable[[], float]], rounds: int = ROUNDS, least: bool = False) -> dict[str, float]:
    """The best of several rounds of each measure, taken in turn: the largest, or with ``least`` the smallest."""
    taken = [{name: measure() for name, measure in measures.items()} for _ in range(rounds)]
    return {name: (min if least else max)(row[name] for row in taken) for name in measures}


def main() -> None:
    world = sys.argv[1] if len(sys.argv) > 1 else "ml-100k"
    env = gym.make("vrsim/Selection-v0", world=world)
    episodes = env.unwrapped.episodes
    gym.register("Bare-v0", entry_point=lambda: Bare(episodes))
    bare = gym.make("Bare-v0")
    vector = gym.make_vec("vrsim/Selection-v0", num_envs=4096, world=world)
    bare_vector = BareVector(episodes, 4096)
    env.reset(seed=0), bare.reset(seed=0), vector.reset(seed=0)

    rates = best({"vrsim": lambda: scalar_rate(env), "bare": lambda: scalar_rate(bare)})
    print(f"scalar decisions a second: {rates['vrsim']:,.0f}; bare environment {rates['bare']:,.0f}; "
          f"ratio {rates['vrsim'] / rates['bare']:.2f}")  # fmt: skip
    rates = best({"vrsim": lambda: vector_rate(vector), "bare": lambda: vector_rate(bare_vector)})
    print(f"vector decisions a second at 4,096: {rates['vrsim']:,.0f}; bare {rates['bare']:,.0f}")
    if importlib.util.find_spec("sardine"):
        print(f"SARDINE steps a second: {sardine_rate():,.0f}")
    times = best(
        {
            "gymnasium": lambda: seconds("import gymnasium"),
            "vrsim": lambda: seconds("import vrsim"),
            "world": lambda: seconds(f"import vrsim.world, vrsim.worlds; t = time.perf_counter(); "
                                     f"vrsim.world.World.load({world!r})"),
        },
        least=True,
    )  # fmt: skip
    print(f"import gymnasium {times['gymnasium']:.3f} s; import vrsim {times['vrsim']:.3f} s; "
          f"ratio {times['vrsim'] / times['gymnasium']:.2f}")  # fmt: skip
    print(f"loading the world {world}: {times['world']:.3f} s")


if __name__ == "__main__":
    main()
