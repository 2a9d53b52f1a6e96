"""A store of completions: what a model has answered once is never asked again.

The answers lie in one SQLite file, each under a hash of everything that can change it, so that a recorded run can be
repeated without the model. Prompts are not stored, only their hashes.
"""

import hashlib
import json
import math
import os
import sqlite3
import sys
import threading
import weakref
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from vrsim.errors import ModelError
from vrsim.models.model import Completion, Model, Prompt, Sampling

__all__ = ["Store", "completion_keys", "count_key"]

APPLICATION = int.from_bytes(b"vrsm", "big")  # tells SQLite files of vrsim from all others
VERSION = 1  # of the tables below
WAIT = 60  # seconds for another process that is writing
BATCH = 500  # keys in one query
SCHEMA = f"""
    BEGIN IMMEDIATE;
    CREATE TABLE completions (key BLOB PRIMARY KEY, text BLOB NOT NULL, finish TEXT NOT NULL, prompt_tokens INTEGER
        NOT NULL, completion_tokens INTEGER NOT NULL, seconds REAL NOT NULL, logprobs BLOB, dropped INTEGER NOT NULL);
    CREATE TABLE counts (key BLOB PRIMARY KEY, tokens INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE models (name TEXT PRIMARY KEY, identity TEXT NOT NULL, context INTEGER, completes TEXT NOT NULL)
        WITHOUT ROWID;
    PRAGMA application_id = {APPLICATION};
    PRAGMA user_version = {VERSION};
    COMMIT;
"""

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def completion_keys(model: str, prompts: Sequence[Prompt], sampling: Sampling) -> list[bytes]:
    """What the completions are stored under: SHA-256 of model name, sampling with its seed, and prompt, as JSON.

    Images go in by their own SHA-256; a prompt without images has the key that it had before there were any.
    """
    numbers = {"temperature": float(sampling.temperature), "top_p": float(sampling.top_p)}  # 1 and 1.0 are the same
    head = f"[{_canonical(model)},{_canonical(vars(sampling) | numbers)},"
    return [hashlib.sha256(f"{head}{_canonical(_told(prompt))}]".encode("ascii")).digest() for prompt in prompts]


def _told(prompt: Prompt) -> dict[str, Any]:
    told = vars(prompt) | {"images": prompt.image_hashes}
    if not prompt.images:
        del told["images"]
    return told


def count_key(model: str, text: str) -> bytes:
    """What the number of tokens of a text is stored under."""
    return hashlib.sha256(_canonical([model, text]).encode("ascii")).digest()


