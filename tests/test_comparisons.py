"""Two agents on the same questions: the difference has the right sign, size and honesty, whoever is asked how often."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from vrsim.agent import Decisions
from vrsim.comparisons import Agreement, agreement, by_activity, compare, holm
from vrsim.episodes import make_episodes
from vrsim.errors import ResultsError
from vrsim.loop import Played, play
from vrsim.protocols import PROTOCOLS, Protocol
from vrsim.registry import make_agent
from vrsim.world import World


@dataclass(frozen=True)
class Asked:
    """As much of Episodes as a comparison reads."""

    positions: np.ndarray
    answers: np.ndarray
    hash: str
    protocol: Protocol = PROTOCOLS["uniform"]
    task: str = "selection"


def run_of(correct, user=None, t=None, hash: str = "same", action=None) -> Played:
    """A run with these right answers; one decision per user unless told otherwise."""
    correct = np.asarray(correct, bool)
    n = len(correct)
    user = np.arange(n) if user is None else np.asarray(user)
    positions = np.stack([user, np.ones(n, np.int64) if t is None else np.asarray(t)], axis=1)
    decisions = Decisions(np.where(correct, 0, 1) if action is None else np.asarray(action))
    asked = Asked(positions, np.zeros(n, np.int64), hash)
    return Played(asked, np.arange(n), decisions, correct, 2.0 * correct, np.zeros(n))


def pairs(both: int, better: int, worse: int, neither: int) -> tuple[Played, Played]:
    """Two agents and one decision per user: how often which of them is right."""
    one = np.repeat([True, True, False, False], [both, better, worse, neither])
    other = np.repeat([True, False, True, False], [both, better, worse, neither])
    return run_of(one), run_of(other)


# The difference


def test_one_decision_per_user_is_mcnemars_exact_test():
    one, other = pairs(30, 10, 3, 20)
    found = compare([one], [other])
    assert (found.better, found.worse) == (10, 3)
    assert found.p == pytest.approx(2 * (1 + 13 + 78 + 286) / 2**13)
    assert found.value.value == pytest.approx(7 / 63)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 20))
def test_the_p_value_is_that_of_the_textbook(better, worse, both):
    one, other = pairs(both, better, worse, 2)
    n = better + worse
    tail = sum(math.comb(n, k) for k in range(min(better, worse) + 1)) / 2**n
    assert compare([one], [other]).p == pytest.approx(min(1, 2 * tail))


def test_users_are_counted_by_who_is_right_more_often():
    user = [7, 7, 7, 3, 3, 3, 5, 5, 9, 9, 9, 9]
    one = [1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 0, 0]
    other = [0, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0, 0]  # user 7: 2 to 1, user 3: 2 to 1, user 5: 1 to 1, user 9: 2 to 1
    found = compare([run_of(one, user)], [run_of(other, user)])
    assert (found.better, found.worse, found.p) == (3, 0, binomtest(3, 3).pvalue)
    assert found.value.value == pytest.approx(7 / 12 - 4 / 12)


def test_several_decisions_about_a_user_do_not_pass_for_independent_ones():
    one, other = pairs(20, 12, 4, 20)
    many, reference = (run_of(np.repeat(run.correct, 10), np.repeat(np.arange(56), 10)) for run in (one, other))
    assert compare([many], [reference]) == compare([one], [other])
    assert compare([one] * 3, [other] * 3) == compare([one], [other])  # seeds are decisions about the same users


def test_equal_agents_that_differ_by_user_are_told_apart_no_more_often_than_the_p_value_says():
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(60), 8)
    p, naive = [], []
    for _ in range(200):
        one, other = ((rng.random((60, 8)) < rng.beta(0.4, 0.4, (60, 1))).ravel() for _ in range(2))
        p.append(compare([run_of(one, user)], [run_of(other, user)]).p)
        naive.append(binomtest(int((one & ~other).sum()), int((one != other).sum())).pvalue)
    assert np.mean(np.array(p) < 0.05) <= 0.08
    assert np.mean(np.array(naive) < 0.05) > 0.3  # what counting decisions would do


def test_the_other_way_round_the_sign_turns_and_the_p_value_stays():
    rng = np.random.default_rng(1)
    user = np.repeat(np.arange(40), 3)
    one, other = (run_of(rng.random(120) < share, user) for share in (0.7, 0.4))
    found, turned = compare([one], [other]), compare([other], [one])
    assert found.value.low > 0 > turned.value.high
    assert [turned.value.low, turned.value.high] == pytest.approx([-found.value.high, -found.value.low])
    assert (turned.value.value, turned.better, turned.worse, turned.p) == (
        -found.value.value, found.worse, found.better, found.p,
    )  # fmt: skip


def test_the_difference_is_that_of_the_accuracies_though_some_are_asked_more():
    rng = np.random.default_rng(2)
    user = np.repeat(np.arange(30), rng.integers(1, 9, size=30))
    one, other = (run_of(rng.random(len(user)) < share, user) for share in (0.6, 0.5))
    found = compare([one], [other]).value
    assert found.value == pytest.approx(one.correct.mean() - other.correct.mean())
    always, never = run_of(np.ones(len(user)), user), run_of(np.zeros(len(user)), user)
    assert compare([always], [never]).value.low == compare([always], [never]).value.high == 1


def test_intervals_cover_the_true_difference_about_nineteen_times_in_twenty():
    rng = np.random.default_rng(3)
    hits = []
    for _ in range(200):
        user = np.repeat(np.arange(60), rng.integers(1, 6, size=60))
        skill = rng.beta(1, 1, size=60)[user] * 0.8
        one, other = rng.random(len(user)) < skill + 0.1, rng.random(len(user)) < skill
        found = compare([run_of(one, user)], [run_of(other, user)]).value
        hits.append(found.low <= 0.1 <= found.high)
    assert 0.9 <= np.mean(hits) <= 0.99


def test_an_agent_is_as_good_as_itself():
    run = run_of(np.arange(50) % 3 == 0, np.arange(50) // 2)
    found = compare([run], [run])
    assert (found.value.value, found.value.low, found.value.high) == (0, 0, 0)
    assert (found.better, found.worse, found.p) == (0, 0, 1)


def test_one_user_has_a_difference_and_no_interval():
    found = compare([run_of([1, 1, 0], [4, 4, 4])], [run_of([1, 0, 0], [4, 4, 4])])
    assert (found.value.value, found.better, found.p) == (pytest.approx(1 / 3), 1, 1)
    assert np.isnan([found.value.low, found.value.high]).all()


def test_equal_arguments_give_equal_differences_and_the_bootstrap_has_a_seed():
    rng = np.random.default_rng(6)
    user = np.repeat(np.arange(90), rng.integers(1, 9, size=90))
    one, other = ([run_of(rng.random(len(user)) < share, user)] for share in (0.6, 0.5))
    assert compare(one, other) == compare(one, other)
    found = compare(one, other, seed=1)
    assert found.value != compare(one, other).value
    assert found.p == compare(one, other).p


def test_real_agents_are_compared_on_real_episodes():
    runs = {}
    for name in ("recommender", "uniform"):
        asked = [make_episodes(World.load("tiny"), "uniform", "selection", seed=seed) for seed in (0, 1)]
        runs[name] = [play(make_agent(name), episodes) for episodes in asked]
    found = compare(runs["recommender"], runs["uniform"])
    assert found.value.low > 0
    assert found.p < 0.01
    assert 50 < found.better + found.worse <= 100


# By AUC


def judged(*probability: float) -> Played:
    """Yes, No, Yes, No about two users, always answered Yes."""
    positions = np.array([[0, 1], [0, 1], [1, 1], [1, 1]])
    asked = Asked(positions, np.array([1, 0, 1, 0]), "same", PROTOCOLS["tallrec"], "judgment")
    decisions = Decisions(np.ones(4, int), probability=np.array(probability)[:, None] if probability else None)
    return Played(asked, np.arange(4), decisions, asked.answers == 1, np.zeros(4), np.zeros(4))


def test_a_protocol_that_goes_by_auc_is_compared_by_auc():
    good, poor = judged(0.9, 0.1, 0.8, 0.2), judged(0.9, 0.95, 0.8, 0.2)
    found = compare([good], [poor])
    assert found.metric == "auc"
    assert found.value.value == pytest.approx(1 - 2 / 4)  # of the 4 pairs of a Yes and a No the other has 2 right
    assert (found.better, found.worse) == (0, 0)  # the decisions are the same
    assert compare([run_of([1, 0])], [run_of([0, 0])]).metric == "accuracy"


def test_without_probabilities_an_auc_has_no_difference():
    runs = judged(0.9, 0.1, 0.8, 0.2), judged()
    for one, other in (runs, runs[::-1]):
        found = compare([one], [other])
        assert np.isnan([found.value.value, found.value.low, found.value.high, found.p]).all()


@pytest.mark.parametrize("act", [compare, agreement])
def test_agents_that_were_asked_other_questions_are_not_compared(act):
    one, other = run_of([1, 0, 1], hash="these"), run_of([1, 0, 1], hash="those")
    for runs, others in (([one], [other]), ([one, other], [other, one]), ([one], [one, one])):
        with pytest.raises(ResultsError, match=r"different questions: episodes \['these'.* and \['th.se'"):
            act(runs, others)
    half = run_of([1, 0], hash="these")
    with pytest.raises(ResultsError, match="has not answered all questions"):
        act([one], [half])


# Many comparisons


@pytest.mark.parametrize(("p", "corrected"), [
    ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]), ([0.02, 0.02], [0.04, 0.04]),
    ([0.5, 0.9, 0.8], [1, 1, 1]), ([0.03], [0.03]), ([], []), ([0.04, np.nan, 0.01], [0.04, np.nan, 0.02]),
])  # fmt: skip
def test_holms_correction_by_hand(p, corrected):
    assert holm(p) == pytest.approx(corrected, nan_ok=True)


@given(st.lists(st.floats(0, 1), max_size=12), st.randoms(use_true_random=False))
def test_holms_correction_keeps_the_order_and_lies_between_the_p_value_and_bonferronis(p, random):
    corrected = holm(p)
    assert all(
        raw <= found <= min(1, len(p) * raw) or found == pytest.approx(len(p) * raw)
        for raw, found in zip(p, corrected, strict=True)
    )
    assert all(
        a <= b for (x, a) in zip(p, corrected, strict=True) for (y, b) in zip(p, corrected, strict=True) if x <= y
    )
    order = random.sample(range(len(p)), len(p))
    assert holm([p[i] for i in order]) == [corrected[i] for i in order]


# Agreement


def agreeing(table: list[list[int]]) -> Agreement:
    """Agreement of two agents by how often one said the row and the other the column."""
    rows = [(i, j) for i, line in enumerate(table) for j, times in enumerate(line) for _ in range(times)]
    one, other = np.array(rows).T
    return agreement([run_of(one == 0, action=one)], [run_of(other == 0, action=other)])


def test_kappa_by_hand():
    found = agreeing([[20, 5], [10, 15]])
    assert (found.same, found.kappa) == pytest.approx((0.7, (0.7 - 0.5) / (1 - 0.5)))
    found = agreeing([[3, 1, 0], [0, 2, 2], [1, 1, 2]])
    chance = (4 * 4 + 4 * 4 + 4 * 4) / 12**2
    assert (found.same, found.kappa) == pytest.approx((7 / 12, (7 / 12 - chance) / (1 - chance)))


def test_kappa_at_its_ends():
    assert agreeing([[4, 0], [0, 4]]) == Agreement(1, 1)
    assert agreeing([[0, 4], [4, 0]]) == Agreement(0, -1)
    assert agreeing([[4, 4], [0, 0]]).kappa == 0  # one always says the same
    assert agreeing([[0, 4], [0, 0]]) == Agreement(0, 0)
    always = agreeing([[4, 0], [0, 0]])
    assert always.same == 1
    assert np.isnan(always.kappa)


# Activity


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=60), st.integers(1, 7))
def test_groups_of_like_activity_part_the_users_in_order_and_never_split_equal_ones(lengths, groups):
    found = by_activity([run_of(np.ones(len(lengths)), t=lengths)], groups)
    assert 1 <= len(found) <= groups
    assert sum(group.users for group in found) == len(lengths)
    assert all(one.most < other.least for one, other in itertools.pairwise(found))
    for group in found:
        inside = [length for length in lengths if group.least <= length <= group.most]
        assert (len(inside), min(inside), max(inside)) == (group.users, group.least, group.most)


def test_users_who_all_differ_come_in_groups_of_one_size():
    order = np.random.default_rng(4).permutation(100)
    found = by_activity([run_of(order < 20, t=order + 5)])
    assert [(group.least, group.most, group.users) for group in found] == [
        (5, 24, 20), (25, 44, 20), (45, 64, 20), (65, 84, 20), (85, 104, 20),
    ]  # fmt: skip
    assert [group.accuracy.value for group in found] == [1, 0, 0, 0, 0]


def test_the_accuracy_of_a_group_is_that_of_its_users():
    user = np.array([0, 0, 0, 1, 2, 2, 3])
    t = np.array([5, 6, 7, 5, 20, 21, 22])
    correct = np.array([1, 0, 1, 0, 1, 1, 0])
    low, high = by_activity([run_of(correct, user, t)], 2)
    assert (low.least, low.most, high.least, high.most) == (5, 5, 20, 22)
    assert (low.accuracy.value, high.accuracy.value) == pytest.approx(((2 / 3 + 0) / 2, (1 + 0) / 2))
    assert low.accuracy.low == 0
    assert low.accuracy.high == pytest.approx(2 / 3)


def test_the_order_of_the_decisions_does_not_move_a_user_to_another_group():
    rng = np.random.default_rng(5)
    user, place = np.repeat(np.arange(20), 10), np.tile(np.arange(10), 20)
    correct, t = rng.random(200) < 0.5, user + place
    order = rng.permutation(200)
    shuffled = run_of(correct[order], user[order], t[order])
    assert by_activity([shuffled], 4) == by_activity([run_of(correct, user, t)], 4)
