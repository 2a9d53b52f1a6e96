"""Read interactions and items from CSV, parquet or RecBole atomic files into columns.

What is repaired is counted, what cannot be trusted is refused:

- rows may come in any order: they are sorted by user and time, equal times keep the order of the file;
- a user's repeated interactions with one item: the first is kept (``repeated``);
- users with fewer interactions than asked for are left out (``short_users``);
- items nobody interacted with are left out (``unused_items``);
- items without a title, or without a row in the item table, are called "Untitled" (``untitled_items``);
- ids are text and need not be numbers; empty ids, unreadable times, repeated items and broken UTF-8 are errors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vrsim.catalog import Catalog
from vrsim.errors import DataError
from vrsim.interactions import Interactions
from vrsim.table_files import (
    INTERACTION_COLUMNS,
    ITEM_COLUMNS,
    RANKED_COLUMNS,
    numbers,
    read_table,
    refuse_empty,
    times,
)

__all__ = ["Data", "read_data", "read_ranked"]


@dataclass(frozen=True, eq=False)
class Data:
    """Interactions and items that fit together."""

    interactions: Interactions
    catalog: Catalog
    users: pa.Array  # string (users,): the publisher's id of each user
    skipped: Mapping[str, int]  # how often each repair of the module docstring was needed


def read_data(interactions: Path, items: Path | None = None, shortest: int = 3) -> Data:
    """Read a table of interactions (user, item, time[, rating, comment]) and a table of items.

    ``shortest`` is the smallest number of interactions of a user who is kept. Raises DataError.
    """
    events = read_table(interactions, INTERACTION_COLUMNS, required=("user_id", "item_id", "time"))
    if events.num_rows == 0:
        raise DataError(f"{interactions}: no interactions, only a header")
    for column in ("user_id", "item_id"):
        refuse_empty(interactions, events, column)
    time = times(interactions, events["time"])

    user_ids, user = _index(events["user_id"])
    item_ids, item = _index(events["item_id"])
    order = np.lexsort((np.arange(len(time)), time, user))
    user, item, time = user[order], item[order], time[order]

    first = np.zeros(len(user), bool)  # the first interaction of each (user, item)
    first[np.unique(user.astype(np.int64) * len(item_ids) + item, return_index=True)[1]] = True
    long_enough = np.bincount(user[first], minlength=len(user_ids)) >= shortest
    keep = first & long_enough[user]
    if not keep.any():
        raise DataError(f"{interactions}: expected users with at least {shortest} interactions, found none")
    skipped = {"repeated": int((~first).sum()), "short_users": int((~long_enough).sum())}

    used = np.unique(item[keep])
    catalog, counts = _catalog(items, [item_ids[i] for i in used])
    lengths = np.bincount(user[keep], minlength=len(user_ids))[long_enough]
    rows = order[keep]
    columns = Interactions(
        offsets=np.r_[0, np.cumsum(lengths)].astype(np.int64),
        items=(np.searchsorted(used, item[keep]) + 1).astype(np.int32),
        times=time[keep].astype(np.float64),
        ratings=_ratings(interactions, events, rows),
        comments=events["comment"].take(rows) if "comment" in events.column_names else None,
    )
    users = pa.array([user_ids[i] for i in np.flatnonzero(long_enough)], pa.string())
    return Data(columns, catalog, users, skipped | counts)


def read_ranked(path: Path, data: Data, holdout: int) -> tuple[np.ndarray, dict[str, int]]:
    """Read ranked candidates (user, item, rank) for the last position of every user.

    Returns int32 (users, C), best first, 0 = none, and how many rows were left out because the world
    lacks the user or the item, or because the user had interacted with the item. Raises DataError.
    """
    if holdout != 1:
        raise DataError(f"{path}: ranked candidates describe one position per user: holdout must be 1, not {holdout}")
    table = read_table(path, RANKED_COLUMNS, required=("user_id", "item_id", "rank"))
    user = _places(table["user_id"], data.users)
    item = _places(table["item_id"], pa.array(data.catalog.ids[1:], pa.string())) + 1
    rank = numbers(path, table["rank"], "rank")
    bad = np.flatnonzero(np.isnan(rank))
    if len(bad):
        raise DataError(f"{path}: {len(bad)} rows without a rank, first in data row {bad[0] + 1}")
    inside = (user >= 0) & (item > 0)
    user, item, rank = user[inside], item[inside], rank[inside]

    lengths = data.interactions.lengths
    target = data.interactions.items[data.interactions.offsets[1:] - 1]
    known = data.interactions.contains(user, item) & (item != target[user])
    order = np.lexsort((rank, user))
    order = order[~known[order]]
    user, item = user[order], item[order]
    counts = np.bincount(user, minlength=len(lengths))
    if not counts.all():
        name = data.users[int(np.argmin(counts))].as_py()
        raise DataError(f"{path}: no candidates for {int((counts == 0).sum())} users, first {name!r}")
    if len(np.unique(user.astype(np.int64) << 32 | item)) < len(user):
        raise DataError(f"{path}: an item stands twice in the candidates of one user")
    candidates = np.zeros((len(lengths), counts.max()), np.int32)
    place = np.arange(len(user)) - np.repeat(np.r_[0, np.cumsum(counts)[:-1]], counts)
    candidates[user, place] = item
    return candidates, {"unknown": int((~inside).sum()), "already_seen": int(known.sum())}


def _places(column: pa.ChunkedArray, known: pa.Array) -> np.ndarray:
    """The place of each value in ``known``, from 0, int64 (rows,); -1 = not there."""
    return np.asarray(pc.fill_null(pc.index_in(column, known), -1)).astype(np.int64)


def _ratings(path: Path, events: pa.Table, rows: np.ndarray) -> np.ndarray | None:
    if "rating" not in events.column_names:
        return None
    return numbers(path, events["rating"], "rating")[rows].astype(np.float32)


def _index(column: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    """The distinct ids, in numerical order if all are numbers, and the place of each row in them, int64."""
    coded = column.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    ids = coded.dictionary.to_pylist()
    numbers = all(text.isdecimal() for text in ids)
    order = sorted(range(len(ids)), key=lambda i: (int(ids[i]), ids[i]) if numbers else ids[i])
    place = np.empty(len(ids), np.int64)
    place[order] = np.arange(len(ids))
    return [ids[i] for i in order], place[np.asarray(coded.indices)]


def _catalog(path: Path | None, used: list[str]) -> tuple[Catalog, dict[str, int]]:
    """The catalog of the used items, in their order, and how many were left out or had no title."""
    rows: dict[str, int] = {}
    table = None
    if path is not None:
        table = read_table(path, ITEM_COLUMNS, required=("item_id", "title"))
        refuse_empty(path, table, "item_id")
        for row, item in enumerate(table["item_id"].to_pylist()):
            if item in rows:
                raise DataError(f"{path}: item {item!r} stands twice, in data rows {rows[item] + 1} and {row + 1}")
            rows[item] = row
    take = pa.array([rows.get(item) for item in used], pa.int64())

    def column(name: str) -> list:
        if table is None or name not in table.column_names:
            return [None] * len(used)
        return table[name].take(take).to_pylist()

    titles = column("title")
    untitled = sum(not title for title in titles)
    catalog = pa.table(
        {
            "item_id": used,
            "title": [title or f"Untitled {item}" for title, item in zip(titles, used, strict=True)],
            "year": [_year(year) for year in column("year")],
            "genres": [_genres(genres) for genres in column("genres")],
            "caption": [caption or "" for caption in column("caption")],
        },
        schema=Catalog.SCHEMA,
    )
    unused = len(rows.keys() - set(used))
    return Catalog(catalog), {"unused_items": unused, "untitled_items": untitled}


def _year(text: str | None) -> int:
    digits = (text or "").removesuffix(".0")
    return int(digits) if digits.isdecimal() and len(digits) == 4 else 0


def _genres(value: str | list[str] | None) -> list[str]:
    """A list as it is; text split at "|", or, where there is none, at commas."""
    if not isinstance(value, str):
        return [genre for genre in value or [] if genre]
    parts = value.split("|" if "|" in value else ",")
    return [part.strip() for part in parts if part.strip()]
