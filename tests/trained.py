"""Small training runs on the tiny world: what the tests of training share."""

from pathlib import Path

from vrsim.models.pocket import build_pocket
from vrsim.models.pocket_training import PocketConfig
from vrsim.training.config import GrpoConfig, SftConfig
from vrsim.world import World

SMALL = {
    "world": "tiny",
    "protocol": "uniform",
    "validation": 0.2,
    "checked": 8,
    "check_every": 10,
    "save_every": 5,
    "log": (),
}


def small_pocket(folder: Path, steps: int = 10) -> str:
    """The name of a pocket model of a few thousand parameters, made in a second."""
    if not folder.exists():
        build_pocket(World.load("tiny"), PocketConfig(hidden=32, layers=1, steps=steps), folder)
    return f"pocket:{folder}"


def sft(model: str, **changes) -> SftConfig:
    return SftConfig(**({"steps": 60, "batch": 16, "learning_rate": 1e-2, **SMALL, "model": model} | changes))


def grpo(model: str, **changes) -> GrpoConfig:
    small = {"steps": 20, "batch": 16, "rollouts": 4, "max_tokens": 6, "learning_rate": 1e-3}
    return GrpoConfig(**(small | SMALL | {"model": model} | changes))
