"""Turns a second of Session-v0, and a million users in sessions of ten turns.

Run: python benchmarks/sessions.py speed [world]    the environment: scalar, vector, and with SASRec re-scored
     python benchmarks/sessions.py scale            10,000, 100,000 and 1,000,000 users: memory and time
Speeds are the best of several rounds, through gym.make and gym.make_vec. Every size of ``scale`` runs in a process of
its own, so that the peak is its own; worlds are synthetic.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np

import vrsim  # noqa: F401  registers the environment

ROUNDS = 5
ITEMS, LENGTH, DEPTH, TURNS = 100_000, 20, 40, 10
SIZES = (10_000, 100_000, 1_000_000)
TESTED = 0.99  # share of the users who are test users; the others are learned from


def scalar(world: str, user: str, turns: int = 4_000) -> float:
    """Turns a second of the scalar environment."""
    env = gym.make("vrsim/Session-v0", world=world, user=user, disable_env_checker=True)
    slates = _slates(1)
    env.reset(seed=0)
    best = 0.0
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for turn in range(turns):
            over = env.step(slates[turn % len(slates)][0])[2:4]
            if any(over):
                env.reset()
        best = max(best, turns / (time.perf_counter() - started))
    return best


def vector(world: str, user: str, size: int = 1024, steps: int = 200, **options: bool) -> float:
    """Turns a second of the native vector environment."""
    env = gym.make_vec("vrsim/Session-v0", num_envs=size, world=world, user=user, **options)
    slates = _slates(size)
    env.reset(seed=0)
    env.step(slates[0])
    best = 0.0
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for step in range(steps):
            env.step(slates[step % len(slates)])
        best = max(best, size * steps / (time.perf_counter() - started))
    return best


def _slates(size: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [np.argsort(rng.random((size, 20)), axis=1)[:, :5] for _ in range(16)]


def play(folder: Path, users: int) -> dict[str, float | int]:
    """Sessions with ``users`` test users of a synthetic world, greedy against popularity, written to a file."""
    from vrsim.protocols import get_protocol
    from vrsim.registry import make_policy
    from vrsim.session import Mood, SessionConfig
    from vrsim.session.files import write_sessions
    from vrsim.session.loop import play_sessions
    from vrsim.session.policy import SessionSetting
    from vrsim.simulated_user import SimulatedUser
    from vrsim.world import World

    started = time.perf_counter()
    world = World.load(folder)
    everyone = replace(get_protocol("uniform"), test_share=TESTED)
    user = SimulatedUser("popularity", world, everyone)
    setting = SessionSetting(user, SessionConfig(mood=Mood(patience=TURNS + 1)), turns=TURNS)
    shown = [0.0]

    def progress(done: float, total: float, what: str) -> None:
        if time.perf_counter() - shown[0] > 10:
            shown[0] = time.perf_counter()
            print(f"  {done:,.0f} of {total:,.0f} sessions", file=sys.stderr, flush=True)

    log = play_sessions(make_policy("greedy"), setting, users, progress=progress)
    played = time.perf_counter()
    write_sessions(log, folder.parent / "sessions.parquet")
    return {
        "users": int(log.over.sum()),
        "turns": len(log),
        "seconds": round(played - started, 1),
        "turns_per_second": round(len(log) / (played - started)),
        "writing_seconds": round(time.perf_counter() - played, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }


def main() -> None:
    if sys.argv[1] == "speed":
        world = sys.argv[2] if len(sys.argv) > 2 else "ml-100k"
        for user in ("popularity", "content", "recommender"):
            print(
                f"{world}, {user} users: scalar {scalar(world, user):,.0f}, vector {vector(world, user):,.0f} turns/s"
            )
        rescored = vector(world, "popularity", steps=10, rescore=True)
        print(f"{world}, popularity users, re-scored by the world's recommender: vector {rescored:,.0f} turns/s")
        return
    if sys.argv[1] == "play":
        print(json.dumps(play(Path(sys.argv[2]), int(sys.argv[3]))))
        return
    from synthetic import build_synthetic

    for users in SIZES:
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "synthetic"
            build_synthetic(folder, int(users / TESTED) + 100, ITEMS, LENGTH, DEPTH)
            command = [sys.executable, __file__, "play", str(folder), str(users)]
            print(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip(), flush=True)


if __name__ == "__main__":
    main()
