"""MicroLens-50K and MicroLens-100K (Ni et al., arXiv:2309.15379): comments on short videos."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from vrsim.errors import DataError
from vrsim.sources.source import Form, Found, Source, Tables, atomic, read_bytes, read_events, read_items

__all__ = ["MICROLENS_50K", "MICROLENS_100K"]

PUBLISHER = "Westlake University, https://github.com/westlake-repl/MicroLens"
TERMS = "their publisher forbids offering modified copies for download"


def _tables(interactions: str) -> Callable[[Found], Tables]:
    def read(files: Found) -> Tables:
        events, items = files[interactions], files["items.csv"]
        return events, read_events(events), items, read_items(items)

    return read


def _published(pairs: str, titles: str, comments: str) -> Callable[[Found], Tables]:
    """Pairs as ``user,item,timestamp`` (.csv) or as one line of items per user, oldest first (.tsv)."""

    def read(files: Found) -> Tables:
        events = _sequences(files[pairs]) if pairs.endswith(".tsv") else read_events(files[pairs])
        if comments in files:
            events = events.append_column("comment", _comments(files[comments], events))
        return files[pairs], events, files[titles], _titles(files[titles])

    return read


def _lines(path: Path) -> list[str]:
    content = read_bytes(path)
    try:
        # "\n" only: titles and comments hold other characters that Python takes for line ends
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line} is not UTF-8") from error
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]


def _sequences(path: Path) -> pa.Table:
    """``user<TAB>item item item``."""
    users, lengths, items = [], [], []
    for number, line in enumerate(_lines(path), 1):
        user, tab, sequence = line.partition("\t")
        chosen = sequence.split()
        if not tab or not user.strip() or not chosen:
            raise DataError(f"{path}: line {number}: expected a user, a tab and items, found {line[:80]!r}")
        users.append(user.strip())
        lengths.append(len(chosen))
        items += chosen
    position = np.concatenate([np.arange(1, n + 1) for n in lengths]) if lengths else np.zeros(0, int)
    user = pa.array(np.repeat(np.array(users, object), lengths), pa.string())
    return pa.table({"user_id": user, "item_id": pa.array(items, pa.string()), "position": position})


def _titles(path: Path) -> pa.Table:
    """``item,title``, with a header or without; titles may hold commas, quoted or not."""
    if path.name.removesuffix(".gz").endswith("titles.csv"):
        return read_items(path)
    ids, titles = [], []
    for number, line in enumerate(_lines(path), 1):
        item, comma, title = line.partition(",")
        if number == 1 and comma and item.strip().isidentifier():
            continue  # a header
        if not comma or not item.strip().isdecimal():
            raise DataError(f"{path}: line {number}: expected item,title, found {line[:80]!r}")
        ids.append(item.strip())
        quoted = re.fullmatch(r'"((?:[^"]|"")*)"', title.strip())
        titles.append(quoted[1].replace('""', '"') if quoted else title.strip())
    return pa.table({"item_id": pa.array(ids, pa.string()), "title": pa.array(titles, pa.string())})


def _comments(path: Path, events: pa.Table) -> pa.Array:
    """The first comment of each user on each item, in the order of ``events``; ``user<TAB>item<TAB>comment``."""
    known: dict[tuple[str, str], str] = {}
    for number, line in enumerate(_lines(path), 1):
        parts = line.split("\t", 2)
        if len(parts) < 3:
            raise DataError(f"{path}: line {number}: expected a user, an item and a comment, found {line[:80]!r}")
        user, item, comment = map(str.strip, parts)
        known.setdefault((user, item), comment)
    pairs = zip(events["user_id"].to_pylist(), events["item_id"].to_pylist(), strict=True)
    return pa.array([known.get(pair, "") for pair in pairs], pa.string())


def _source(size: str, users: int, items: int, interactions: int, titles: str) -> Source:
    counts = {"users": users, "items": items, "interactions": interactions}
    stem, comments = f"MicroLens-{size}", f"MicroLens-{size}_comment_en.txt"
    published = [
        Form(
            f"Westlake's files, pairs as {kind}",
            (f"{stem}_pairs{kind}", f"{stem}_{titles}"),
            _published(f"{stem}_pairs{kind}", f"{stem}_{titles}", comments),
            counts,
            optional=(comments,),
        )
        for kind in (".csv", ".tsv")
    ]
    tables = f"interactions_{size}.csv"
    return Source(
        name=f"microlens-{size}",
        about=f"MicroLens-{size.upper()}: {users:,} users, {items:,} videos, {interactions:,} comments (Westlake)",
        publisher=PUBLISHER,
        terms=TERMS,
        folders=("microlens", f"microlens-{size}", stem),
        forms=(
            Form("tables with positions", (tables, "items.csv"), _tables(tables), counts),
            *published,
            atomic(f"microlens-{size}", counts),
        ),
        options={"MAX_ITEM_LIST_LENGTH": 20},
    )


MICROLENS_50K = _source("50k", 50_000, 19_220, 359_708, "titles.csv")
MICROLENS_100K = _source("100k", 100_000, 19_738, 719_405, "title_en.csv")
