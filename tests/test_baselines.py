"""Each baseline does what its name says, on questions made by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from vrsim.agent import Agent
from vrsim.baselines.scores import best_threshold
from vrsim.episodes import make_episodes
from vrsim.errors import OptionError
from vrsim.loop import play
from vrsim.registry import make_agent
from vrsim.world import World

UNLIKELY = 1e-4


@pytest.fixture(scope="module")
def world() -> World:
    return World.load("tiny")


def fitted(name: str, world: World, task: str = "selection") -> Agent:
    agent = make_agent(name)
    agent.fit(world, make_episodes(world, "uniform", task, split="train"))
    agent.reset(0)
    return agent


def ask(world: World, positions: list[tuple[int, int]], slates: np.ndarray) -> dict[str, np.ndarray]:
    users, t = np.array(positions).T
    return {
        "position": np.array(positions),
        "history": world.interactions.histories(users, t, 20),
        "slate": np.asarray(slates),
    }


def questions(world: World, width: int, seed: int = 0) -> dict[str, np.ndarray]:
    """One slate of random distinct items for the last position of every user."""
    rng = np.random.default_rng(seed)
    slates = np.stack([rng.permutation(world.n_items)[:width] + 1 for _ in range(world.n_users)])
    return ask(world, list(zip(*(c.tolist() for c in world.held_out), strict=True)), slates)


# uniform and constant


@pytest.mark.parametrize("width", [1, 2, 5])
def test_uniform_takes_every_answer_equally_often(world, width):
    observations = {"slate": np.ones((5000, width), np.int64)}
    action = fitted("uniform", world).act(observations).action
    assert chisquare(np.bincount(action, minlength=max(2, width))).pvalue > UNLIKELY


def test_uniform_says_how_likely_each_place_was(world):
    assert fitted("uniform", world).act({"slate": np.ones((3, 1), int)}).probability.tolist() == [[0.5]] * 3
    assert fitted("uniform", world).act({"slate": np.ones((3, 4), int)}).probability.tolist() == [[0.25] * 4] * 3


def test_uniform_goes_on_drawing_until_it_is_reset(world):
    agent, observations = fitted("uniform", world), {"slate": np.ones((100, 4), np.int64)}
    first, second = agent.act(observations).action, agent.act(observations).action
    assert (first != second).any()
    agent.reset(0)
    np.testing.assert_array_equal(agent.act(observations).action, first)


@pytest.mark.parametrize(("name", "judged", "place"), [
    ("constant", 1, 0), ("constant:answer=no", 0, 0), ("constant:answer=yes,place=3", 1, 3),
])  # fmt: skip
def test_constant_always_says_the_same(world, name, judged, place):
    agent = fitted(name, world)
    assert set(agent.act({"slate": np.ones((9, 1), np.int64)}).action) == {judged}
    assert set(agent.act({"slate": np.ones((9, 4), np.int64)}).action) == {place}


def test_constant_refuses_a_place_that_the_slate_does_not_have(world):
    with pytest.raises(OptionError, match="place 4 is not in a slate of 4 items"):
        fitted("constant:place=4", world).act({"slate": np.ones((9, 4), np.int64)})


# popularity


def test_popularity_counts_the_training_part_only(world):
    counts = np.zeros(world.n_items + 1, int)
    for user in range(world.n_users):
        np.add.at(counts, world.interactions.of(user)[: -world.holdout], 1)
    np.testing.assert_array_equal(world.popularity, counts)


def test_popularity_takes_the_most_or_the_least_popular_item(world):
    observations = questions(world, 5)
    popularity = world.popularity[observations["slate"]]
    most = fitted("popularity", world).act(observations).action
    least = fitted("popularity:order=least", world).act(observations).action
    np.testing.assert_array_equal(popularity[np.arange(len(most)), most], popularity.max(axis=1))
    np.testing.assert_array_equal(popularity[np.arange(len(least)), least], popularity.min(axis=1))


def test_of_equals_the_first_is_taken(world):
    assert fitted("popularity", world).act(ask(world, [(0, 3)], [[7, 7, 7]])).action.tolist() == [0]


@pytest.mark.parametrize("name", ["popularity", "popularity:order=least"])
def test_judgments_by_popularity_are_one_cut(world, name):
    observations = questions(world, 1)
    popularity = world.popularity[observations["slate"][:, 0]]
    said = fitted(name, world, "judgment").act(observations).action == 1
    assert 0 < said.sum() < len(said)
    low, high = (said, ~said) if "least" in name else (~said, said)
    assert popularity[low].max() < popularity[high].min()


# recommender


def test_recommender_takes_what_the_worlds_recommender_scores_highest_or_lowest(world):
    observations = questions(world, 5)
    users, t = observations["position"].T
    scores = world.recommender.score(users, world.interactions.histories(users, t, 50))
    own = np.take_along_axis(scores, observations["slate"], axis=1)
    np.testing.assert_array_equal(fitted("recommender", world).act(observations).action, own.argmax(axis=1))
    np.testing.assert_array_equal(
        fitted("recommender:order=lowest", world).act(observations).action, own.argmin(axis=1)
    )


def test_recommender_prefers_the_first_candidates(world):
    slates = world.candidates[:, [40, 0, 20, 60]].astype(np.int64)
    observations = questions(world, 4) | {"slate": slates}
    assert set(fitted("recommender", world).act(observations).action) == {1}
    assert set(fitted("recommender:order=lowest", world).act(observations).action) == {3}


@pytest.mark.parametrize("back", [0, 1, 2, 4], ids="{} before the end".format)
def test_recommender_scores_the_position_it_is_asked_about(world, back):
    users = np.array([5, 0, world.n_users - 1])
    t = world.interactions.lengths[users] - back
    scores = world.recommender.score(users, world.interactions.histories(users, t, 50))[:, 1:]
    slates = np.tile(np.arange(1, world.n_items + 1), (3, 1))
    observations = ask(world, list(zip(users.tolist(), t.tolist(), strict=True)), slates)
    np.testing.assert_array_equal(fitted("recommender", world).act(observations).action, scores.argmax(axis=1))


def test_recommender_judges_by_the_share_of_items_that_score_lower(world):
    observations = questions(world, 1)
    users, t = observations["position"].T
    scores = world.recommender.score(users, world.interactions.histories(users, t, 50))
    own = np.take_along_axis(scores, observations["slate"], axis=1)
    share = (scores[:, 1:] < own).mean(axis=1)
    said = fitted("recommender", world, "judgment").act(observations).action == 1
    assert share[~said].max() < share[said].min()
    first = observations | {"slate": world.candidates[:, :1].astype(np.int64)}
    assert fitted("recommender", world, "judgment").act(first).action.all()


def test_recommender_on_several_held_out_positions_looks_up_the_right_one():
    world = World.load("tiny:holdout=3")
    users, t = world.held_out
    scores = world.recommender.score(users, world.interactions.histories(users, t, 50))[:, 1:]
    slates = np.tile(np.arange(1, world.n_items + 1), (len(users), 1))
    observations = ask(world, list(zip(users.tolist(), t.tolist(), strict=True)), slates)
    np.testing.assert_array_equal(fitted("recommender", world).act(observations).action, scores.argmax(axis=1))


def test_the_lowest_score_beats_the_papers_negatives_and_the_highest_uniform_ones(world):
    def accuracy(name, protocol):
        return play(make_agent(name), make_episodes(world, protocol, "selection", 3)).correct.mean()

    assert accuracy("recommender:order=lowest", "vragent-paper") > 0.6
    assert accuracy("recommender", "uniform") > 0.4


# content


def test_content_takes_the_item_of_the_genre_of_the_history(world):
    genres, hits, asked = world.catalog.genres, 0, 0
    rng = np.random.default_rng(0)
    agent, opposite = fitted("content", world), fitted("content:order=least", world)
    kinds = sorted({genre for names in genres for genre in names})
    for kind in kinds:
        pure = [i for i in range(1, world.n_items + 1) if genres[i] == [kind]]
        strange = [i for i in range(1, world.n_items + 1) if kind not in genres[i]]
        for _ in range(10):
            *history, match = rng.permutation(pure)[:5].tolist()
            slate = [*rng.permutation(strange)[:3].tolist(), match]
            observations = {"position": np.zeros((1, 2), int), "history": np.array([[0] * 16 + history])}
            observations["slate"] = np.array([slate])
            hits += agent.act(observations).action[0] == 3
            assert opposite.act(observations).action[0] != 3
            asked += 1
    assert hits == asked == 80


def test_content_without_a_history_still_answers(world):
    observations = {
        "position": np.zeros((2, 2), int),
        "history": np.zeros((2, 20), int),
        "slate": np.array([[1, 2]] * 2),
    }
    assert fitted("content", world).act(observations).action.tolist() == [0, 0]


def test_content_does_not_mind_the_order_of_the_history(world):
    observations = questions(world, 5)
    backwards = observations | {"history": observations["history"][:, ::-1].copy()}
    agent = fitted("content", world)
    np.testing.assert_allclose(agent.score(observations), agent.score(backwards), atol=1e-6)


# the one learned number


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 7.0]), st.booleans()), max_size=12))
def test_the_threshold_is_the_best_of_all(rows):
    check_threshold(np.array([score for score, _ in rows]), np.array([label for _, label in rows], bool))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6, width=32), st.booleans()), max_size=12))
def test_the_threshold_is_the_best_of_all_for_any_scores(rows):
    check_threshold(np.array([score for score, _ in rows]), np.array([label for _, label in rows], bool))


def check_threshold(scores: np.ndarray, positive: np.ndarray) -> None:
    def right(threshold):
        return int(((scores >= threshold) == positive).sum())

    everywhere = [-np.inf, np.inf, *scores]  # between two scores the rule does not change
    best = max(right(threshold) for threshold in everywhere)
    found = best_threshold(scores, positive)
    assert right(found) == best
    assert not any(right(threshold) == best and ((scores >= threshold) < (scores >= found)).any() and
                   not ((scores >= threshold) > (scores >= found)).any() for threshold in everywhere)  # fmt: skip


def test_the_threshold_comes_from_the_training_users(world):
    episodes = make_episodes(world, "uniform", "judgment")
    training = episodes.training()
    scores = world.popularity[training.slates[:, 0]].astype(float)
    threshold = best_threshold(scores, training.answers == 1)
    agent = make_agent("popularity")
    agent.fit(world, training)
    said = agent.act(episodes.observe(np.arange(len(episodes)))).action
    np.testing.assert_array_equal(said, world.popularity[episodes.slates[:, 0]] >= threshold)
