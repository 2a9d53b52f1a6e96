"""Intervals cover, are honest about how few users there are, and come out the same every time."""

import warnings
from functools import partial

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from vrsim.agent import Decisions
from vrsim.episodes import Episodes
from vrsim.loop import Played
from vrsim.protocols import get_protocol
from vrsim.statistics import METRICS, evaluate

THEIRS = {  # what is not defined counts as 0
    "accuracy": accuracy_score,
    "precision": partial(precision_score, zero_division=0),
    "recall": partial(recall_score, zero_division=0),
    "f1": partial(f1_score, zero_division=0),
}


def run_of(
    correct: np.ndarray, user: np.ndarray, task: str = "selection", valid=None, seconds: float = 0.0,
    protocol: str = "uniform", truth: np.ndarray | None = None, probability: np.ndarray | None = None,
) -> Played:  # fmt: skip
    """A run in which the given decisions were right; judgments ask Yes and No in turn unless told otherwise."""
    n = len(correct)
    if truth is None:
        truth = np.arange(n) % 2 if task == "judgment" else np.zeros(n, np.int64)
    positions = np.stack([user, np.ones(n, np.int64)], axis=1)
    slates = np.ones((n, 1 if task == "judgment" else 4), np.int64)
    episodes = Episodes(None, get_protocol(protocol), task, 3, "test", "all", 0, positions, slates, truth)
    decisions = Decisions(np.where(correct, truth, 1 - truth), valid, probability=probability)
    return Played(episodes, np.arange(n), decisions, correct, episodes.reward(correct), np.full(n, seconds))


def moody_users(rng: np.random.Generator, users: int, decisions: int) -> tuple[np.ndarray, np.ndarray]:
    """Right answers of users who differ a lot, on average right half the time."""
    skill = rng.beta(1, 1, size=users)
    return (rng.random((users, decisions)) < skill[:, None]).ravel(), np.repeat(np.arange(users), decisions)


def width(estimate) -> float:
    return estimate.high - estimate.low


def test_intervals_cover_the_truth_about_nineteen_times_in_twenty():
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(200):
        found = evaluate([run_of(*moody_users(rng, 60, 5))]).metrics["accuracy"]
        hits.append(found.low <= 0.5 <= found.high)
    assert 0.89 <= np.mean(hits) <= 0.99


@pytest.mark.parametrize("task", ["judgment", "selection"])
def test_intervals_contain_their_value(task):
    score = evaluate([run_of(*moody_users(np.random.default_rng(1), 50, 4), task)])
    assert tuple(score.metrics) == METRICS[task]
    for estimate in score.metrics.values():
        assert 0 <= estimate.low < estimate.value < estimate.high <= 1


def test_fewer_users_give_a_wider_interval():
    rng = np.random.default_rng(2)
    widths = [width(evaluate([run_of(*moody_users(rng, users, 4))]).metrics["accuracy"]) for users in (20, 80, 320)]
    assert widths[0] > 1.5 * widths[1] > 2.25 * widths[2]


def test_more_decisions_of_the_same_users_do_not_narrow_what_more_users_narrow():
    correct, user = moody_users(np.random.default_rng(3), 50, 4)
    once = evaluate([run_of(correct, user)]).metrics["accuracy"]
    copied = evaluate([run_of(np.tile(correct, 4), np.tile(user, 4))]).metrics["accuracy"]
    others = evaluate([run_of(np.tile(correct, 4), np.arange(4).repeat(len(user)) * 50 + np.tile(user, 4))])
    assert copied.value == pytest.approx(once.value)
    assert width(copied) == pytest.approx(width(once), rel=0.05)
    assert width(others.metrics["accuracy"]) == pytest.approx(width(once) / 2, rel=0.2)


def test_seeds_are_more_decisions_of_the_same_users():
    correct, user = moody_users(np.random.default_rng(4), 50, 4)
    one, three = evaluate([run_of(correct, user)]), evaluate([run_of(correct, user)] * 3)
    assert (one.users, one.decisions) == (50, 200)
    assert (three.users, three.decisions) == (50, 600)
    assert three.by_seed == one.by_seed * 3
    assert width(three.metrics["accuracy"]) == pytest.approx(width(one.metrics["accuracy"]), rel=0.05)


