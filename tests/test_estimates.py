"""Decisions become the right columns, and a number of users has the interval that its users allow."""

import warnings

import numpy as np
import pytest

from vrsim.agent import Agent, Decisions
from vrsim.episodes import make_episodes
from vrsim.estimates import Estimate, mean_of_users, outcomes, over_users
from vrsim.loop import join, play
from vrsim.registry import make_agent
from vrsim.world import World


class Sure(Agent):
    """Take a random place, or say Yes or No at random, and be as sure of it as the item's number."""

    def reset(self, seed):
        self.rng = np.random.default_rng(seed)

    def act(self, observations):
        slate = observations["slate"]
        action = self.rng.integers(max(2, slate.shape[1]), size=len(slate))
        return Decisions(action, self.rng.random(len(slate)) < 0.8, probability=slate / 200)


def runs_on(task: str, seeds: int = 3) -> list:
    """Runs of one agent on other questions each."""
    world = World.load("tiny:holdout=2")
    return [play(Sure(), make_episodes(world, "rank-matched", task, seed=seed), seed) for seed in range(seeds)]


# Columns


@pytest.mark.parametrize("task", ["judgment", "selection"])
def test_there_is_one_row_per_decision_of_every_run(task):
    runs = runs_on(task)
    found = outcomes(runs)
    row = 0
    for number, run in enumerate(runs):
        for i, (user, t) in enumerate(run.episodes.positions.tolist()):
            assert (found.user[row], found.t[row], found.run[row]) == (user, t, number)
            answer, action = run.episodes.answers[i], run.decisions.action[i]
            assert found.positive[row] == (task == "selection" or answer == 1)
            assert found.correct[row] == (action == answer and run.decisions.valid[i])
            assert found.probability[row] == run.episodes.slates[i, 0 if task == "judgment" else action] / 200
            row += 1
    assert row == len(found.user) == len(found.t) == len(found.run) == len(found.probability)
    assert found.positive.dtype == found.correct.dtype == bool


def test_a_run_that_was_played_in_parts_gives_the_same_columns():
    episodes = make_episodes(World.load("tiny"), "uniform", "judgment")
    parts = []
    whole = play(Sure(), episodes, batch=32, write=parts.append)
    assert len(parts) == 7
    for one, other in zip(vars(outcomes([whole])).values(), vars(outcomes([join(parts)])).values(), strict=True):
        np.testing.assert_array_equal(one, other)
    last = outcomes(parts[-1:])
    np.testing.assert_array_equal(last.user, episodes.positions[-8:, 0])


def test_probabilities_of_some_runs_only_are_none():
    runs = runs_on("selection", 2)
    silent = play(make_agent("constant"), runs[1].episodes)
    assert outcomes([runs[0], silent]).probability is None
    assert outcomes(runs).probability is not None


# Intervals


def test_the_mean_leaves_out_what_is_not_a_number():
    column = np.array([1.0, np.nan, 0.0, 0.5, np.nan])
    found, other = mean_of_users([column, np.ones(5)])
    assert found.value == 0.5
    assert 0 <= found.low < 0.5 < found.high <= 1
    assert other == Estimate(1, 1, 1)


def test_what_no_user_has_is_not_a_number_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for users in (1, 5):
            (found,) = mean_of_users([np.full(users, np.nan)])
            assert np.isnan([found.value, found.low, found.high]).all()


def test_one_user_has_a_value_and_no_interval():
    (found,) = mean_of_users([np.array([0.3])])
    assert found.value == 0.3
    assert np.isnan([found.low, found.high]).all()


def test_intervals_are_as_wide_as_theory_says():
    column = np.random.default_rng(0).normal(3, 2, size=400)
    (found,) = mean_of_users([column])
    assert found.value == pytest.approx(column.mean())
    assert [found.low, found.high] == pytest.approx(
        column.mean() + 1.96 * column.std() / 20 * np.array([-1, 1]), abs=0.015
    )


def test_users_are_drawn_with_all_their_columns():
    rng = np.random.default_rng(1)
    right, asked = rng.integers(1, 5, size=50), np.full(50, 4)

    def statistic(right, asked, axis=-1):
        return np.stack([right.sum(axis) / asked.sum(axis), asked.sum(axis) / right.sum(axis), right.mean(axis)])

    share, inverse, mean = over_users((right, asked), statistic, 0)
    assert (share.value, share.low, share.high) == pytest.approx((mean.value / 4, mean.low / 4, mean.high / 4))
    assert (inverse.value, inverse.low, inverse.high) == pytest.approx(
        (1 / share.value, 1 / share.high, 1 / share.low), rel=1e-3
    )
    (always,) = over_users((right, 4 * right), lambda a, b, axis=-1: (b.sum(axis) / a.sum(axis))[None], 0)
    assert always == Estimate(4, 4, 4)


def test_the_interval_depends_on_the_seed_and_on_nothing_else():
    column = np.random.default_rng(2).random(80)
    np.random.seed(0)
    one = mean_of_users([column])
    np.random.seed(1)
    assert mean_of_users([column]) == one
    assert mean_of_users([column], seed=1) != one
    assert mean_of_users([column, column]) == one * 2
