"""The items that are described: their titles from a table, their files from one folder."""

import os
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


def find_items(folder: Path, titles: Path) -> list[Item]:
    """The items of a table (item_id, title; CSV or parquet) in its order, with their files in ``folder``.

    A file is named in the columns ``video`` and ``cover``, relative to the folder, or else after its item:
    ``ITEM.mp4``, ``ITEM.jpg``. Raises DataError for an item that stands twice, a folder that is none, and a path that
    leaves it, also by a link. A file that is not there is no error: an item may have none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder with the videos")
    table = read_table(titles, COLUMNS, required=("item_id", "title"))
    refuse_empty(titles, table, "item_id")
    ids = table["item_id"].to_pylist()
    if len(set(ids)) < len(ids):
        twice = next(item for place, item in enumerate(ids) if item in ids[:place])
        raise DataError(f"{titles}: item {twice!r} stands {ids.count(twice)} times; each item has one title")
    there = _files(folder)
    found = {}
    for kind, suffixes in FILES.items():
        if kind in table.column_names:
            names = [name or "" for name in table[kind].cast(pa.string()).to_pylist()]
        else:
            names = [_named(there.get(item, []), suffixes) for item in ids]
        found[kind] = [_file(folder, name) for name in names]
    rows = zip(ids, table["title"].to_pylist(), found["video"], found["cover"], strict=True)
    return [Item(item, title, video, cover) for item, title, video, cover in rows]


def _files(folder: Path) -> dict[str, list[str]]:
    """The names of the files in a folder by what stands before the suffix, ascending."""
    found: dict[str, list[str]] = {}
    with os.scandir(folder) as entries:
        for name in sorted(entry.name for entry in entries):
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
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{name!r} leads out of {folder}; expected a path within it, and no link out of it")
    return path if path.is_file() else None