def test_macro_is_each_users_metric_averaged_over_users():
    rng = np.random.default_rng(7)
    user = np.repeat(np.arange(40), rng.integers(1, 9, size=40))
    truth, correct = rng.integers(2, size=len(user)), rng.random(len(user)) < 0.6
    score = evaluate([run_of(correct, user, "judgment", truth=truth)])
    said = np.where(correct, truth, 1 - truth)
    for name, theirs in THEIRS.items():
        by_user = [theirs(truth[user == u], said[user == u]) for u in range(40)]
        assert score.macro[name].value == pytest.approx(np.mean(by_user))
        assert score.micro[name].value == pytest.approx(theirs(truth, said))
        assert score.macro[name].low < score.macro[name].value < score.macro[name].high
        assert score.macro[name].value != pytest.approx(score.micro[name].value, rel=1e-3)


def test_the_protocol_says_which_average_counts():
    correct, user = moody_users(np.random.default_rng(8), 50, 4)
    for protocol, average in (("uniform", "micro"), ("agent4rec-1to1", "macro")):
        score = evaluate([run_of(correct, user, "judgment", protocol=protocol)])
        assert score.average == average
        assert score.metrics == getattr(score, average)
    assert evaluate([run_of(correct, user)]).macro == {}


def test_the_protocol_says_which_number_agents_are_ordered_by():
    correct, user = moody_users(np.random.default_rng(9), 50, 4)
    chance = np.random.default_rng(9).random((200, 1))
    score = evaluate([run_of(correct, user, "judgment", protocol="tallrec", probability=chance)])
    assert (score.metric, score.headline) == ("auc", score.probabilistic["auc"])
    assert np.isnan(evaluate([run_of(correct, user, "judgment", protocol="tallrec")]).headline.value)
    score = evaluate([run_of(correct, user, "judgment", protocol="agent4rec-1to1")])
    assert (score.metric, score.headline) == ("accuracy", score.macro["accuracy"])


def test_seeds_are_reported_apart():
    user = np.arange(10)
    score = evaluate([run_of(np.ones(10, bool), user), run_of(np.zeros(10, bool), user)])
    assert score.by_seed == [1.0, 0.0]
    assert score.metrics["accuracy"].value == 0.5


@pytest.mark.parametrize("task", ["judgment", "selection"])
def test_one_user_has_a_value_and_no_interval(task):
    correct = np.array([True, True, False, True])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score = evaluate([run_of(correct, np.zeros(4, np.int64), task)])
    assert score.metrics["accuracy"].value == 0.75
    for estimate in score.metrics.values():
        assert np.isnan(estimate.low)
        assert np.isnan(estimate.high)


def test_what_is_not_defined_has_no_interval_and_no_warning():
    truth = np.arange(40) % 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score = evaluate([run_of(truth == 0, np.arange(40) // 2, "judgment")])  # always No
    precision = score.metrics["precision"]
    assert np.isnan([precision.value, precision.low, precision.high]).all()
    assert score.metrics["recall"].value == 0
    assert np.isnan(score.base_rate)


def test_a_metric_that_some_resamples_do_not_have_still_has_an_interval():
    truth = np.arange(8) % 2
    correct = truth == 0
    correct[1] = True  # the only Yes; many resamples of four users lack it
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        precision = evaluate([run_of(correct, np.arange(8) // 2, "judgment")]).metrics["precision"]
    assert precision.value == precision.low == precision.high == 1


def test_the_invalid_share_is_that_of_the_decisions():
    valid = np.array([True, True, True, False])
    assert evaluate([run_of(valid, np.arange(4), valid=valid)]).invalid == 0.25
    assert evaluate([run_of(valid, np.arange(4), valid=valid), run_of(valid, np.arange(4))]).invalid == 0.125
    assert evaluate([run_of(valid, np.arange(4))]).invalid == 0


def test_only_judgments_have_a_base_rate():
    correct, user = moody_users(np.random.default_rng(5), 50, 4)
    assert evaluate([run_of(correct, user)]).base_rate is None
    assert evaluate([run_of(correct, user, "judgment")]).base_rate == pytest.approx(0.5)


def test_speed_is_decisions_by_the_agents_time():
    score = evaluate([run_of(np.ones(10, bool), np.arange(10), seconds=0.02)])
    assert score.per_second == pytest.approx(50)
    assert np.isfinite(evaluate([run_of(np.ones(10, bool), np.arange(10))]).per_second)


def test_equal_runs_give_equal_scores_and_the_bootstrap_has_a_seed():
    run = run_of(*moody_users(np.random.default_rng(6), 50, 4))
    np.random.seed(0)  # the global generator must not matter
    one = evaluate([run])
    np.random.seed(1)
    assert evaluate([run]) == one
    other = evaluate([run], seed=1).metrics["accuracy"]
    assert other.value == one.metrics["accuracy"].value
    assert other != one.metrics["accuracy"]
