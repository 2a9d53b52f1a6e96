"""Probabilities are judged by the textbook's formulas, and only where there are any."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from vrsim.agent import Agent, Decisions
from vrsim.episodes import make_episodes
from vrsim.estimates import Outcomes, outcomes
from vrsim.loop import play
from vrsim.probabilities import BINS, calibration, probabilistic
from vrsim.registry import make_agent
from vrsim.world import World


def found_of(positive, probability, user=None, run=0, t=1, correct=None) -> Outcomes:
    """Judgments with these right answers and probabilities of Yes; a user each unless told otherwise."""
    positive, probability = np.asarray(positive, bool), np.asarray(probability, float)
    n = len(positive)
    user = np.arange(n) if user is None else np.asarray(user)
    correct = (probability >= 0.5) == positive if correct is None else np.asarray(correct, bool)
    run, t = (np.broadcast_to(column, n).astype(np.int64) for column in (run, t))
    return Outcomes(user.astype(np.int64), run, t, positive, correct, probability)


def values(found: Outcomes, task: str = "judgment", m: int = 1) -> dict[str, float]:
    return {name: estimate.value for name, estimate in probabilistic(found, task, m).items()}


class Hesitant(Agent):
    """Say Yes with probability 0.25 to 1, and nothing about selections."""

    def act(self, observations):
        slate = observations["slate"]
        if slate.shape[1] > 1:
            return Decisions(np.zeros(len(slate), np.int64))
        chance = 0.25 + (slate * 7 % 16) / 20
        return Decisions((chance[:, 0] >= 0.5).astype(np.int64), probability=chance)


# Which there are


def test_without_probabilities_there_is_nothing_to_judge():
    found = found_of([1, 0], [0.5, 0.5])
    for task, m in (("judgment", 1), ("judgment", 9), ("selection", 3)):
        assert probabilistic(replace(found, probability=None), task, m) == {}


def test_one_seed_without_probabilities_takes_them_from_all():
    episodes = [make_episodes(World.load("tiny"), "uniform", "judgment", seed=seed) for seed in (0, 1)]
    runs = [play(Hesitant(), episodes[0]), play(make_agent("constant"), episodes[1])]
    assert probabilistic(outcomes(runs), "judgment", 1) == {}
    assert set(probabilistic(outcomes(runs[:1]), "judgment", 1)) == {"auc", "ece"}


@pytest.mark.parametrize("answer", [True, False])
def test_answers_of_one_kind_have_no_auc(answer):
    found = found_of([answer] * 6, np.linspace(0, 1, 6))
    assert set(probabilistic(found, "judgment", 1)) == {"ece"}


def test_a_selection_has_only_a_calibration_error():
    found = found_of([1] * 8, np.linspace(0.1, 0.9, 8))
    assert set(probabilistic(found, "selection", 9)) == {"ece"}


def test_a_judgment_is_a_ranking_from_five_wrong_items_on():
    names = {f"{name}@{k}" for name in ("recall", "mrr", "ndcg") for k in (3, 5, 10)}
    for m in (4, 5):
        found = found_of(([1] + [0] * m) * 4, np.linspace(0, 1, 4 * (m + 1)), np.repeat(np.arange(4), m + 1))
        assert set(probabilistic(found, "judgment", m)) == {"auc", "ece"} | (names if m >= 5 else set())


# AUC


judgments = st.lists(st.tuples(st.booleans(), st.integers(0, 8), st.integers(0, 5)), min_size=2, max_size=40).filter(
    lambda rows: len({row[0] for row in rows}) == 2
)  # answer, probability in eighths, user


@settings(max_examples=8, deadline=None)
@given(judgments)
def test_the_auc_is_the_share_of_pairs_in_the_right_order(rows):
    positive, eighths, user = np.array(rows).T
    auc = values(found_of(positive, eighths / 8, user))["auc"]
    yes, no = eighths[positive == 1], eighths[positive == 0]
    assert auc == pytest.approx(np.mean([(y > n) + (y == n) / 2 for y in yes for n in no]))


def test_the_auc_is_scikit_learns_over_the_decisions_of_all_seeds():
    episodes = [make_episodes(World.load("tiny"), "uniform", "judgment", seed=seed) for seed in (0, 1, 2)]
    runs = [play(Hesitant(), part) for part in episodes]
    auc = probabilistic(outcomes(runs), "judgment", 1)["auc"]
    answers = np.concatenate([part.answers for part in episodes])
    chances = np.concatenate([run.decisions.probability[:, 0] for run in runs])
    assert auc.value == pytest.approx(roc_auc_score(answers, chances))
    assert auc.low < auc.value < auc.high


def test_copies_of_a_decision_do_not_narrow_the_interval():
    rng = np.random.default_rng(0)
    positive, probability = np.arange(80) % 2 == 0, rng.random(80)
    once = probabilistic(found_of(positive, probability, np.arange(80) // 2), "judgment", 1)
    often = [np.tile(column, 9) for column in (positive, probability, np.arange(80) // 2)]
    copied = probabilistic(found_of(*often), "judgment", 1)
    for name in ("auc", "ece"):
        assert [copied[name].value, copied[name].low, copied[name].high] == pytest.approx(
            [once[name].value, once[name].low, once[name].high]
        )
        assert once[name].high - once[name].low > 0.1


def test_the_interval_of_the_auc_is_as_wide_as_theory_says():
    rng = np.random.default_rng(1)
    yes, no = 1 - rng.random(300) ** 2, rng.random(300)
    auc = probabilistic(found_of([1] * 300 + [0] * 300, np.r_[yes, no]), "judgment", 1)["auc"]
    above = yes[:, None] > no  # DeLong et al., Biometrics 1988
    error = np.sqrt(above.mean(axis=1).var() / 300 + above.mean(axis=0).var() / 300)
    assert auc.high - auc.low == pytest.approx(2 * 1.96 * error, rel=0.2)


def test_resamples_of_one_kind_of_answer_are_left_out_without_a_warning():
    found = found_of([1, 1, 1, 0], [0.9, 0.8, 0.3, 0.4])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        auc = probabilistic(found, "judgment", 1)["auc"]
    assert auc.value == pytest.approx(2 / 3)
    assert 0 <= auc.low <= auc.value <= auc.high == 1


def test_one_user_has_values_and_no_intervals():
    m = 5
    found = found_of([1] + [0] * m, np.linspace(0.9, 0.1, m + 1), np.zeros(m + 1))
    for estimate in probabilistic(found, "judgment", m).values():
        assert np.isfinite(estimate.value)
        assert np.isnan([estimate.low, estimate.high]).all()


def test_equal_outcomes_give_equal_intervals_and_the_bootstrap_has_a_seed():
    rng = np.random.default_rng(2)
    found = found_of(rng.random(60) < 0.5, rng.random(60))
    np.random.seed(0)  # the global generator must not matter
    one = probabilistic(found, "judgment", 1)
    np.random.seed(1)
    assert probabilistic(found, "judgment", 1) == one
    other = probabilistic(found, "judgment", 1, seed=1)
    assert other["auc"].value == one["auc"].value
    assert other["auc"] != one["auc"]


# Calibration


def test_the_calibration_error_by_hand():
    found = found_of([0, 0, 1, 1, 1, 0, 1, 1], [0.0, 0.04, 0.08, 0.5, 0.54, 0.58, 0.96, 1.0])
    bins = calibration(found, "judgment")
    empty = np.nan
    share = [3 / 8, 0, 0, 0, 0, 3 / 8, 0, 0, 0, 2 / 8]
    np.testing.assert_allclose(bins.share, share)
    np.testing.assert_allclose(bins.stated, [0.04, *[empty] * 4, 0.54, *[empty] * 3, 0.98])
    np.testing.assert_allclose(bins.happened, [1 / 3, *[empty] * 4, 2 / 3, *[empty] * 3, 1])
    expected = 3 / 8 * (1 / 3 - 0.04) + 3 / 8 * (2 / 3 - 0.54) + 2 / 8 * 0.02
    assert bins.error == values(found)["ece"] == pytest.approx(expected)


def test_who_says_how_often_it_happens_is_calibrated():
    right = found_of(np.arange(100) % 4 == 0, np.full(100, 0.25))
    wrong = found_of(np.arange(100) % 4 == 0, np.ones(100))
    assert values(right)["ece"] == pytest.approx(0)
    assert values(wrong)["ece"] == pytest.approx(0.75)


def test_a_selection_is_calibrated_if_its_choice_is_right_as_often_as_it_says():
    found = found_of([1] * 4, [0.75] * 4, correct=[1, 1, 1, 0])
    assert values(found, "selection")["ece"] == pytest.approx(0)
    assert values(found, "judgment")["ece"] == pytest.approx(0.25)


@settings(max_examples=50, deadline=None)
@given(judgments, st.lists(st.integers(0, 3), min_size=40, max_size=40).filter(sum))
def test_a_weight_is_a_number_of_copies(rows, weight):
    positive, eighths, user = np.array(rows).T
    weight = np.r_[1, weight][: len(rows)]
    found, copies = found_of(positive, eighths / 8, user), [np.repeat(column, weight) for column in (positive, eighths)]
    weighted, copied = (
        calibration(found, "judgment", weight),
        calibration(found_of(copies[0], copies[1] / 8), "judgment"),
    )
    for name in ("share", "stated", "happened"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(copied, name))
        assert getattr(weighted, name).shape == (BINS,)
    assert weighted.error == pytest.approx(copied.error)


# Rankings


def ranked(*lists: tuple[int, float, list[float]], m: int = 10) -> Outcomes:
    """Positions of users: the user, the probability of the right item, those of the wrong ones (the rest is 0)."""
    columns = []
    for place, (user, own, wrong) in enumerate(lists):
        chances = [own, *wrong, *[0.0] * (m - len(wrong))]
        columns += [(i == 0, chance, user, place) for i, chance in enumerate(chances)]
    order = np.random.default_rng(3).permutation(len(columns))
    positive, probability, user, t = np.array(columns)[order].T
    return found_of(positive, probability, user, t=t)


def test_rankings_by_hand():
    found = ranked(
        (0, 0.9, [0.8, 0.7]),  # first
        (0, 0.5, [0.6, 0.7, 0.8]),  # fourth
        (1, 0.5, [0.5, 0.5, 0.1]),  # shares the places 1 to 3: second
        (1, 0.1, [0.2] * 10),  # last, the eleventh
    )
    by_user = {  # the users one after the other, two positions each
        "recall@3": ([1, 0], [1, 0]), "recall@5": ([1, 1], [1, 0]), "recall@10": ([1, 1], [1, 0]),
        "mrr@3": ([1, 0], [1 / 2, 0]), "mrr@5": ([1, 1 / 4], [1 / 2, 0]), "mrr@10": ([1, 1 / 4], [1 / 2, 0]),
        "ndcg@3": ([1, 0], [1 / np.log2(3), 0]), "ndcg@5": ([1, 1 / np.log2(5)], [1 / np.log2(3), 0]),
        "ndcg@10": ([1, 1 / np.log2(5)], [1 / np.log2(3), 0]),
    }  # fmt: skip
    told = values(found, m=10)
    assert {name: told[name] for name in by_user} == pytest.approx({name: np.mean(v) for name, v in by_user.items()})


def test_an_agent_that_finds_all_equal_is_in_the_middle():
    told = values(ranked((0, 0.5, [0.5] * 10), (1, 0.5, [0.5] * 10)), m=10)  # place 6 of 11
    assert (told["recall@3"], told["recall@5"], told["recall@10"]) == (0, 0, 1)
    assert told["mrr@10"] == pytest.approx(1 / 6)


def test_users_count_alike_though_some_are_asked_more():
    found = ranked((0, 0.9, [0.1]), (1, 0.1, [0.9] * 10), (1, 0.1, [0.9] * 10), (1, 0.1, [0.9] * 10))
    assert values(found, m=10)["recall@3"] == pytest.approx(1 / 2)


def test_each_seed_asks_a_ranking_of_its_own():
    one, other = ranked((0, 0.9, [0.8] * 9)), ranked((0, 0.2, [0.7] * 9))
    both = [np.concatenate([getattr(part, name) for part in (one, other)]) for name in ("positive", "probability")]
    found = found_of(*both, np.zeros(22), run=np.repeat([0, 1], 11))
    assert values(found, m=10)["mrr@10"] == pytest.approx((1 + 1 / 10) / 2)


def test_real_judgments_are_ranked():
    episodes = make_episodes(World.load("tiny"), "mllm-msr", "judgment")
    found = outcomes([play(Hesitant(), episodes)])
    told = values(found, m=episodes.m)
    own = {
        (user, t): chance
        for user, t, chance, yes in zip(found.user, found.t, found.probability, found.positive, strict=True)
        if yes
    }
    ranks = []
    for (user, t), chance in own.items():
        others = found.probability[(found.user == user) & (found.t == t) & ~found.positive]
        assert len(others) == 20
        ranks.append(1 + (others > chance).sum() + (others == chance).sum() / 2)
    assert told["recall@10"] == pytest.approx(np.mean(np.array(ranks) <= 10))
