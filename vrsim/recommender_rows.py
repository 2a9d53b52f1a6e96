"""The rows of the suites that compare recommenders, and what each of them needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vrsim.captioned import captioned
from vrsim.errors import DataError, OptionError
from vrsim.features import item_texts
from vrsim.item_tables import read_vectors
from vrsim.recommender.item_variants import VARIANTS, variant_of
from vrsim.world import World

__all__ = ["RANKING_SUITES", "Allowed", "RankingRow", "RankingSuite", "allowed_rows"]


@dataclass(frozen=True)
class RankingRow:
    """One recommender: what it is and what it reads."""

    name: str
    model: str  # of RecBole or of vrsim.recommender.item_variants; "" = popularity, which reads nothing
    reads: tuple[str, ...] = ()  # "text", and columns of the table of vectors; () = ids alone
    captions: str = ""  # whose captions stand in the text, "" = titles and genres alone
    any_of: bool = False  # reads what there is of ``reads``, instead of all or nothing
    published: str = ""  # the row of vrsim.published.RANKINGS that stands beside, "" = the one of this name

    @property
    def beside(self) -> str:
        """The name of the published row."""
        return self.published or self.name

    @property
    def options(self) -> dict[str, Any]:
        """Settings that make it this row. As published, what is read takes the place of the ids."""
        alone = {"ids": False} if "ids" in variant_of(self.model).options else {}
        return {"features": "+".join(self.reads)} | alone if self.model in VARIANTS else {}


@dataclass(frozen=True)
class RankingSuite:
    """The rows of a table."""

    rows: tuple[RankingRow, ...]
    captions: Mapping[str, str]  # tables of captions by name, and what they are; the first one needs no name
    references: tuple[str, ...]  # rows that all others are compared with
    ablation: bool = False  # of the captions: without any there is nothing to ask


@dataclass(frozen=True)
class Allowed:
    """What the data allow of a suite."""

    rows: list[RankingRow]
    left_out: dict[str, str]  # rows, and why
    worlds: dict[str, World]  # by name of the captions that the items have there, "" = none
    notes: list[str]  # what tables of captions lack

    def only(self, names: Sequence[str]) -> "Allowed":
        """The rows of these names alone, () = all. Raises OptionError if none of them can be made."""
        rows = [row for row in self.rows if not names or row.name in names]
        left_out = {name: why for name, why in self.left_out.items() if not names or name in names}
        if not rows:
            name, why = next(iter(left_out.items()))
            raise OptionError(f"no row is left; {name} is not there because {why}")
        return replace(self, rows=rows, left_out=left_out)


def _reader(name: str, model: str, *reads: str, captions: str = "", published: str = "") -> RankingRow:
    return RankingRow(name, model, reads, captions, published=published)


# VRAgent-R1's table of recommenders. "T": titles, "I": covers, "V": videos, "F": all three.
RECOMMENDERS = RankingSuite(
    (
        RankingRow("popularity", ""),
        *(RankingRow(name, name) for name in ("DSSM", "LightGCN", "DeepFM", "NextItNet")),
        _reader("NextItNet + V", "NextItNetVideo", "video"),
        RankingRow("GRU4Rec", "GRU4Rec"),
        RankingRow("MMGCN", "MMGCN", ("text", "image", "video"), any_of=True),
        RankingRow("SASRec", "SASRec"),
        _reader("SASRec T", "SASRecText", "text"),
        _reader("SASRec I", "SASRecImage", "image"),
        _reader("SASRec V", "SASRecVideo", "video"),
        _reader("SASRec F", "SASRecFused", "text", "image", "video"),
        _reader("SASRec + MLLM-MSR", "SASRecText", "text", captions="mllm-msr"),
        _reader("NextItNet + IP", "NextItNetText", "text", captions="ip"),
        _reader("SASRec + IP", "SASRecText", "text", captions="ip"),
    ),
    {"ip": "the captions of the IP Agent (vrsim caption)", "mllm-msr": "the captions of MLLM-MSR"},
    ("popularity", "SASRec"),
)
# VRAgent-R1's ablation of the IP Agent, and two more ways to choose frames.
PARTS = {
    "full": "the captions of the whole IP Agent",
    "no-kfr": "captions with random frames",
    "uniform": "captions with uniform frames",
    "cover": "captions with the cover alone",
    "no-cmp": "captions with frames and title explained apart",
    "no-rra": "the perceptions as they are",
}
IP_ABLATION = RankingSuite(
    (
        RankingRow("popularity", ""),
        RankingRow("ids alone", "SASRec", published="SASRec"),
        _reader("titles alone", "SASRecText", "text", published="SASRec T"),
        *(
            _reader(name, "SASRecText", "text", captions=name, published=f"SASRec + IP, {name}".removesuffix(", full"))
            for name in PARTS
        ),
    ),
    PARTS,
    ("titles alone", "full"),
    ablation=True,
)
RANKING_SUITES = {"recommenders": RECOMMENDERS, "ip-ablation": IP_ABLATION}


def allowed_rows(world: World, suite: RankingSuite, captions: Mapping[str, Path], vectors: Path | None) -> Allowed:
    """The rows that there are data for.

    ``captions``: tables by name; those of the world itself stand in for the first of the suite. ``vectors``: see
    vrsim.item_tables.read_vectors. Raises DataError for tables that cannot be used, OptionError if captions
    are to be compared and there are none.
    """
    worlds = {"": captioned(world, None)} | {name: captioned(world, table) for name, table in captions.items()}
    if any(world.catalog.captions):
        worlds = {next(iter(suite.captions)): world} | worlds
    there = {*_columns(vectors, world)} | ({"text"} if any(item_texts(worlds[""].catalog)) else set())
    rows, left_out = [], {}
    for row in suite.rows:
        missing = [name for name in row.reads if name not in there and not (name == "text" and row.captions)]
        if row.captions and row.captions not in worlds:
            left_out[row.name] = f"it reads {suite.captions[row.captions]}: --captions {row.captions}=FILE"
        elif missing and not (row.any_of and len(missing) < len(row.reads)):
            left_out[row.name] = _why(missing)
        else:
            rows.append(replace(row, reads=tuple(name for name in row.reads if name not in missing)))
    if suite.ablation and not any(row.captions for row in rows):
        raise OptionError(
            f"no captions to compare: give --captions NAME=FILE, the names are {', '.join(suite.captions)}"
        )
    lacking = {name: view.catalog.captions[1:].count("") for name, view in worlds.items() if name}
    notes = [
        f"captions {name}: {n:,} of {world.n_items:,} items have none and are read by their titles"
        for name, n in lacking.items()
        if n
    ]
    return Allowed(rows, left_out, worlds, notes)


def _why(missing: Sequence[str]) -> str:
    """Why a row is left out that reads what is ``missing``."""
    columns = [name for name in missing if name != "text"]
    if not columns:
        return "it reads titles and genres, and no item has any"
    return f"it reads {' and '.join(columns)} vectors: --vectors FILE with the columns item_id, {', '.join(columns)}"


def _columns(vectors: Path | None, world: World) -> list[str]:
    """The columns of vectors in a table, which are read once, so that a wrong one costs no hours of training."""
    if vectors is None:
        return []
    try:
        names = pq.read_schema(vectors).names
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(
            f"{vectors}: expected a parquet file with the columns item_id, image, video: {error}"
        ) from error
    if not (found := [name for name in ("image", "video") if name in names]):
        raise DataError(f"{vectors}: expected a column image or video of vectors, found {', '.join(names)}")
    read_vectors(vectors, world.catalog, found)
    return found
