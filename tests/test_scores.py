"""The probabilities of agents that judge by one number: they rise with it and mean what they say."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from vrsim.baselines.scores import ScoreAgent, _rising_logit
from vrsim.episodes import Episodes, make_episodes
from vrsim.loop import play
from vrsim.registry import make_agent, shortcuts
from vrsim.world import World

SCORED = [name for name in shortcuts() if not name.startswith("constant")]


class ById(ScoreAgent):
    """The number of an item is its id in tens: easy to ask about."""

    def score(self, observations):
        return observations["slate"] // 10 * 1.0


@pytest.fixture(scope="module")
def judgments() -> Episodes:
    return make_episodes(World.load("tiny"), "uniform", "judgment")


def ask(agent: ScoreAgent, items: list[int]) -> np.ndarray:
    return agent.act({"slate": np.array(items)[:, None]}).probability[:, 0]


def fitted(items: list[int], answers: list[int], order: str = "highest") -> ScoreAgent:
    """An agent with these training judgments."""
    made = make_episodes(World.load("tiny"), "uniform", "judgment", split="train")
    n = len(items)
    slates, answers = np.array(items)[:, None], np.array(answers)
    agent = ById(order)
    agent.fit(made.world, replace(made, positions=made.positions[:n], slates=slates, answers=answers))
    return agent


# Over all agents


@pytest.mark.parametrize("name", SCORED)
def test_of_the_training_judgments_as_many_are_called_probable_as_are_right(judgments, name):
    training = judgments.training()
    agent = make_agent(name)
    agent.fit(training.world, training)
    stated = agent.act(training.observe(np.arange(len(training)))).probability[:, 0]
    assert stated.mean() == pytest.approx(training.answers.mean(), abs=0.005)
    share = agent._share_below(agent._sign * agent.score(training.observe(np.arange(len(training)))))[:, 0]
    if agent._logit[1] > 0:  # a logistic regression also gets the mean of its number right among the Yes
        assert (share * stated).mean() == pytest.approx((share * training.answers).mean(), abs=0.005)
        bins = np.array_split(np.argsort(share, kind="stable"), 3)
        happened = [training.answers[rows].mean() for rows in bins]
        assert [stated[rows].mean() for rows in bins] == pytest.approx(happened, abs=0.15)


@pytest.mark.parametrize("name", SCORED)
def test_the_probability_never_falls_where_the_score_rises(judgments, name):
    agent = make_agent(name)
    agent.fit(judgments.world, judgments.training())
    observations = judgments.observe(np.arange(len(judgments)))
    score, stated = agent._sign * agent.score(observations)[:, 0], agent.act(observations).probability[:, 0]
    order = np.argsort(score, kind="stable")
    assert (np.diff(stated[order]) >= 0).all()
    equal = np.diff(score[order]) == 0
    assert (np.diff(stated[order])[equal] == 0).all()


@pytest.mark.parametrize("name", ["content", "recommender", "graph", "popularity"])
def test_a_signal_gives_an_auc_and_the_opposite_order_gives_none(judgments, name):
    def auc(agent):
        run = play(make_agent(agent), judgments)
        return roc_auc_score(judgments.answers[run.index], run.decisions.probability[:, 0])

    opposite = next(other for other in SCORED if other.startswith(f"{name}:"))
    assert auc(name) > 0.58
    assert auc(opposite) == 0.5  # its regression would fall: every judgment is as probable as any


def test_selections_are_decided_without_probabilities():
    made = make_episodes(World.load("tiny"), "uniform", "selection")
    assert play(make_agent("content"), made).decisions.probability is None


# By hand


def test_the_share_of_lower_scores_counts_equal_ones_half():
    agent = fitted([10, 20, 20, 30], [0, 0, 1, 1])
    found = agent._share_below(np.array([0.0, 1.0, 2.0, 2.5, 3.0, 9.0]))
    assert found.tolist() == [0, 0.5 / 4, 2 / 4, 3 / 4, 3.5 / 4, 1]


def test_the_probabilities_are_those_of_the_logistic_regression_by_hand():
    """Two scores, three judgments each: the regression goes through both shares of Yes."""
    agent = fitted([10, 10, 10, 20, 20, 20], [0, 0, 1, 0, 1, 1])
    assert ask(agent, [10, 20]) == pytest.approx([1 / 3, 2 / 3], abs=1e-3)
    share = np.array([0.25, 0.75])
    slope = (logit(2 / 3) - logit(1 / 3)) / 0.5
    assert agent._logit == pytest.approx([logit(1 / 3) - slope * share[0], slope], rel=1e-2)
    assert ask(agent, [0]) == pytest.approx(expit(agent._logit[0]))  # below all that was seen


def test_the_lowest_score_is_the_most_probable_where_the_order_says_so():
    items, answers = [10, 10, 10, 20, 20, 20], [1, 1, 0, 1, 0, 0]
    assert ask(fitted(items, answers, "lowest"), [10, 20]) == pytest.approx([2 / 3, 1 / 3], abs=1e-3)
    flat = ask(fitted(items, answers, "highest"), [10, 20])
    assert flat == pytest.approx([1 / 2, 1 / 2])  # the best that never falls


@pytest.mark.parametrize("kind", [0, 1])
def test_one_kind_of_answer_only_is_as_probable_as_anything_gets(kind):
    stated = ask(fitted([10, 20, 30], [kind] * 3), [10, 20, 30, 90])
    assert stated == pytest.approx([kind] * 4, abs=2e-6)
    assert ((stated > 0) & (stated < 1)).all()


def test_equal_scores_say_nothing_but_how_many_are_right():
    assert ask(fitted([30, 30, 30, 30], [0, 1, 1, 1]), [30, 10, 90]) == pytest.approx([3 / 4] * 3)


def test_scores_that_part_the_answers_wholly_give_probabilities_near_0_and_1():
    stated = ask(fitted([10, 20, 30, 40], [0, 0, 1, 1]), [10, 20, 30, 40])
    assert stated[:2].max() < 0.01
    assert stated[2:].min() > 0.99


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), st.integers(0, 1)), min_size=1, max_size=20))
def test_whatever_was_seen_the_slope_does_not_fall_and_the_numbers_are_finite(rows):
    share, answers = (np.array(column) for column in zip(*rows, strict=True))
    intercept, slope = _rising_logit(share, answers)
    assert slope >= 0
    assert np.isfinite([intercept, slope]).all()
    stated = expit(intercept + slope * share)
    assert stated.mean() == pytest.approx(answers.mean(), abs=0.01)
