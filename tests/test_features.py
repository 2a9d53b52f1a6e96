"""The numbers of an item against plain definitions, one item at a time."""

import copy
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from vrsim.baselines.content import Content
from vrsim.baselines.features import NAMES, SlateFeatures
from vrsim.baselines.graph import Graph
from vrsim.catalog import Catalog
from vrsim.episodes import Episodes, make_episodes
from vrsim.protocols import get_protocol
from vrsim.testing import without_future
from vrsim.world import World

CATALOG = {
    "title": ["The Red House", "Red and Blue", "", "The", "Blue: Return of the HOUSE", "Other"],
    "year": [1990, 0, 2000, 2010, 1980, 0],
    "genres": [["Film Noir", "War"], ["Noir"], [], ["War"], ["War", "Film Noir", "Noir"], ["Film Noir"]],
}


@pytest.fixture(scope="module")
def world() -> World:
    return World.load("tiny")


@pytest.fixture(scope="module")
def episodes(world) -> Episodes:
    return make_episodes(world, "uniform", "selection", 4)


@pytest.fixture(scope="module")
def features(world, episodes) -> SlateFeatures:
    return fitted(world, episodes.training())


def fitted(world: World, training: Episodes) -> SlateFeatures:
    features = SlateFeatures()
    features.fit(world, training)
    return features


def small(world: World, **columns) -> SlateFeatures:
    """The features of six items only: the catalog above, in the tiny world."""
    columns = {"item_id": list("abcdef"), "caption": [""] * 6} | CATALOG | columns
    catalog = Catalog(pa.table(columns, schema=Catalog.SCHEMA))
    known = world.interactions
    few = replace(known, items=((known.items - 1) % 6 + 1).astype(np.int32))
    other = replace(world, catalog=catalog, interactions=few)
    other.__dict__["recommender"] = Refusing()
    questions = make_episodes(world, "uniform", "selection").training()
    slates = np.tile([1, 2, 3, 4], (len(questions), 1))
    return fitted(other, replace(questions, world=other, slates=slates))


class Refusing:
    """Scores item i by 10 * i, and will not score item 2."""

    def score(self, users, histories):
        scores = np.tile(10.0 * np.arange(7), (len(users), 1))
        scores[:, 2] = -np.inf
        return scores


def number(features: SlateFeatures, name: str, history: list[int], item: int) -> float:
    history = [0] * (20 - len(history)) + history
    asked = {"position": np.array([[0, 3]]), "history": np.array([history]), "slate": np.array([[item]])}
    return float(features.of(asked)[0, 0, NAMES.index(name)])


def column(features: SlateFeatures, episodes: Episodes, name: str) -> np.ndarray:
    return features.of(episodes.observe(np.arange(len(episodes))))[:, :, NAMES.index(name)]


def test_every_item_has_one_finite_number_of_each_name(features, episodes):
    numbers = features.of(episodes.observe(np.arange(7)))
    assert numbers.shape == (7, 5, len(NAMES))
    assert numbers.dtype == np.float64
    assert np.isfinite(numbers).all()


def test_score_and_rank_are_those_of_the_worlds_recommender(world, features, episodes):
    users, t = episodes.positions.T
    scores = world.recommender.score(users, world.interactions.histories(users, t, 50))
    own = np.take_along_axis(scores, episodes.slates, axis=1)
    np.testing.assert_allclose(column(features, episodes, "score"), own)
    rank = (scores[:, None, 1:] < own[:, :, None]).mean(axis=2)
    np.testing.assert_allclose(column(features, episodes, "rank"), rank)


def test_popularity_content_and_graph_are_those_of_the_agents(world, features, episodes):
    observations = episodes.observe(np.arange(len(episodes)))
    popularity = [[math.log(1 + world.popularity[item]) for item in slate] for slate in episodes.slates.tolist()]
    np.testing.assert_allclose(column(features, episodes, "popularity"), popularity)
    for name, agent in (("content", Content()), ("graph", Graph())):
        agent.prepare(world)
        np.testing.assert_array_equal(column(features, episodes, name), agent.score(observations))


@pytest.mark.parametrize("name", ["tiny", "tiny:holdout=3"])  # the shortest history then has 2 known items
def test_late_and_trend_count_the_last_and_the_first_three_of_the_training_part(name):
    world = World.load(name)
    episodes = make_episodes(world, "uniform", "selection", 4)
    first, last = Counter(), Counter()
    for user in range(world.n_users):
        known = world.interactions.of(user)[: -world.holdout].tolist()
        first.update(known[:3])
        last.update(known[-3:])
    late = np.array([[math.log(1 + last[item]) for item in slate] for slate in episodes.slates.tolist()])
    early = np.array([[math.log(1 + first[item]) for item in slate] for slate in episodes.slates.tolist()])
    features = fitted(world, episodes.training())
    np.testing.assert_allclose(column(features, episodes, "late"), late)
    np.testing.assert_allclose(column(features, episodes, "trend"), late - early, atol=1e-12)
    assert (late != early).any()


