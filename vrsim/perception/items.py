"""The items that are described: their titles from a table, their files from one folder."""

import hashlib
import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from vrsim.errors import DataError
from vrsim.table_files import ITEM_COLUMNS, read_table, refuse_empty

__all__ = ["COVERS", "VIDEOS", "Item", "find_items"]

VIDEOS = (".mp4", ".webm", ".mkv", ".mov", ".m4v", ".avi", ".flv", ".ts", ".wmv", ".mpg", ".mpeg", ".h264", ".hevc")
COVERS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
FILES = {"video": VIDEOS, "cover": COVERS}
COLUMNS = {"item_id": ITEM_COLUMNS["item_id"], "title": ITEM_COLUMNS["title"], "video": ("video",), "cover": ("cover",)}


@dataclass(frozen=True)
class Item:
    """One item and its files."""

    item_id: str
    title: str  # "" = none
    video: Path | None  # None = there is none
    cover: Path | None = None  # its cover image
    version: str = ""  # changes with the title, and with the names and sizes of the files

    @property
    def key(self) -> str:
        """What is made of an item is kept under this: with another title or file it is made anew."""
        return f"{self.item_id} {self.version}"


def find_items(folder: Path, titles: Path) -> list[Item]:
    """The items of a table (item_id, title; CSV or parquet) in its order, with their files in ``folder``.

    A file is named in the columns ``video`` and ``cover``, relative to the folder, or else after its item:
    ``ITEM.mp4``, ``ITEM.jpg``. Raises DataError for a table without items, an item that stands twice, a folder that is
    none, and a path that leaves it, also by a link. A file that is not there is no error: an item may have none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder with the videos")
    table = read_table(titles, COLUMNS, required=("item_id", "title"))
    refuse_empty(titles, table, "item_id")
    ids = table["item_id"].to_pylist()
    if not ids:
        raise DataError(f"{titles}: expected one row per item, found none")
    [(twice, times)] = Counter(ids).most_common(1)
    if times > 1:
        raise DataError(f"{titles}: item {twice!r} stands {times} times; each item has one title")
    there = _files(folder)
    found = {}
    for kind, suffixes in FILES.items():
        if kind in table.column_names:
            names = [name or "" for name in table[kind].cast(pa.string()).to_pylist()]
        else:
            names = [_named(there.get(item, []), suffixes) for item in ids]
        found[kind] = [_file(folder, name) for name in names]
    rows = zip(ids, table["title"].to_pylist(), found["video"], found["cover"], strict=True)
    return [Item(item, title, video, cover, _version(title, video, cover)) for item, title, video, cover in rows]


def _files(folder: Path) -> dict[str, list[str]]:
    """The names of the files in a folder by what stands before the suffix, ascending."""
    found: dict[str, list[str]] = {}
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error}") from None
    for name in names:
        found.setdefault(Path(name).stem, []).append(name)
    return found


def _named(names: list[str], suffixes: tuple[str, ...]) -> str:
    """The file that bears an item's name, "" = none; of several, that whose suffix is listed first."""
    fitting = [name for name in names if Path(name).suffix.lower() in suffixes]
    return min(fitting, key=lambda name: suffixes.index(Path(name).suffix.lower()), default="")


def _file(folder: Path, name: str) -> Path | None:
    if not name:
        return None
    path = folder / name
    try:
        inside, there = path.resolve().is_relative_to(folder.resolve()), path.is_file()
    except (OSError, ValueError) as error:
        raise DataError(f"{name!r} is no name of a file in {folder}: {error}") from None
    if not inside:
        raise DataError(f"{name!r} leads out of {folder}; expected a path within it, and no link out of it")
    return path if there else None


def _version(title: str, *files: Path | None) -> str:
    about = [title, *((file.name, file.stat().st_size) if file else None for file in files)]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:8]
