"""The catalog names items as a person would, and only those that exist."""

import pytest

from vrsim.catalog import Catalog
from vrsim.errors import EpisodeError
from vrsim.world import World


def test_a_label_is_the_title_with_the_year_unless_it_stands_there():
    columns = {"item_id": ["a", "b", "c"], "title": ["Heat", "Heat (1995)", "Blow-Up"], "year": [1995, 1995, 0]}
    table = Catalog.SCHEMA.empty_table().from_pydict(
        columns | {"genres": [[], [], []], "caption": ["", "", ""]}, schema=Catalog.SCHEMA
    )
    catalog = Catalog(table)
    assert [catalog.label(item) for item in (1, 2, 3)] == ["Heat (1995)", "Heat (1995)", "Blow-Up"]


@pytest.mark.parametrize("item", [-1, 0, 161])
def test_an_item_that_does_not_exist_has_no_label(item):
    with pytest.raises(EpisodeError, match=rf"item {item} does not exist: the catalog has items 1 to 160"):
        World.load("tiny").catalog.label(item)
