"""Rewards are the paper's, metrics are scikit-learn's, and both are the same function of the answers."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from vrsim.agent import Agent, Decisions
from vrsim.episodes import make_episodes
from vrsim.loop import play
from vrsim.scoring import REWARDS, Counts, count, implied_base_rate, judgment_reward, selection_reward
from vrsim.statistics import evaluate
from vrsim.world import World

METRICS = {"accuracy": accuracy_score, "precision": precision_score, "recall": recall_score, "f1": f1_score}

# simulator: accuracy, recall, precision, F1 of judgments on MicroLens, as published with VRAgent-R1
PUBLISHED = {
    "GPT-4o": (0.535, 0.480, 0.533, 0.505),
    "DeepSeek-R1": (0.528, 0.556, 0.526, 0.541),
    "Qwen2.5-7B": (0.491, 0.512, 0.490, 0.500),
    "LLM.Simulator": (0.523, 0.539, 0.519, 0.529),
    "Agent4Rec": (0.528, 0.482, 0.520, 0.501),
    "TALLRec": (0.537, 0.913, 0.521, 0.663),
    "MLLM-MSR": (0.585, 0.882, 0.553, 0.679),
    "VRAgent-R1": (0.715, 0.760, 0.697, 0.727),
}

answers = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=60
)  # truth, said, valid


class Scripted(Agent):
    """Say what was written down beforehand."""

    def __init__(self, action, valid):
        self.action, self.valid = action, valid

    def act(self, observations):
        return Decisions(self.action, self.valid)


def counted(truth: np.ndarray, correct: np.ndarray) -> Counts:
    return count(truth, correct, np.zeros(len(truth), int), 1)


def test_a_judgment_earns_plus_one_or_minus_one():
    np.testing.assert_array_equal(judgment_reward(np.array([True, False])), [1.0, -1.0])
    assert judgment_reward(True) == 1.0
    assert judgment_reward(False) == -1.0
    assert type(judgment_reward(True)) is float


def test_a_selection_earns_two_or_nothing():
    np.testing.assert_array_equal(selection_reward(np.array([True, False])), [2.0, 0.0])
    assert selection_reward(True) == 2.0
    assert selection_reward(False) == 0.0
    assert type(selection_reward(False)) is float


def test_every_task_has_its_reward():
    assert REWARDS["judgment"] is judgment_reward
    assert REWARDS["selection"] is selection_reward


@settings(max_examples=200, deadline=None)
@given(answers)
def test_metrics_are_those_of_scikit_learn_and_invalid_counts_as_wrong(rows):
    truth, said, valid = np.array(rows).T
    counts = counted(truth, (truth == said) & valid)
    said = np.where(valid, said, ~truth)  # an unreadable answer is the other one
    assert counts.accuracy[0] == pytest.approx(accuracy_score(truth, said))
    for name in ("precision", "recall", "f1"):
        theirs = METRICS[name](truth, said, zero_division=np.nan)
        assert getattr(counts, name)[0] == pytest.approx(theirs, nan_ok=True)


@settings(max_examples=50, deadline=None)
@given(answers, st.integers(1, 5))
def test_groups_are_counted_apart_and_add_up(rows, groups):
    truth, correct, _ = np.array(rows).T
    group = np.arange(len(rows)) % groups
    counts = count(truth, correct, group, groups)
    for g in range(groups):
        alone = counted(truth[group == g], correct[group == g])
        assert (counts.true_positive[g], counts.false_positive[g]) == (alone.true_positive[0], alone.false_positive[0])
        assert (counts.true_negative[g], counts.false_negative[g]) == (alone.true_negative[0], alone.false_negative[0])
    total = counts.true_positive + counts.true_negative + counts.false_positive + counts.false_negative
    assert total.sum() == len(rows)


def test_a_metric_without_cases_is_not_a_number_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        never_yes = counted(np.array([True, False]), np.array([False, True]))
        assert np.isnan(never_yes.precision[0])
        assert never_yes.recall[0] == never_yes.f1[0] == 0
        assert np.isnan(Counts(*np.zeros((4, 1))).accuracy[0])


@settings(max_examples=200, deadline=None)
@given(st.tuples(*[st.integers(0, 10**6)] * 4).filter(lambda c: c[0] > 0 and c[1] + c[3] > 0))
def test_the_base_rate_comes_back_from_any_confusion_matrix(cells):
    counts = Counts(*(np.array(float(cell)) for cell in cells))
    true_positive, false_negative, _, _ = cells
    expected = (true_positive + false_negative) / sum(cells)
    found = implied_base_rate(counts.accuracy, counts.precision, counts.recall)
    assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_rows_imply_balanced_pools(name):
    accuracy, recall, precision, f1 = PUBLISHED[name]
    assert implied_base_rate(accuracy, precision, recall) == pytest.approx(0.495, abs=0.0051)
    assert 2 * precision * recall / (precision + recall) == pytest.approx(f1, abs=0.0015)


def test_base_rates_come_in_arrays_too():
    accuracy, recall, precision, _ = np.array(list(PUBLISHED.values())).T
    found = implied_base_rate(accuracy, precision, recall)
    assert found.shape == accuracy.shape
    assert found.round(2).tolist() == pytest.approx([0.495] * len(PUBLISHED), abs=0.0051)


@pytest.mark.parametrize("case", [(0.5, 0.0, 0.0), (0.5, np.nan, 0.0), (1.0, 1.0, 1.0)], ids=str)
def test_where_nothing_follows_the_base_rate_is_not_a_number_and_no_warning(case):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(implied_base_rate(*case))


@pytest.mark.parametrize(("task", "low", "high"), [("judgment", -1, 1), ("selection", 0, 2)])
def test_reward_and_metric_agree(task, low, high):
    episodes = make_episodes(World.load("tiny"), "uniform", task)
    rng = np.random.default_rng(0)
    action = rng.integers(episodes.n_options, size=len(episodes))
    valid = rng.random(len(episodes)) < 0.9
    played = play(Scripted(action, valid), episodes)
    score = evaluate([played])
    np.testing.assert_array_equal(played.correct, (action == episodes.answers) & valid)
    assert score.metrics["accuracy"].value == pytest.approx((score.reward - low) / (high - low))
    assert score.invalid == pytest.approx(1 - valid.mean())
    assert score.by_seed == [pytest.approx(played.correct.mean())]


def test_an_unreadable_right_answer_earns_what_a_wrong_one_earns():
    episodes = make_episodes(World.load("tiny"), "uniform", "judgment")
    unreadable = play(Scripted(episodes.answers, np.zeros(len(episodes), bool)), episodes)
    wrong = play(Scripted(1 - episodes.answers, None), episodes)
    np.testing.assert_array_equal(unreadable.reward, wrong.reward)
    assert evaluate([unreadable]).metrics["f1"] == evaluate([wrong]).metrics["f1"]


def test_judgments_are_scored_with_the_base_rate_they_have():
    episodes = make_episodes(World.load("tiny"), "uniform", "judgment")
    action = np.random.default_rng(1).integers(2, size=len(episodes))
    assert evaluate([play(Scripted(action, None), episodes)]).base_rate == pytest.approx(0.5)


def test_a_perfect_user_gets_full_marks_without_a_warning():
    episodes = make_episodes(World.load("tiny"), "uniform", "judgment")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score = evaluate([play(Scripted(episodes.answers, None), episodes)])
    assert [estimate.value for estimate in score.metrics.values()] == [1.0] * 4
    assert score.reward == 1.0
