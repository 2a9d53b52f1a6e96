"""The items of a world: publisher's ids, titles, years, genres and captions, by item index."""

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from vrsim.errors import EpisodeError

__all__ = ["Catalog"]


@dataclass(frozen=True, eq=False)
class Catalog:
    """A table with one row per item. Item ``i`` is row ``i - 1``, because 0 means "no item".

    Every list below has ``n_items + 1`` entries, so that it can be indexed by item; entry 0 is blank.
    """

    table: pa.Table  # columns of SCHEMA

    SCHEMA = pa.schema(
        [
            ("item_id", pa.string()),  # the publisher's id
            ("title", pa.string()),
            ("year", pa.int16()),  # 0 = unknown
            ("genres", pa.list_(pa.string())),
            ("caption", pa.string()),  # "" = none
        ]
    )

    @property
    def n_items(self) -> int:
        return self.table.num_rows

    @cached_property
    def ids(self) -> list[str]:
        return ["", *self.table["item_id"].to_pylist()]

    @cached_property
    def titles(self) -> list[str]:
        return ["", *self.table["title"].to_pylist()]

    @cached_property
    def years(self) -> list[int]:
        return [0, *self.table["year"].to_pylist()]

    @cached_property
    def genres(self) -> list[list[str]]:
        return [[], *self.table["genres"].to_pylist()]

    @cached_property
    def captions(self) -> list[str]:
        return ["", *self.table["caption"].to_pylist()]

    def label(self, item: int) -> str:
        """The item as a person would name it: title and, where known and not already in it, the year.

        Raises EpisodeError for an item that does not exist, 0 included.
        """
        if not 1 <= item <= self.n_items:
            raise EpisodeError(f"item {item} does not exist: the catalog has items 1 to {self.n_items}")
        title, year = self.titles[item], self.years[item]
        return f"{title} ({year})" if year and str(year) not in title else title
