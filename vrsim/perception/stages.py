"""What each stage of a captioning run has made, item by item, in one file.

An output is kept under its stage, its item and a key: a hash of the settings of that stage and of all before it. With
other settings the outputs of before stay, so that variants share what they have in common.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vrsim.errors import ResultsError

__all__ = ["STAGES", "Output", "Stages"]

STAGES = ("frames", "choice", "perception", "caption")  # in the order in which they follow each other
APPLICATION = int.from_bytes(b"vrsc", "big")
VERSION = 1
BATCH = 500  # items in one query
SCHEMA = f"""
    BEGIN IMMEDIATE;
    CREATE TABLE outputs (stage TEXT, key TEXT, item TEXT, value TEXT NOT NULL, PRIMARY KEY (stage, key, item));
    CREATE TABLE images (key TEXT, item TEXT, place INTEGER, jpeg BLOB NOT NULL, PRIMARY KEY (key, item, place));
    PRAGMA application_id = {APPLICATION};
    PRAGMA user_version = {VERSION};
    COMMIT;
"""

Output = dict[str, Any]
"""What a stage says of one item, as JSON. With ``error`` it failed there."""


class Stages:
    """The outputs in one SQLite file. What was put survives a kill; one process writes at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it. Raises ResultsError if it is something else, or cannot be written."""
        self.path, self._lock = Path(path), threading.Lock()
        with self._told():
            self._link = sqlite3.connect(self.path, timeout=60, check_same_thread=False, isolation_level=None)
            self._link.execute("PRAGMA journal_mode = WAL")
            self._link.execute("PRAGMA synchronous = NORMAL")  # a kill loses nothing; a power cut the last moments
            [found] = self._link.execute("PRAGMA application_id").fetchone()
            [version] = self._link.execute("PRAGMA user_version").fetchone()
            if not found and not self._link.execute("SELECT 1 FROM sqlite_master").fetchone():
                self._link.executescript(SCHEMA)
            elif (found, version) != (APPLICATION, VERSION):
                raise ResultsError(f"{self.path} holds no captioning stages of this version; choose another --out")

    def close(self) -> None:
        self._link.close()

    def has(self, stage: str, key: str, items: Sequence[str]) -> set[str]:
        """Those of the items that have an output."""
        return {
            item for (item,) in self._rows("SELECT item FROM outputs WHERE stage = ? AND key = ?", stage, key, items)
        }

    def get(self, stage: str, key: str, items: Sequence[str]) -> dict[str, Output]:
        """The outputs by item."""
        rows = self._rows("SELECT item, value FROM outputs WHERE stage = ? AND key = ?", stage, key, items)
        return {item: json.loads(value) for item, value in rows}

    def images(self, key: str, item: str) -> dict[int, bytes]:
        """The frames of an item by their place in the order of time, JPEG files."""
        query = "SELECT place, jpeg FROM images WHERE key = ? AND item = ? ORDER BY place"
        with self._told():
            return dict(self._link.execute(query, (key, item)))

    def put(
        self, stage: str, key: str, outputs: dict[str, Output], images: Mapping[str, Mapping[int, bytes]] = {}
    ) -> None:
        """Keep outputs, all or none; of each item the newest stays."""
        rows = [(stage, key, item, json.dumps(value, sort_keys=True)) for item, value in outputs.items()]
        frames = [(key, item, place, jpeg) for item, own in images.items() for place, jpeg in own.items()]
        with self._told():
            self._link.execute("BEGIN IMMEDIATE")
            try:
                self._link.executemany(
                    "DELETE FROM images WHERE key = ? AND item = ?", [(key, item) for item in images]
                )
                self._link.executemany("INSERT INTO images VALUES (?, ?, ?, ?)", frames)
                self._link.executemany("INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?)", rows)
                self._link.execute("COMMIT")
            except BaseException:
                if self._link.in_transaction:  # on a full disk SQLite has rolled back by itself
                    self._link.execute("ROLLBACK")
                raise

    def forget(self, stage: str, key: str, items: Sequence[str]) -> None:
        """Drop outputs, so that they are made again."""
        self._rows("DELETE FROM outputs WHERE stage = ? AND key = ?", stage, key, items)

    def _rows(self, query: str, stage: str, key: str, items: Sequence[str]) -> list[tuple[Any, ...]]:
        found = []
        with self._told():
            for start in range(0, len(items), BATCH):
                part = items[start : start + BATCH]
                found += self._link.execute(f"{query} AND item IN ({','.join('?' * len(part))})", (stage, key, *part))
        return found

    @contextmanager
    def _told(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except (sqlite3.Error, OSError) as error:
                raise ResultsError(
                    f"{self.path} could not be read or written: {error}. What was kept before stays; make room or "
                    "mend the folder, and the same command goes on"
                ) from error
