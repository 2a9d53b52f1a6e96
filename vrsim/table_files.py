"""Read a CSV or parquet file into known columns of known types, or say which line is wrong."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from vrsim.errors import DataError

__all__ = ["INTERACTION_COLUMNS", "ITEM_COLUMNS", "RANKED_COLUMNS", "numbers", "read_table", "refuse_empty", "times"]

# Accepted names of each column, the first is the one we use. RecBole's ":type" suffix is dropped.
INTERACTION_COLUMNS = {
    "user_id": ("user_id", "user"),
    "item_id": ("item_id", "item"),
    "time": ("time", "timestamp"),
    "position": ("position",),
    "rating": ("rating",),
    "comment": ("comment", "review"),
}
ITEM_COLUMNS = {
    "item_id": ("item_id", "item"),
    "title": ("title", "movie_title", "name"),
    "year": ("year", "release_year", "release_date"),
    "genres": ("genres", "class", "genre"),
    "tags": ("tags", "tag"),
    "caption": ("caption", "description"),
}
RANKED_COLUMNS = {"user_id": ("user_id", "user"), "item_id": ("item_id", "item"), "rank": ("rank",)}
LISTS = ("genres", "tags")
TEXT = ("user_id", "item_id", "title", *LISTS, "caption", "comment", "year")


def read_table(path: Path, columns: Mapping[str, tuple[str, ...]], required: tuple[str, ...]) -> pa.Table:
    """Read a CSV (also .tsv, .inter, .item, .gz) or parquet file; keep and rename the known columns.

    ``required`` names columns that must be there; "time or position" asks for one of the two.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        table = pq.read_table(path) if ".parquet" in path.suffixes else _read_csv(path)
        names = [name.partition(":")[0].strip() for name in table.column_names]
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}{_broken_line(path)}: cannot be read: {error}") from error
    chosen = {}
    for column, aliases in columns.items():
        alias = next((a for a in aliases if a in names), None)
        if alias and names.count(alias) > 1:
            raise DataError(f"{path}: column {alias} stands {names.count(alias)} times in the header")
        if alias:
            chosen[column] = table.column(names.index(alias))
            if column in LISTS and table.column_names[names.index(alias)].endswith(":token_seq"):
                chosen[column] = pc.replace_substring(chosen[column], " ", "|")
    for wish in required:
        options = wish.split(" or ")
        if not set(options) & chosen.keys():
            aliases = [alias for option in options for alias in columns[option]]
            raise DataError(f"{path}: expected a column {' or '.join(aliases)}, found {', '.join(names)}")
    for column in chosen:
        if column not in TEXT:
            continue
        try:
            if column in LISTS and _is_list(chosen[column].type):
                chosen[column] = chosen[column].cast(pa.list_(pa.string()))
            else:
                chosen[column] = _as_text(chosen[column])
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(f"{path}: expected text in column {column}: {error}") from error
        if column in ("user_id", "item_id"):
            chosen[column] = _whole(chosen[column])
    return pa.table(chosen)


def _read_csv(path: Path) -> pa.Table:
    tabs = bool({".tsv", ".inter", ".item"} & set(path.suffixes))  # RecBole: tabs, nothing quoted
    with pa.input_stream(path, compression="detect") as stream:
        head = stream.read(1 << 16).split(b"\n", 1)[0].decode("utf-8", "replace").strip("\r\ufeff")
    names = [name.strip('"') for name in head.split("\t" if tabs else ",")]
    every = {alias for known in (INTERACTION_COLUMNS, ITEM_COLUMNS) for c in TEXT for alias in known.get(c, ())}
    types = {name: pa.string() for name in names if name.partition(":")[0].strip() in every}
    return pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(
            delimiter="\t" if tabs else ",", quote_char=False if tabs else '"', newlines_in_values=not tabs
        ),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=False),
    )


def _broken_line(path: Path) -> str:
    """Where a text file stops being UTF-8, as words for an error message."""
    if ".parquet" in path.suffixes:
        return ""
    try:
        with pa.input_stream(path, compression="detect") as stream:
            for number, line in enumerate(stream.read().split(b"\n"), 1):
                try:
                    line.decode("utf-8")
                except UnicodeDecodeError:
                    return f", line {number} is not UTF-8"
    except (pa.ArrowInvalid, OSError):
        pass  # not even readable as bytes: the caller's error says so
    return ""


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _whole(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids that are all written like 12.0 lose the fraction."""
    if len(ids) and pc.all(pc.match_substring_regex(ids, r"^-?\d+\.0$|^$")).as_py():
        return pc.replace_substring_regex(ids, r"\.0$", "")
    return ids


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Strings without surrounding blanks; whole floats, as pandas writes ids with gaps, lose their '.0'."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
        whole = pc.if_else(pc.equal(pc.floor(column), column), column, None)
        if whole.null_count == column.null_count:
            column = column.cast(pa.int64())
    return pc.utf8_trim_whitespace(pc.fill_null(column.cast(pa.string()), ""))


def refuse_empty(path: Path, table: pa.Table, column: str) -> None:
    empty = np.flatnonzero(np.asarray(pc.equal(table[column], "")))
    if len(empty):
        raise DataError(f"{path}: {len(empty)} rows without a {column}, first in data row {empty[0] + 1}")


def numbers(path: Path, column: pa.ChunkedArray, name: str) -> np.ndarray:
    try:
        values = column.cast(pa.float64(), safe=False).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"{path}: expected numbers in column {name}: {error}") from error
    return np.asarray(values, np.float64)


def times(path: Path, column: pa.ChunkedArray) -> np.ndarray:
    """What orders the interactions: integers as they are, int64, else numbers or seconds since 1970, float64."""
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    if pa.types.is_timestamp(column.type):
        per_second = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[column.type.unit]
        column = pc.divide(column.cast(pa.int64()).cast(pa.float64(), safe=False), per_second)
    if pa.types.is_integer(column.type) and not column.null_count:
        return column.cast(pa.int64()).to_numpy()
    time = numbers(path, column, "time")
    bad = np.flatnonzero(~np.isfinite(time))
    if len(bad):
        raise DataError(f"{path}: {len(bad)} rows without a time, first in data row {bad[0] + 1}")
    return time
