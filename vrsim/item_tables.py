"""Tables that say more about the items of a catalog: captions, and vectors of their images and videos."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vrsim.catalog import Catalog
from vrsim.data import Data
from vrsim.errors import DataError
from vrsim.table_files import ITEM_COLUMNS, read_table, refuse_empty

__all__ = ["read_vectors", "table_key", "with_captions"]


def table_key(file: str | Path) -> str:
    """What stands for a table in the names of worlds and of models: "sha-" and 16 digits of its SHA-256.

    A key stays as it is. Raises DataError where there is no such file.
    """
    if re.fullmatch(r"sha-[0-9a-f]{16}", str(file)):
        return str(file)
    return f"sha-{_sha256(Path(file))[:16]}"


def with_captions(data: Data, path: Path) -> Data:
    """``data`` with the captions of a table (item_id, caption; CSV or parquet) in place of those it had.

    An empty caption is none. ``skipped`` counts the captions of items that ``data`` lacks
    (``captions_of_unknown_items``) and the items that are left without one (``items_without_caption``).
    Raises DataError for a table without the two columns, with an item twice, or with none of the items.
    """
    path = Path(path)
    columns = {name: ITEM_COLUMNS[name] for name in ("item_id", "caption")}
    table = read_table(path, columns, required=("item_id", "caption"))
    rows, unknown = _rows(path, table, data.catalog)
    captions = ["" if row < 0 else table["caption"][row].as_py() for row in rows.tolist()]
    column = data.catalog.table.schema.get_field_index("caption")
    catalog = Catalog(data.catalog.table.set_column(column, Catalog.SCHEMA.field("caption"), pa.array(captions)))
    counts = {"captions_of_unknown_items": unknown, "items_without_caption": captions.count("")}
    origin = {"captions": {"file": path.name, "sha256": _sha256(path)}}
    return replace(data, catalog=catalog, skipped={**data.skipped, **counts}, origin={**data.origin, **origin})


def read_vectors(path: Path, catalog: Catalog, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Vectors of the items by name of a column, float32 (n_items + 1, D) of length 1; zeros = none.

    ``path`` is a parquet file with a column item_id and, for each name (for example "image"), a column of lists
    of numbers, all of one length; null = the item has none. Items that the catalog lacks are left out. Raises
    DataError for a column that is missing or holds something else, an item twice, or none of the items.
    """
    path = Path(path)
    ids = read_table(path, {"item_id": ITEM_COLUMNS["item_id"]}, required=("item_id",))
    rows, _ = _rows(path, ids, catalog)
    table = pq.read_table(path)
    vectors = {}
    for name in names:
        if name not in table.column_names:
            raise DataError(f"{path}: expected a column {name} of vectors, found {', '.join(table.column_names)}")
        values = _vectors(path, name, table[name])
        found = np.zeros((catalog.n_items + 1, values.shape[1]), np.float32)
        found[1:][rows >= 0] = values[rows[rows >= 0]]
        vectors[name] = found
    return vectors


def _rows(path: Path, table: pa.Table, catalog: Catalog) -> tuple[np.ndarray, int]:
    """The row of each item, int64 (n_items,), -1 = none, and how many rows belong to no item."""
    refuse_empty(path, table, "item_id")
    place: dict[str, int] = {}
    for row, item in enumerate(table["item_id"].to_pylist()):
        if item in place:
            raise DataError(f"{path}: item {item!r} stands twice, in data rows {place[item] + 1} and {row + 1}")
        place[item] = row
    rows = np.array([place.get(item, -1) for item in catalog.ids[1:]], np.int64)
    known = int((rows >= 0).sum())
    if not known:
        raise DataError(
            f"{path}: none of its {len(place):,} items is in the data; expected ids like {catalog.ids[1]!r}"
            + (f", found ids like {next(iter(place))!r}" if place else "")
        )
    return rows, len(place) - known


def _vectors(path: Path, name: str, column: pa.ChunkedArray) -> np.ndarray:
    """A column of lists as float32 (rows, D), each row of length 1 or zeros."""
    lists = [None if value is None else np.asarray(value, object) for value in column.to_pylist()]
    sizes = {value.shape for value in lists if value is not None}
    try:
        if len(sizes) != 1 or len(size := sizes.pop()) != 1 or not size[0]:
            raise ValueError("the rows differ in length or are no lists")
        values = np.stack([np.zeros(size) if value is None else value.astype(np.float64) for value in lists])
        if not np.isfinite(values).all():
            raise ValueError("one is not finite")
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: expected lists of numbers of one length in column {name}: {error}") from error
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return (values / np.where(length > 0, length, 1)).astype(np.float32)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
