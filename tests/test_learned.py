"""What numbers alone can do: more than chance, more than any one of them, and without looking at an answer."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from vrsim.agent import Agent, Decisions
from vrsim.baselines.features import NAMES, SlateFeatures
from vrsim.baselines.learned import _inputs
from vrsim.episodes import Episodes, make_episodes
from vrsim.errors import OptionError, UnknownNameError
from vrsim.loop import play
from vrsim.registry import baselines, make_agent, shortcuts
from vrsim.testing import without_future
from vrsim.world import World

MODELS = ("learned", "learned:model=logistic")
QUESTIONS = [(protocol, task) for protocol in ("uniform", "vragent-paper") for task in ("judgment", "selection")]
SEEDS = 2

every_model = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(scope="module")
def world() -> World:
    return World.load("tiny")


def fitted(name: str, episodes: Episodes) -> Agent:
    agent = make_agent(name)
    agent.fit(episodes.world, episodes.training())
    agent.reset(0)
    return agent


def answer(name: str, episodes: Episodes) -> Decisions:
    return fitted(name, episodes).act(episodes.observe(np.arange(len(episodes))))


@cache
def accuracy(name: str, protocol: str, task: str) -> float:
    asked = [make_episodes(World.load("tiny"), protocol, task, seed=seed) for seed in range(SEEDS)]
    return float(np.mean([play(make_agent(name), part).correct.mean() for part in asked]))


# How good it is


@every_model
@pytest.mark.parametrize(("protocol", "task"), QUESTIONS)
def test_it_beats_chance_and_every_shortcut(name, protocol, task):
    own = accuracy(name, protocol, task)
    best = max(accuracy(shortcut, protocol, task) for shortcut in shortcuts())
    assert own > best + 0.02
    assert own > (0.5 if task == "judgment" else 0.25) + 0.15


@every_model
def test_where_the_recommender_knows_nothing_it_does_better_than_the_recommender(name):
    for task, chance in (("judgment", 0.5), ("selection", 0.25)):
        own = accuracy(name, "rank-matched", task)
        assert own > chance + 0.08  # genres and words remain
        assert own > accuracy("recommender", "rank-matched", task) + 0.05


# Probabilities


@every_model
def test_a_judgment_is_yes_from_a_probability_of_one_half(world, name):
    decisions = answer(name, make_episodes(world, "uniform", "judgment"))
    assert decisions.probability.shape == (200, 1)
    np.testing.assert_array_equal(decisions.action == 1, decisions.probability[:, 0] >= 0.5)
    assert len(np.unique(decisions.probability)) > 50


@every_model
@pytest.mark.parametrize("m", [1, 4])
def test_a_selection_takes_the_most_probable_place_and_the_probabilities_sum_to_one(world, name, m):
    decisions = answer(name, make_episodes(world, "uniform", "selection", m))
    assert decisions.probability.shape == (100, m + 1)
    np.testing.assert_allclose(decisions.probability.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_array_equal(decisions.action, decisions.probability.argmax(axis=1))
    assert decisions.probability.min() > 0


def test_odds_become_shares(world):
    class Sure:
        def predict_proba(self, inputs):
            chance = np.resize([0.5, 0.8, 0.0, 1.0], len(inputs))
            return np.stack([1 - chance, chance], axis=1)

    episodes = make_episodes(world, "uniform", "selection", 1)
    agent = fitted("learned", episodes)
    agent._classifier = Sure()
    decisions = agent.act(episodes.observe(np.array([3, 4])))
    np.testing.assert_allclose(decisions.probability, [[1 / 5, 4 / 5], [0, 1]], atol=1e-9)
    assert decisions.action.tolist() == [1, 1]


@every_model
def test_the_probabilities_are_not_far_from_how_often_it_is_right(name):
    for task in ("judgment", "selection"):
        runs = [play(make_agent(name), make_episodes(World.load("tiny:holdout=2"), "uniform", task, seed=seed))
                for seed in range(SEEDS)]  # fmt: skip
        chosen = [run.decisions.probability.max(axis=1) for run in runs]
        if task == "judgment":
            chosen = [np.maximum(run.decisions.probability[:, 0], 1 - run.decisions.probability[:, 0]) for run in runs]
        right = np.concatenate([run.correct for run in runs])
        assert abs(np.concatenate(chosen).mean() - right.mean()) < 0.12


# What it learns from


def test_draws_count_the_training_questions(world, monkeypatch):
    asked = []
    whole = SlateFeatures.of_all
    monkeypatch.setattr(SlateFeatures, "of_all", lambda self, *parts: asked.append(parts) or whole(self, *parts))
    episodes = make_episodes(world, "uniform", "selection", 4, seed=7)
    fitted("learned:draws=3,model=logistic", episodes)
    parts = asked[-1]
    assert parts[0].hash == episodes.training().hash
    assert len({part.hash for part in parts}) == len(parts) == 3
    assert [(part.split, part.task, part.m, part.seed) for part in parts] == [
        ("train", "selection", 4, seed) for seed in (7, 8, 9)
    ]


@every_model
def test_draws_are_for_fitting_only(world, name):
    episodes = make_episodes(world, "uniform", "selection")
    one, many = (fitted(f"{name}{sign}draws={draws}", episodes) for sign in ":," if (sign == ",") == (":" in name)
                 for draws in (1, 6))  # fmt: skip
    index = np.arange(len(episodes))
    rows = [agent.act(episodes.observe(index)).probability for agent in (one, many)]
    assert (rows[0] != rows[1]).any()
    for agent, whole in zip((one, many), rows, strict=True):
        np.testing.assert_array_equal(agent.act(episodes.observe(index)).probability, whole)  # asking teaches nothing
        np.testing.assert_allclose(agent.act(episodes.observe(index[5:6])).probability, whole[5:6])


@every_model
def test_the_same_training_gives_the_same_probabilities(world, name):
    episodes = make_episodes(world, "vragent-paper", "selection", 4)
    np.testing.assert_array_equal(answer(name, episodes).probability, answer(name, episodes).probability)


@every_model
@pytest.mark.parametrize("task", ["judgment", "selection"])
def test_held_out_interactions_of_the_asked_users_change_nothing(name, task):
    world = World.load("tiny:holdout=2")
    episodes = make_episodes(world, "vragent-paper", task, 3)
    training, observations = episodes.training(), episodes.observe(np.arange(len(episodes)))
    rows = []
    for known in (world, without_future(world, episodes.positions)):
        agent = make_agent(name)
        agent.fit(known, training)
        rows.append(agent.act(observations).probability)
    np.testing.assert_array_equal(*rows)


@every_model
@pytest.mark.parametrize(("rating", "said"), [(5, 1), (1, 0)])
def test_where_all_training_answers_are_alike_it_says_so(world, name, rating, said):
    ratings = np.full(len(world.interactions.items), rating, np.float32)
    alike = replace(world, interactions=replace(world.interactions, ratings=ratings))
    decisions = answer(name, make_episodes(alike, "tallrec", "judgment"))
    assert set(decisions.action) == {said}
    assert set(decisions.probability[:, 0]) == {float(said)}


# What the classifier sees


def test_a_judgment_is_seen_by_its_numbers_and_the_length_of_the_history():
    numbers = np.arange(6.0).reshape(2, 1, 3)
    inputs = _inputs(numbers, np.array([0, 9]))
    np.testing.assert_allclose(inputs, [[[0, 1, 2, 0]], [[3, 4, 5, np.log(10)]]])


def test_an_item_of_a_slate_is_also_seen_beside_the_others():
    numbers = np.array([[[1.0], [4.0], [4.0], [0.0]]])
    number, length, distance, below = _inputs(numbers, np.array([9]))[0].T
    assert number.tolist() == [1, 4, 4, 0]
    assert length.tolist() == [np.log(10)] * 4
    assert distance == pytest.approx([1 - 8 / 3, 4 - 5 / 3, 4 - 5 / 3, 0 - 3])
    assert below.tolist() == [1 / 4, 2 / 4, 2 / 4, 0]


def test_the_place_in_the_slate_says_nothing(world):
    episodes = make_episodes(world, "uniform", "selection", 4)
    agent, observations = fitted("learned", episodes), episodes.observe(np.arange(len(episodes)))
    order = np.array([3, 0, 4, 1, 2])
    turned = agent.act(observations | {"slate": observations["slate"][:, order]})
    np.testing.assert_allclose(turned.probability, agent.act(observations).probability[:, order], rtol=1e-9)


def test_every_number_of_an_item_is_given_to_the_classifier(world):
    for task, inputs in (("judgment", len(NAMES) + 1), ("selection", 3 * len(NAMES) + 1)):
        agent = fitted("learned", make_episodes(world, "uniform", task))
        assert agent._classifier.n_features_in_ == inputs


# Options


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("learned:model=tree", UnknownNameError, "unknown model 'tree'. Did you mean 'trees'?"),
        ("learned:draws=0", OptionError, "draws must be an integer from 1, found 0"),
        ("learned:draws=1.5", OptionError, "draws must be an integer from 1, found 1.5"),
        ("learned:draws=True", OptionError, "draws must be an integer from 1, found True"),
        ("learned:draw=2", UnknownNameError, "Did you mean 'draws'?"),
    ],
)
def test_options_that_make_no_sense_are_refused(name, error, message):
    with pytest.raises(error) as found:
        make_agent(name)
    assert message in str(found.value)


def test_it_takes_long_and_is_played_where_it_is_named():
    assert not [name for name in (*baselines(), *shortcuts()) if name.startswith("learned")]
