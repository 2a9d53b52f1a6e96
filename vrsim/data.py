"""Turn tables of interactions and items into columns.

What is repaired is counted, what cannot be trusted is refused:

- rows may come in any order: they are sorted by user and time, equal times keep the order of the file;
- a column ``position`` (1, 2, 3, ... within each user) goes before time; rows without a position belong to the
  user, but nobody knows when they happened: they are never a history, a target or a wrong answer (``unordered``);
- a user's repeated interactions with one item: the first is kept (``repeated``);
- users with fewer interactions than asked for are left out (``short_users``);
- items nobody interacted with are left out (``unused_items``);
- items without a title, or without a row in the item table, are called "Untitled" (``untitled_items``);
- ids are text and need not be numbers; empty ids, unreadable times, gaps between positions, repeated items and
  broken UTF-8 are errors.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vrsim.catalog import Catalog
from vrsim.errors import DataError
from vrsim.interactions import Interactions, pair_keys
from vrsim.table_files import (
    INTERACTION_COLUMNS,
    ITEM_COLUMNS,
    RANKED_COLUMNS,
    numbers,
    read_table,
    refuse_empty,
    times,
)

__all__ = ["Data", "make_data", "read_data", "read_ranked"]


@dataclass(frozen=True, eq=False)
class Data:
    """Interactions and items that fit together."""

    interactions: Interactions
    catalog: Catalog
    users: pa.Array  # string (users,): the publisher's id of each user
    skipped: Mapping[str, int]  # how often each repair of the module docstring was needed
    origin: Mapping[str, Any] = field(default_factory=dict)  # where it comes from, for the world's manifest


def read_data(interactions: Path, items: Path | None = None, shortest: int = 3) -> Data:
    """Read a table of interactions (user, item, time or position[, rating, comment]) and a table of items.

    ``shortest`` is the smallest number of interactions of a user who is kept. Raises DataError.
    """
    events = read_table(interactions, INTERACTION_COLUMNS, required=("user_id", "item_id", "time or position"))
    table = None if items is None else read_table(items, ITEM_COLUMNS, required=("item_id", "title"))
    return make_data(Path(interactions), events, items, table, shortest)


def make_data(
    path: Path,
    events: pa.Table,
    items_path: Path | None,
    items: pa.Table | None,
    shortest: int = 3,
    least_users: int = 1,
) -> Data:
    """``read_data`` for tables with the columns of ``read_table``; the paths are for messages.

    Items with fewer than ``least_users`` interactions are left out (``interactions_with_rare_items``).
    """
    if events.num_rows == 0:
        raise DataError(f"{path}: no interactions, only a header")
    for column in ("user_id", "item_id"):
        refuse_empty(path, events, column)
    user_ids, user = _index(events["user_id"])
    item_ids, item = _index(events["item_id"])
    place, seconds = _order(path, events, user, user_ids)
    pair = user.astype(np.int64) * len(item_ids) + item

    common = np.bincount(item)[item] >= least_users
    ordered = np.flatnonzero(common & ~np.isnan(place))
    order = ordered[np.lexsort((ordered, place[ordered], user[ordered]))]
    first = np.zeros(len(order), bool)  # the first interaction of each (user, item)
    first[np.unique(pair[order], return_index=True)[1]] = True
    rows = order[first]
    long_enough = np.bincount(user[rows], minlength=len(user_ids)) >= shortest
    rows = rows[long_enough[user[rows]]]
    if not len(rows):
        raise DataError(f"{path}: expected users with at least {shortest} interactions, found none")

    used = np.unique(item[rows])
    new_item = np.zeros(len(item_ids), np.int64)  # 0 = not in the catalog
    new_item[used] = np.arange(1, len(used) + 1)
    new_user = np.cumsum(long_enough) - 1
    catalog, counts = _catalog(items_path, items, [item_ids[i] for i in used])
    unordered = np.flatnonzero(common & np.isnan(place))
    askable = long_enough[user[unordered]] & (new_item[item[unordered]] > 0)
    loose = unordered[askable & ~np.isin(pair[unordered], pair[rows])]
    skipped = {
        "repeated": int((~first).sum()),
        "short_users": int((~long_enough).sum()),
        "unordered": len(unordered),
    }
    if least_users > 1:
        skipped["interactions_with_rare_items"] = int((~common).sum())
    columns = Interactions(
        offsets=np.r_[0, np.cumsum(np.bincount(new_user[user[rows]]))].astype(np.int64),
        items=new_item[item[rows]].astype(np.int32),
        times=None if seconds is None else seconds[rows].astype(np.float64),
        ratings=_ratings(path, events, rows),
        comments=events["comment"].take(rows) if "comment" in events.column_names else None,
        unordered=np.unique(pair_keys(new_user[user[loose]], new_item[item[loose]])) if len(loose) else None,
    )
    users = pa.array([user_ids[i] for i in np.flatnonzero(long_enough)], pa.string())
    return Data(columns, catalog, users, skipped | counts)


def _order(path: Path, events: pa.Table, user: np.ndarray, names: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """What sorts the rows of a user, NaN = unknown, and the seconds where the table has them, NaN = unknown."""
    columns = events.column_names
    if "position" not in columns:
        time = times(path, events["time"])
        return time, time
    place = numbers(path, events["position"], "position")
    known = np.flatnonzero(~np.isnan(place))
    order = known[np.lexsort((place[known], user[known]))]
    begin = np.r_[True, user[order[1:]] != user[order[:-1]]] if len(order) else np.zeros(0, bool)
    expected = np.arange(len(order)) - np.maximum.accumulate(np.where(begin, np.arange(len(order)), 0)) + 1
    wrong = np.flatnonzero(place[order] != expected)
    if len(wrong):
        row = order[wrong[0]]
        raise DataError(
            f"{path}: the positions of user {names[user[row]]!r} must be 1, 2, 3, ... without a gap; expected "
            f"{expected[wrong[0]]}, found {place[row]:g} in data row {row + 1}. Rows may be missing; if the numbers "
            "only give an order, call the column time"
        )
    return place, _known_times(path, events["time"]) if "time" in columns else None


def _known_times(path: Path, column: pa.ChunkedArray) -> np.ndarray:
    """Numbers, or dates and times as seconds since 1970; float64, NaN = unknown."""
    if not pa.types.is_temporal(column.type):
        return numbers(path, column, "time")
    seconds = np.full(len(column), np.nan)
    seconds[np.asarray(column.is_valid())] = times(path, column.drop_null())
    return seconds


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


def _catalog(path: Path | None, table: pa.Table | None, used: list[str]) -> tuple[Catalog, dict[str, int]]:
    """The catalog of the used items, in their order, and how many were left out or had no title."""
    rows: dict[str, int] = {}
    if table is not None:
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
            "year": [_year(text, title) for text, title in zip(column("year"), titles, strict=True)],
            "genres": [
                list(dict.fromkeys(_words(genres) + _words(tags)))
                for genres, tags in zip(column("genres"), column("tags"), strict=True)
            ],
            "caption": [caption or "" for caption in column("caption")],
        },
        schema=Catalog.SCHEMA,
    )
    unused = len(rows.keys() - set(used))
    return Catalog(catalog), {"unused_items": unused, "untitled_items": untitled}


def _year(text: str | None, title: str | None) -> int:
    """The year in a date, else in brackets at the end of the title, else 0."""
    found = re.search(r"\b(1[89]|20)\d\d\b", text or "") or re.search(r"(?<=\()(1[89]|20)\d\d(?=\)$)", title or "")
    return int(found[0]) if found else 0


def _words(value: str | list[str] | None) -> list[str]:
    """A list as it is; text split at "|", or, where there is none, at commas."""
    if not isinstance(value, str):
        return [word for word in value or [] if word]
    parts = value.split("|" if "|" in value else ",")
    return [part.strip() for part in parts if part.strip()]
