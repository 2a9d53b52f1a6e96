"""MovieLens-100K and MovieLens-1M (GroupLens; Harper and Konstan, ACM TiiS 2015)."""

import importlib.util
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from vrsim.data import Data, read_data
from vrsim.errors import DataError
from vrsim.sources.source import Form, Found, Source, Tables, atomic, read_bytes, read_events, read_items

__all__ = ["ML_1M", "TERMS", "ml_100k"]

TERMS = "GroupLens forbids passing them on without its permission"
COUNTS = {"users": 6040, "items": 3706, "interactions": 1000209}


def ml_100k(shortest: int) -> Data:
    """MovieLens-100K from the files inside RecBole."""
    from vrsim.recommender.recbole_settings import require_recbole

    require_recbole()
    folder = Path(importlib.util.find_spec("recbole").origin).parent / "dataset_example" / "ml-100k"
    return read_data(folder / "ml-100k.inter", folder / "ml-100k.item", shortest)


def _tables(files: Found) -> Tables:
    ratings, items = files["ratings.csv"], files["items.csv"]
    return ratings, read_events(ratings), items, read_items(items)


def _published(files: Found) -> Tables:
    """``ratings.dat`` and ``movies.dat``: fields between "::", no header, Latin-1."""
    ratings = _fields(files["ratings.dat"], ("user_id", "item_id", "rating", "time"))
    movies = _fields(files["movies.dat"], ("item_id", "title", "genres"))
    return files["ratings.dat"], ratings, files["movies.dat"], movies


def _fields(path: Path, names: tuple[str, ...]) -> pa.Table:
    content = read_bytes(path)
    _refuse_mixed(path, content)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    types = dict.fromkeys(names, pa.string()) | {"time": pa.int64()}
    try:
        return pyarrow.csv.read_csv(
            pa.BufferReader(text.replace("::", "\t").encode()),
            read_options=pyarrow.csv.ReadOptions(column_names=names),
            parse_options=pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=pyarrow.csv.ConvertOptions(column_types=types),
        )
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: expected lines of {'::'.join(names)}: {error}") from error


def _refuse_mixed(path: Path, content: bytes) -> None:
    """Refuse a file that is UTF-8 in one line and Latin-1 in another: one of them would be read wrongly."""
    lines: dict[str, int] = {}
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.isascii():
            continue
        try:
            line.decode("utf-8")
            lines.setdefault("UTF-8", number)
        except UnicodeDecodeError:
            lines.setdefault("Latin-1", number)
    if len(lines) == 2:
        raise DataError(
            f"{path}: mixed encodings, line {lines['UTF-8']} is UTF-8 and line {lines['Latin-1']} is not; "
            "fetch the file again"
        )


ML_1M = Source(
    name="ml-1m",
    about="MovieLens-1M: 6,040 users, 3,416 films with 5 or more ratings, 1,000,209 ratings (GroupLens)",
    publisher="GroupLens, https://grouplens.org/datasets/movielens/1m/",
    terms=TERMS,
    folders=("movielens-1m", "ml-1m"),
    forms=(
        Form("tables with positions", ("ratings.csv", "items.csv"), _tables, COUNTS),
        Form("GroupLens' files", ("ratings.dat", "movies.dat"), _published, COUNTS),
        atomic("ml-1m", COUNTS),
    ),
    least_users=5,  # as in SASRec (ICDM 2018) and what follows it
)