def test_genres_are_the_share_that_the_history_has(world, features, episodes):
    genres = world.catalog.genres
    for history, slate, found in zip(
        episodes.histories.tolist(), episodes.slates.tolist(), column(features, episodes, "genres"), strict=True
    ):
        liked = {genre for item in history for genre in genres[item]}
        assert found.tolist() == [len(liked & {*genres[item]}) / len(genres[item]) for item in slate]


def test_a_genre_of_two_words_is_one_genre(world):
    features = small(world)
    assert number(features, "genres", [6], 1) == 1 / 2
    assert number(features, "genres", [6], 2) == 0
    assert number(features, "genres", [1, 2], 5) == 1
    assert number(features, "genres", [6], 3) == 0  # it has none


def test_years_are_counted_from_the_mean_of_the_history(world, features, episodes):
    years = world.catalog.years
    for history, slate, found in zip(
        episodes.histories.tolist(), episodes.slates.tolist(), column(features, episodes, "years"), strict=True
    ):
        mean = np.mean([years[item] for item in history if item])
        np.testing.assert_allclose(found, [years[item] - mean for item in slate])


def test_an_unknown_year_is_left_out(world):
    features = small(world)
    assert number(features, "years", [1, 2, 3], 4) == 2010 - 1995
    assert number(features, "years", [1, 3], 2) == 0
    assert number(features, "years", [2, 6], 1) == 0
    assert number(features, "years", [], 1) == 0
    assert [number(features, "year", [1], item) for item in (1, 2, 3)] == [1990, 0, 2000]


def test_words_are_the_share_of_the_title_that_stands_in_titles_of_the_history(world):
    features = small(world)
    assert number(features, "words", [1], 2) == 1 / 2  # red; blue is new, "and" and "the" do not count
    assert number(features, "words", [1], 5) == 1 / 3  # house, in whatever case
    assert number(features, "words", [1, 2], 5) == 2 / 3
    assert number(features, "words", [1, 2], 6) == 0
    assert number(features, "words", [4], 1) == 0
    assert number(features, "words", [1, 2], 3) == number(features, "words", [1, 2], 4) == 0  # no words at all


def test_a_world_without_any_word_or_genre_has_features_too(world):
    features = small(world, title=[""] * 6, genres=[[]] * 6)
    for name in ("words", "genres", "content"):
        assert number(features, name, [1, 2], 3) == 0


def test_what_the_recommender_refuses_to_score_counts_as_its_lowest_score(world):
    features = small(world)
    assert number(features, "score", [1], 5) == 50
    assert number(features, "score", [1], 2) == 10
    assert number(features, "rank", [1], 2) == 0
    assert number(features, "rank", [1], 5) == 4 / 6


def test_the_features_of_an_item_do_not_depend_on_the_slate_or_the_batch(features, episodes):
    whole = features.of(episodes.observe(np.arange(len(episodes))))
    for row in (0, 40, 99):
        alone = episodes.observe(np.array([row]))
        for place in range(5):
            asked = {**alone, "slate": alone["slate"][:, place : place + 1]}
            np.testing.assert_array_equal(features.of(asked)[0, 0], whole[row, place])


def test_all_episodes_of_all_parts_stand_in_their_order(world, features):
    judged = make_episodes(world, replace(get_protocol("uniform"), per_positive=4), "judgment")
    assert len(judged) > 256  # more than one batch
    expected = features.of(judged.observe(np.arange(len(judged))))
    np.testing.assert_array_equal(features.of_all(judged), expected)
    other = make_episodes(world, "uniform", "judgment", seed=1)
    second = features.of(other.observe(np.arange(len(other))))
    np.testing.assert_array_equal(features.of_all(judged, other), np.concatenate([expected, second]))


def test_over_the_training_slates_the_mean_is_0_and_the_deviation_1(features, episodes):
    training = episodes.training()
    rows = features.standardised(training.observe(np.arange(len(training)))).reshape(-1, len(NAMES))
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(rows.std(axis=0), 1, atol=1e-9)
    test_rows = features.standardised(episodes.observe(np.arange(len(episodes)))).reshape(-1, len(NAMES))
    assert (np.abs(test_rows.mean(axis=0)) > 1e-3).any()  # the test slates were not used


def test_a_number_that_is_always_the_same_becomes_0(world):
    features = small(world, year=[0] * 6)
    asked = {"position": np.array([[0, 3]]), "history": np.array([[1, 2]]), "slate": np.array([[3, 4]])}
    assert features.standardised(asked)[0, :, NAMES.index("years")].tolist() == [0, 0]


def test_the_future_of_the_asked_users_is_not_read(world, episodes, features):
    blind = fitted(without_future(world, episodes.positions), episodes.training())
    np.testing.assert_array_equal(blind.of_all(episodes), features.of_all(episodes))


def test_the_observations_stay_as_they_are(features, episodes):
    observations = episodes.observe(np.arange(9))
    before = copy.deepcopy(observations)
    features.of(observations)
    for name, array in before.items():
        np.testing.assert_array_equal(array, observations[name])
