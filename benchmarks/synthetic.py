"""A synthetic world of any size: random interactions, random candidates, no recommender."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from vrsim.catalog import Catalog
from vrsim.interactions import Interactions
from vrsim.world import World
from vrsim.world_files import locked, staged, write_world

__all__ = ["build_synthetic"]


def build_synthetic(folder: Path, users: int, items: int, length: int, depth: int = 20, seed: int = 0) -> None:
    """Write a world of ``users`` x ``length`` interactions with ``depth`` random candidates for every user."""
    rng = np.random.default_rng(seed)
    drawn = _distinct(rng, users, items, length + depth)
    interactions = Interactions(
        offsets=np.arange(0, users * length + 1, length, dtype=np.int64),
        items=drawn[:, :length].ravel().astype(np.int32),
    )
    names = pa.array(np.arange(items)).cast(pa.string())
    table = pa.table(
        {
            "item_id": names,
            "title": names,
            "year": pa.array(np.full(items, 2000, np.int16)),
            "genres": pa.array([[f"genre {genre}"] for genre in rng.integers(20, size=items)], pa.list_(pa.string())),
            "caption": pa.array([""] * items),
        },
        schema=Catalog.SCHEMA,
    )
    manifest = {
        "config": {"recommender": "random", "holdout": 1, "candidates": depth, "seed": seed, "options": {}},
        "counts": {"users": users, "items": items, "interactions": users * length},
        "skipped": {},
        "recommender": {"kind": "candidates"},
        "versions": {},
        "hash": f"synthetic-{users}-{items}-{length}-{depth}-{seed}",
    }
    world = World(
        name=folder.name,
        interactions=interactions,
        catalog=Catalog(table),
        users=pa.array(np.arange(users)).cast(pa.string()),
        candidates=drawn[:, length:].astype(np.int32),
        target_ranks=np.zeros(users, np.int32),
        blocks=np.zeros((users, 20), np.int32),
        block_scores=np.zeros((users, 20), np.float32),
        manifest=manifest,
    )
    with locked(folder), staged(folder) as private:
        write_world(world, private)


def _distinct(rng: np.random.Generator, rows: int, items: int, columns: int) -> np.ndarray:
    """Items from 1, distinct within each row, int64 (rows, columns)."""
    drawn = rng.integers(1, items + 1, size=(rows, columns))
    while True:
        ordered = np.sort(drawn, axis=1)
        bad = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
        if not bad.any():
            return drawn
        drawn[bad] = rng.integers(1, items + 1, size=(int(bad.sum()), columns))
