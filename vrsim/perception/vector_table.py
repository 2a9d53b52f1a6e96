"""Vectors of covers and videos by open_clip, for recommenders that look: what ``--vectors`` of a recommender reads."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vrsim.errors import VideoError
from vrsim.perception.caption_table import write_whole
from vrsim.perception.captioning import Captioned
from vrsim.perception.clip import OpenClip
from vrsim.perception.frames import sample_frames
from vrsim.perception.items import Item
from vrsim.perception.stages import Stages
from vrsim.perception.steps import pixels
from vrsim.progress import Progress, silent

__all__ = ["write_vectors"]

BATCH = 32  # items whose pixels are in memory at once
SCALE = 100.0  # of the scores in the weights of key frames: what CLIP's logits are multiplied by


def write_vectors(path: Path, done: Captioned, clip: OpenClip, progress: Progress = silent) -> None:
    """Write item_id, ``image`` and ``video``: the features of the cover, and of the key frames together; null = none.

    Both are lists of D numbers, of length 1 together. Key frames that were scored are weighted by the softmax of
    ``SCALE`` times their score, others alike. Raises ResultsError where it cannot be written.
    """
    stages, rows = Stages(done.stages), []
    try:
        for start in range(0, len(done.items), BATCH):
            rows += _rows(done.items[start : start + BATCH], done, stages, clip)
            progress(len(rows), len(done.items), "vectors")
    finally:
        stages.close()
    vector = pa.list_(pa.float32())
    write_whole(pa.Table.from_pylist(rows, pa.schema({"item_id": pa.string(), "image": vector, "video": vector})), path)


def _rows(items: list[Item], done: Captioned, stages: Stages, clip: OpenClip) -> list[dict[str, Any]]:
    """One row per item; all pictures share their forward passes."""
    pictures, shares, owners = [], [], []  # owners: (place of the item, column)
    for place, item in enumerate(items):
        cover = _cover(item)
        if cover is not None:
            pictures.append(cover)
            shares.append(1.0)
            owners.append((place, "image"))
        choice = done.outputs["choice"][item.item_id]
        if item.video is None or not choice["places"] or choice["way"] == "cover":
            continue
        jpegs = stages.images(done.keys["frames"], item.key)
        pictures += [pixels(jpegs[at]) for at in choice["places"]]
        shares += _weights(choice)
        owners += [(place, "video")] * len(choice["places"])
    rows: list[dict[str, Any]] = [{"item_id": item.item_id, "image": None, "video": None} for item in items]
    for (place, column), share, feature in zip(owners, shares, clip.images(pictures), strict=True):
        rows[place][column] = share * feature + (0 if rows[place][column] is None else rows[place][column])
    for row in rows:
        for column in ("image", "video"):
            if row[column] is not None:
                row[column] = row[column] / max(1e-12, float(np.linalg.norm(row[column])))
    return rows


def _weights(choice: dict[str, Any]) -> list[float]:
    if "scores" not in choice:
        return [1 / len(choice["places"])] * len(choice["places"])
    scores = SCALE * np.array([choice["scores"][at] for at in choice["places"]])
    weights = np.exp(scores - scores.max())
    return (weights / weights.sum()).tolist()


def _cover(item: Item) -> np.ndarray | None:
    """uint8 (height, width, 3); None where there is none that can be read."""
    if item.cover is None:
        return None
    try:
        return sample_frames(item.cover, 1, threads=1).images[0]
    except VideoError:
        return None
