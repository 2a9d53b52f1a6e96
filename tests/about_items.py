"""Tables about the films of the tiny world: captions, and vectors of covers and trailers."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from vrsim.seeding import generator
from vrsim.tiny import tiny_data

__all__ = ["write_tables"]


def write_tables(folder: Path) -> Path:
    """``full``: captions of all films but two; ``same``: one caption for all; ``vectors``; ``images``: covers alone."""
    catalog, rng = tiny_data().catalog, generator(0, "vectors")
    words = [f"about {' and '.join(genres)}" for genres in catalog.genres[1:]]
    pq.write_table(pa.table({"item_id": catalog.ids[3:], "caption": words[2:]}), folder / "full.parquet")
    pq.write_table(pa.table({"item_id": catalog.ids[1:], "caption": ["a film"] * 160}), folder / "same.parquet")
    columns = {name: rng.normal(size=(160, 4)).tolist() for name in ("image", "video")}
    pq.write_table(pa.table({"item_id": catalog.ids[1:], **columns}), folder / "vectors.parquet")
    pq.write_table(pa.table({"item_id": catalog.ids[1:], "image": columns["image"]}), folder / "images.parquet")
    return folder
