"""Titles by their length and items by their year, on a catalog where both are known."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from vrsim.baselines.age import Age
from vrsim.baselines.title import Title
from vrsim.catalog import Catalog
from vrsim.episodes import make_episodes
from vrsim.errors import EpisodeError, UnknownNameError
from vrsim.loop import play
from vrsim.registry import make_agent, shortcuts
from vrsim.world import World

TITLES = ["", "Sixteen letters!", "Up", "Łódź", "Up"]
YEARS = [1990, 0, 2001, 1950, 1970]


def world_of(titles: list[str] = TITLES, years: list[int] = YEARS) -> World:
    """The tiny world with another catalog."""
    n = len(titles)
    columns = {"item_id": [f"i{i}" for i in range(n)], "title": titles, "year": years, "genres": [[]] * n}
    return replace(
        World.load("tiny"), catalog=Catalog(pa.table(columns | {"caption": [""] * n}, schema=Catalog.SCHEMA))
    )


def slate(*items: int) -> dict[str, np.ndarray]:
    return {"slate": np.array([items])}


def prepared(agent, world):
    agent.prepare(world)
    return agent


def test_a_title_counts_its_characters():
    assert prepared(Title(), world_of()).score(slate(1, 2, 3, 4, 5)).tolist() == [[0, 16, 2, 4, 2]]


def test_the_longest_or_the_shortest_title_is_taken():
    assert prepared(Title("longest"), world_of()).act(slate(3, 4, 2)).action.tolist() == [2]
    assert prepared(Title("shortest"), world_of()).act(slate(4, 3, 5)).action.tolist() == [1]  # the first of equals


def test_the_newest_or_the_oldest_item_is_taken():
    assert prepared(Age("newest"), world_of()).act(slate(1, 3, 5)).action.tolist() == [1]
    assert prepared(Age("oldest"), world_of()).act(slate(1, 3, 5)).action.tolist() == [2]


def test_an_unknown_year_counts_as_the_median_known_one():
    assert prepared(Age(), world_of()).score(slate(1, 2, 3, 4, 5)).tolist() == [[1990, 1980, 2001, 1950, 1970]]


def test_a_catalog_without_years_is_refused_in_one_sentence():
    with pytest.raises(EpisodeError, match="agent 'age' needs the years of the items, and the catalog of 'tiny' has"):
        prepared(Age(), world_of(years=[0] * 5))


@pytest.mark.parametrize(
    "name", ["title:order=longest", "title:order=shortest", "age:order=newest", "age:order=oldest"]
)
def test_both_orders_are_played_and_learn_a_threshold_for_judgments(name):
    assert name in shortcuts()
    world = World.load("tiny")
    played = play(make_agent(name), make_episodes(world, "uniform", "judgment"))
    item = played.episodes.slates[:, 0]
    number = np.array([len(t) for t in world.catalog.titles] if "title" in name else world.catalog.years)[item]
    said = played.decisions.action == 1
    assert 0 < said.sum() < len(said)
    low, high = (said, ~said) if name.endswith(("shortest", "oldest")) else (~said, said)
    assert number[low].max() < number[high].min()


def test_an_unknown_order_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'longest'"):
        make_agent("title:order=longer")
    with pytest.raises(UnknownNameError, match="Did you mean 'newest'"):
        make_agent("age:order=new")
