"""Episodes as one file, so that others can ask exactly the same questions: JSON lines or parquet.

A JSON lines file starts with a line that says what the episodes are; in a parquet file it stands in the
metadata of the schema, as ``vrsim``. Then one row per episode: ``user`` and items by the publisher's ids,
``t`` the number of earlier interactions, ``history`` oldest first, ``slate``, ``answer`` (judgment 1 = Yes,
0 = No; selection: place in the slate, from 0). Both carry the hash of the episodes; a file that was cut or
edited is refused.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vrsim.episodes import Episodes
from vrsim.errors import EpisodeError, OptionError
from vrsim.protocols import Protocol
from vrsim.world import World

__all__ = ["read_episodes", "save_episodes"]

FORMAT = 1
KEY = b"vrsim"  # of the description in a parquet file's metadata


def save_episodes(episodes: Episodes, path: Path, *, titles: bool = False) -> None:
    """Write a .jsonl or .parquet file. An existing file is replaced at once or not at all.

    ``titles`` adds those of history and slate beside the ids, for readers without the world.
    """
    path = Path(path)
    kind = _kind(path)
    head = _describe(episodes)
    ids = np.array(episodes.world.catalog.ids, object)
    columns = {
        "user": [episodes.world.users[int(user)].as_py() for user in episodes.positions[:, 0]],
        "t": episodes.positions[:, 1].tolist(),
        "history": [ids[row[row > 0]].tolist() for row in episodes.histories],
        "slate": ids[episodes.slates].tolist(),
        "answer": episodes.answers.tolist(),
    }
    if titles:
        catalog = episodes.world.catalog
        labels = np.array(["", *map(catalog.label, range(1, catalog.n_items + 1))], object)
        columns["history_titles"] = [labels[row[row > 0]].tolist() for row in episodes.histories]
        columns["slate_titles"] = labels[episodes.slates].tolist()
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "parquet":
            table = pa.table(columns)
            pq.write_table(table.replace_schema_metadata({KEY: json.dumps(head)}), temporary)
        else:
            rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ({KEY.decode(): head}, *rows))
            temporary.write_text(lines, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise OptionError(f"{path} cannot be written: {error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def read_episodes(path: Path, world: World | None = None) -> Episodes:
    """The episodes of a file. ``world`` must be the one they were made of; without it, it is loaded by name.

    Raises EpisodeError for a file that is no longer what was written, or that belongs to another world.
    """
    path = Path(path)
    kind = _kind(path)
    try:
        head, table = (_read_parquet if kind == "parquet" else _read_jsonl)(path)
        known = head["format"] == FORMAT
        told = {key: head[key] for key in ("world", "world_hash", "task", "m", "split", "cohort", "seed", "left_out")}
        protocol, count, found = dict(head["protocol"]), head["episodes"], head["hash"]
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise EpisodeError(f"{path}: not a file of episodes, or damaged: {error!r}") from error
    if not known:
        raise EpisodeError(f"{path}: format {head['format']}, this version of vrsim reads {FORMAT}")
    if head.get("sha256") != _seal(head):
        raise EpisodeError(
            f"{path}: the description was edited: expected sha256 {head.get('sha256')}, found {_seal(head)}"
        )
    world = World.load(told["world"]) if world is None else world
    if world.hash != told["world_hash"]:
        raise EpisodeError(
            f"{path}: made of world {told['world']} {told['world_hash']}, not of {world.name} {world.hash}"
        )
    if table.num_rows != count:
        raise EpisodeError(f"{path}: expected {count} episodes, found {table.num_rows}; the file was cut or edited")
    try:
        protocol = Protocol(**{key: tuple(v) if isinstance(v, list) else v for key, v in protocol.items()})
    except TypeError as error:
        raise EpisodeError(f"{path}: made by another version of vrsim: {error}") from error
    items = pa.array(world.catalog.ids, pa.string())
    try:
        user, t, answers = _places(table["user"], world.users), _whole(table["t"]), _whole(table["answer"])
        slates, shown = (_places(pc.list_flatten(table[name]), items) for name in ("slate", "history"))
        widths, lengths = (_whole(pc.list_value_length(table[name])) for name in ("slate", "history"))
        slates = slates.reshape(count, -1)
    except (ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise EpisodeError(f"{path}: the rows were edited: {error!r}") from error
    rest = {key: told[key] for key in ("task", "m", "split", "cohort", "seed")}
    episodes = Episodes(
        world, protocol, **rest, positions=np.stack([user, t], axis=1), slates=slates, answers=answers,
        left_out=told["left_out"],
    )  # fmt: skip
    inside = (user >= 0) & (t >= 0) & (t <= world.interactions.lengths[np.maximum(user, 0)])
    if not inside.all() or not (slates > 0).all():
        raise EpisodeError(f"{path}: the rows were edited: the world has no such user, position or item")
    if episodes.hash != found:
        raise EpisodeError(f"{path}: the rows were edited: expected hash {found}, found {episodes.hash}")
    known = episodes.histories > 0
    same = np.array_equal(lengths, known.sum(axis=1)) and np.array_equal(shown, episodes.histories[known])
    if not same or (widths != slates.shape[1]).any():
        raise EpisodeError(f"{path}: the rows were edited: expected the histories and slates of hash {found}")
    return episodes


def _kind(path: Path) -> str:
    kind = path.suffix.removeprefix(".")
    if kind not in ("jsonl", "parquet"):
        raise OptionError(f"a file of episodes ends in .jsonl or .parquet, found {path.name!r}")
    return kind


def _describe(episodes: Episodes) -> dict[str, Any]:
    head = {
        "format": FORMAT,
        "world": episodes.world.name,
        "world_hash": episodes.world.hash,
        "protocol": asdict(episodes.protocol),
        "protocol_hash": episodes.protocol.hash,
        **{key: getattr(episodes, key) for key in ("task", "m", "split", "cohort", "seed", "left_out")},
        "episodes": len(episodes),
        "hash": episodes.hash,
    }
    return head | {"sha256": _seal(head)}


def _seal(head: dict[str, Any]) -> str:
    """SHA-256 of a description without its own entry ``sha256``."""
    rest = {key: value for key, value in head.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _places(ids: pa.ChunkedArray, known: pa.Array) -> np.ndarray:
    """Where each id stands among the known ones, int64; -1 = nowhere."""
    return _whole(pc.index_in(ids.cast(pa.string()), known))


def _whole(column: pa.ChunkedArray) -> np.ndarray:
    """Numbers as int64; -1 = none."""
    return pc.fill_null(column.cast(pa.int64()), -1).to_numpy()


def _read_parquet(path: Path) -> tuple[dict[str, Any], pa.Table]:
    table = pq.read_table(path)
    return json.loads(table.schema.metadata[KEY]), table


def _read_jsonl(path: Path) -> tuple[dict[str, Any], pa.Table]:
    with path.open(encoding="utf-8") as lines:
        head = json.loads(next(lines, "{}"))[KEY.decode()]
        rows = [json.loads(line) for line in lines]
    columns = {"user": pa.string(), "t": pa.int64(), "history": pa.list_(pa.string()), "slate": pa.list_(pa.string())}
    schema = pa.schema([*columns.items(), ("answer", pa.int64())])
    return head, pa.Table.from_pylist(rows, schema=schema)
