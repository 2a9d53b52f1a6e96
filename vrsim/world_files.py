"""World folders: plain files, written completely or not at all, checked when they are read.

A folder is first written under a temporary name beside its final one and renamed at the end, so a
build that is killed leaves nothing that could be taken for a world. ``manifest.json`` lists size and
SHA-256 of every file.
"""

import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vrsim.catalog import Catalog
from vrsim.errors import WorldError
from vrsim.interactions import Interactions
from vrsim.world import World

__all__ = [
    "FORMAT", "MANIFEST", "digest", "is_world", "locked", "read_world", "remove_leftovers", "staged", "write_world",
]  # fmt: skip

FORMAT = 2  # moves when the files of a world change their meaning
MANIFEST = "manifest.json"
OPTIONAL = ("times", "ratings", "unordered")
KNOWN = (  # every file that a world can have beside its manifest
    *(f"{name}.npy" for name in ("offsets", "items", "times", "ratings", "unordered")),
    *(f"{name}.npy" for name in ("candidates", "target_ranks", "blocks", "block_scores")),
    *(f"{name}.parquet" for name in ("catalog", "users", "comments")),
    "recommender/config.json",
    "recommender/features.safetensors",
    "recommender/weights.safetensors",
)


def digest(world_arrays: Mapping[str, np.ndarray | pa.Table | pa.Array]) -> str:
    """SHA-256 over named columns, the same for equal content on every machine."""
    sha = hashlib.sha256()
    for name in sorted(world_arrays):
        value = world_arrays[name]
        sha.update(name.encode())
        if isinstance(value, np.ndarray):
            sha.update(np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<")))
        else:
            sha.update(json.dumps(value.to_pylist(), ensure_ascii=False).encode())
    return sha.hexdigest()


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Let one process at a time build ``target``; others wait."""
    from filelock import FileLock

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.parent / f".{target.name}.lock")
        lock.acquire()
    except OSError as error:
        raise WorldError(f"{target} could not be written: {error}") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``target`` when the block ends well and vanishes when it does not."""
    remove_leftovers(target)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.building-", dir=target.parent))
        yield folder
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                with file.open("rb+") as handle:
                    os.fsync(handle.fileno())
        folder.chmod(0o755)
        if target.exists():  # two renames: there is no moment at which a half-written folder has the name
            target.rename(Path(tempfile.mkdtemp(prefix=f".{target.name}.building-", dir=target.parent)) / "replaced")
        folder.rename(target)
    except OSError as error:
        raise WorldError(
            f"{target} could not be written: {error}. Nothing was kept; make room and try again"
        ) from error
    finally:
        remove_leftovers(target)


def remove_leftovers(target: Path) -> None:
    """Delete what killed builds of ``target`` left behind; call it under ``locked``."""
    for folder in target.parent.glob(f".{glob.escape(target.name)}.building-*"):
        shutil.rmtree(folder, ignore_errors=True)


def is_world(folder: Path) -> bool:
    """Whether a folder is empty or holds a world and nothing else, sound or damaged."""
    if not folder.is_dir():
        return False
    held = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return "format" in manifest and held <= {MANIFEST, *manifest["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return held <= {MANIFEST, *KNOWN}


def write_world(world: World, folder: Path) -> None:
    """Write the files of ``world`` into an existing, still private folder."""
    columns = world.interactions
    arrays = {
        "offsets": columns.offsets,
        "items": columns.items,
        "times": columns.times,
        "ratings": columns.ratings,
        "candidates": world.candidates,
        "target_ranks": world.target_ranks,
        "blocks": world.blocks,
        "block_scores": world.block_scores,
        "unordered": columns.unordered,
    }
    for name, array in arrays.items():
        if array is not None:
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
    pq.write_table(world.catalog.table, folder / "catalog.parquet")
    pq.write_table(pa.table({"user_id": world.users}), folder / "users.parquet")
    if columns.comments is not None:
        pq.write_table(pa.table({"comment": columns.comments}), folder / "comments.parquet")
    files = {
        file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": _sha256(file)}
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    manifest = {"format": FORMAT, "name": world.name, **world.manifest, "files": files}
    text = json.dumps(manifest | {"sha256": _seal(manifest)}, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_world(folder: Path) -> World:
    """Map a world folder into memory after checking every file. Raises WorldError."""
    again = f"Build it again: delete {folder}, or use the --force option of `vrsim world build`"
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = manifest["files"]
        found = manifest["format"]
    except FileNotFoundError:
        raise WorldError(
            f"{folder} is not a finished world: it has no {MANIFEST}. Make one with `vrsim world build`"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorldError(f"{folder / MANIFEST} is damaged or unreadable ({error!r}). {again}") from error
    if found != FORMAT:
        raise WorldError(f"{folder} has world format {found}, this version of vrsim reads {FORMAT}. {again}")
    if manifest.get("sha256") != _seal(manifest):
        raise WorldError(f"{folder / MANIFEST} was changed since the world was built. {again}")
    for name, expected in files.items():
        file = folder / name
        try:
            state = "" if _sha256(file) == expected["sha256"] else "was changed"
        except FileNotFoundError:
            state = "is missing"
        except OSError as error:
            raise WorldError(f"{file} cannot be read: {error}") from error
        if state:
            raise WorldError(f"{file} {state} since the world was built. {again}")

    def array(name: str) -> np.ndarray | None:
        if name in OPTIONAL and f"{name}.npy" not in files:
            return None
        # a plain array over the mapped file: indexing a memmap object is several times slower
        return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))

    comments = None
    if "comments.parquet" in files:
        comments = pq.read_table(folder / "comments.parquet", memory_map=True)["comment"]
    columns = (array(name) for name in ("offsets", "items", "times", "ratings"))
    interactions = Interactions(*columns, comments, array("unordered"))
    users = pq.read_table(folder / "users.parquet")["user_id"].combine_chunks()
    return World(
        name=manifest["name"],
        interactions=interactions,
        catalog=Catalog(pq.read_table(folder / "catalog.parquet", memory_map=True)),
        users=users.chunk(0) if isinstance(users, pa.ChunkedArray) else users,
        candidates=array("candidates"),
        target_ranks=array("target_ranks"),
        blocks=array("blocks"),
        block_scores=array("block_scores"),
        manifest=manifest,
        path=folder,
    )


def _seal(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest without its own entry ``sha256``."""
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