class Store:
    """Completions, token counts and facts about models in one file.

    Several processes and threads may use the file at once, also after a fork; a Store can be pickled. What was put
    survives a kill. The file must lie in a writable folder of a local disk: SQLite keeps its log beside it. A process
    with an open Store should not read the file by other means than SQLite: that would drop SQLite's locks.
    """

    def __init__(self, path: Path | str) -> None:
        """Open the file, or make it. Raises ModelError if it is no store of this version, or is damaged."""
        self.path = Path(path).absolute()
        self._lock = threading.RLock()
        self._link: sqlite3.Connection | None = None
        _stores.add(self)
        with self._connection():
            pass

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path,)

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        with self._lock:
            if self._link is not None:
                self._link.close()
                self._link = None

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Completion]:
        """The completions that are stored, by key, each marked as ``reused``."""
        return {key: _completion(*row) for key, *row in self._rows("SELECT * FROM completions WHERE key IN", keys)}

    def put(self, key: bytes, completion: Completion) -> Completion:
        """Store a completion, unless there is one: the first stays. Returns the one that stays.

        A completion that failed or holds a NaN is no answer: it is returned, and not stored.
        """
        if completion.finish == "failed" or any(map(math.isnan, [completion.seconds, *(completion.logprobs or ())])):
            return completion
        with self._connection() as link:
            put = "INSERT INTO completions VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
            is_first = link.execute(put, (key, *_row(completion))).rowcount > 0
        return completion if is_first else replace(self.get([key])[key], reused=False)

    def get_counts(self, keys: Iterable[bytes]) -> dict[bytes, int]:
        """The numbers of tokens that are stored, by the key of their text."""
        return dict(self._rows("SELECT key, tokens FROM counts WHERE key IN", keys))

    def put_counts(self, counts: Mapping[bytes, int]) -> None:
        """Store numbers of tokens, all or none."""
        with self._connection() as link, link:
            link.execute("BEGIN IMMEDIATE")
            link.executemany("INSERT INTO counts VALUES (?, ?) ON CONFLICT DO NOTHING", counts.items())

    def get_facts(self, name: str) -> tuple[str, int | None, str] | None:
        """What a model calls itself, ``context`` and ``completes``; None if it was never recorded."""
        return next(iter(self._rows("SELECT identity, context, completes FROM models WHERE name IN", [name])), None)

    def put_facts(self, name: str, model: Model) -> None:
        """Store what a model calls itself, ``context`` and ``completes``, unless they are."""
        put = "INSERT INTO models VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
        with self._connection() as link:
            link.execute(put, (name, model.name, model.context, model.completes))

    def _rows(self, query: str, keys: Iterable[bytes | str]) -> list[tuple[Any, ...]]:
        keys, rows = list(keys), []
        with self._connection() as link:
            for part in (keys[start : start + BATCH] for start in range(0, len(keys), BATCH)):
                rows += link.execute(f"{query} ({','.join('?' * len(part))})", part)
        return rows

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """The connection of this process, lent to one thread at a time."""
        with self._lock:
            try:
                if self._link is None:
                    self._link = self._open()
                yield self._link
            except (sqlite3.Error, OSError) as error:
                help = "it must be writable, in a folder with free space; if it is damaged, move it away to start anew"
                raise ModelError(f"{self.path} cannot be used ({error}): {help}") from error

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        link = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None, check_same_thread=False)
        try:
            if not self._is_ready(link):
                with FileLock(f"{self.path}.lock"):  # SQLite does not wait for others when it starts a log
                    if not self._is_ready(link):
                        link.execute("PRAGMA journal_mode = WAL")
                        link.executescript(SCHEMA)
            link.execute("PRAGMA synchronous = NORMAL")  # a kill loses nothing; a power cut the last moments
        except BaseException:
            link.close()
            raise
        return link

    def _is_ready(self, link: sqlite3.Connection) -> bool:
        """Whether the file is a store, False if it is empty. Raises ModelError if it is anything else."""
        with link:
            link.execute("BEGIN")  # all three at one moment
            [application] = link.execute("PRAGMA application_id").fetchone()
            [version] = link.execute("PRAGMA user_version").fetchone()
            [tables] = link.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if (application, version) == (APPLICATION, VERSION):
            return True
        if application == APPLICATION:
            found = f"{self.path} is a store of version {version}, this vrsim uses version {VERSION}"
            raise ModelError(f"{found}; choose another file, or the vrsim that made it")
        if application or tables:
            raise ModelError(f"{self.path} is a database of another program; choose another file for the completions")
        return False


def _row(c: Completion) -> tuple[Any, ...]:
    text = c.text.encode("utf-8", "surrogatepass")  # a server may send half a character
    logprobs = None if c.logprobs is None else array("d", c.logprobs).tobytes()
    return text, c.finish, c.prompt_tokens, c.completion_tokens, c.seconds, logprobs, c.dropped


def _completion(text: bytes, finish: str, prompt: int, written: int, seconds: float, logprobs: bytes | None, dropped):
    numbers = None if logprobs is None else tuple(array("d", logprobs))
    return Completion(text.decode("utf-8", "surrogatepass"), finish, prompt, written, seconds, numbers, dropped, True)


# SQLite's locks do not survive a fork: no connection may be open at that moment

_stores: weakref.WeakSet[Store] = weakref.WeakSet()
_held: list[Store] = []


def _before_fork() -> None:
    for store in list(_stores):
        store._lock.acquire()
        store.close()
        _held.append(store)


def _after_fork() -> None:
    while _held:
        _held.pop()._lock.release()


if sys.platform != "win32":
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
