"""A world whose items have other captions, to train recommenders on."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from vrsim.catalog import Catalog
from vrsim.data import Data
from vrsim.item_tables import with_captions
from vrsim.world import World
from vrsim.world_files import digest

__all__ = ["captioned"]


def captioned(world: World, table: Path | None) -> World:
    """``world`` with the captions of a table (item_id, caption) in place of its own; None = without any.

    Its hash is another one, so that what is trained on it is its own; the rankings stay those of ``world``. Raises
    DataError, see vrsim.item_tables.with_captions.
    """
    if table is None:
        column = Catalog.SCHEMA.get_field_index("caption")
        blank = pa.array([""] * world.n_items, pa.string())
        catalog = Catalog(world.catalog.table.set_column(column, Catalog.SCHEMA.field(column), blank))
    else:
        catalog = with_captions(Data(world.interactions, world.catalog, world.users, {}), table).catalog
    if catalog.captions == world.catalog.captions:
        return world
    key = digest({"world": pa.array([world.hash]), "catalog": catalog.table})
    return replace(world, catalog=catalog, manifest={**world.manifest, "hash": key}, path=None)
