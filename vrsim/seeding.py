"""Random generators derived from a seed and a name, so that the order of use cannot matter."""

import hashlib

import numpy as np

__all__ = ["derive", "generator"]


def derive(seed: int, *names: str | int) -> int:
    """A seed of 63 bits that depends on ``seed`` (any integer from 0) and on every name, in order."""
    text = "\x1f".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A fresh generator for one purpose, for example ``generator(0, "negatives", "uniform")``."""
    return np.random.default_rng(derive(seed, *names))
