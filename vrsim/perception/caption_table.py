"""The captions of a run as one table, written whole or not at all."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vrsim.errors import OptionError, ResultsError
from vrsim.perception.config import CaptionConfig
from vrsim.perception.items import Item
from vrsim.perception.stages import Output
from vrsim.perception.words import count_words

__all__ = ["refuse_other", "write_captions", "write_whole"]

ABOUT = b"vrsim"  # in the metadata: the settings


def write_captions(
    path: Path,
    items: Sequence[Item],
    outputs: Mapping[str, Mapping[str, Output]],
    config: CaptionConfig,
    origin: Mapping[str, Any],
) -> None:
    """Write item_id, title, caption, its words and flags, the perception, the times of the key frames in seconds and
    why there are none; one row per item, in their order. The same outputs give the same bytes.

    ``outputs``: by stage and item; the settings and ``origin`` (names of the models) go into the file's metadata under
    "vrsim". Raises ResultsError where it cannot be written.
    """
    rows = []
    for item in items:
        frames, choice, seen, said = (
            outputs[stage][item.item_id] for stage in ("frames", "choice", "perception", "caption")
        )
        rows.append(
            {
                "item_id": item.item_id,
                "title": item.title,
                "caption": said["text"],
                "words": count_words(said["text"]),
                "flags": said["flags"],
                "perception": seen["text"],
                "frames": choice["way"],
                "times": [frames["times"][place] for place in choice["places"]],
                "error": frames.get("error", ""),
            }
        )
    about = json.dumps({"config": asdict(config), **origin}, sort_keys=True)
    write_whole(pa.Table.from_pylist(rows, SCHEMA).replace_schema_metadata({ABOUT: about}), path)


def write_whole(table: pa.Table, path: Path) -> None:
    """Write a parquet file that is whole or not there. Raises ResultsError."""
    part = path.with_name(f".{path.name}.part")  # one run has the name at a time, and takes over what a kill left
    try:
        try:
            pq.write_table(table, part)
            os.replace(part, path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
    except OSError as error:
        raise ResultsError(
            f"{path} could not be written: {error}. The stages are kept; the same command goes on"
        ) from None


def refuse_other(path: Path) -> None:
    """Raise OptionError for a name that is not one of a parquet file, ResultsError where something else stands there
    than captions: those are replaced.
    """
    if path.suffix != ".parquet":
        raise OptionError(f"captions are a parquet file; expected a name like captions.parquet, found {path}")
    if not path.exists():
        return
    try:
        written_here = ABOUT in (pq.read_schema(path).metadata or {})
    except (OSError, pa.ArrowInvalid):
        written_here = False
    if not written_here:
        raise ResultsError(f"{path} holds something else than captions and will not be replaced; choose another --out")


SCHEMA = pa.schema(
    {
        "item_id": pa.string(),
        "title": pa.string(),
        "caption": pa.string(),
        "words": pa.int32(),
        "flags": pa.list_(pa.string()),
        "perception": pa.string(),
        "frames": pa.string(),
        "times": pa.list_(pa.float64()),
        "error": pa.string(),
    }
)
