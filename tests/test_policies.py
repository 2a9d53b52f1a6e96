"""Policies that learn a line or nothing: what they show, what they learn from, and which options they refuse."""

import numpy as np
import pytest

from vrsim import registry
from vrsim.baselines.bandit import LinUCB
from vrsim.baselines.recommending.exploration import EpsilonGreedy
from vrsim.baselines.recommending.inputs import INPUTS, Inputs
from vrsim.baselines.recommending.practice import SIDE_BY_SIDE, practise
from vrsim.baselines.recommending.ranked import GREEDY, RULES, lead_and_rest
from vrsim.errors import OptionError, UnknownNameError
from vrsim.registry import make_policy, policies
from vrsim.session import FEATURES, SessionConfig, Sessions
from vrsim.session.loop import play_sessions
from vrsim.session.policy import SessionSetting
from vrsim.simulated_user import SimulatedUser
from vrsim.world import World

USERS = 40


@pytest.fixture(scope="module")
def setting() -> SessionSetting:
    return SessionSetting(SimulatedUser("content", World.load("tiny")))


@pytest.fixture(scope="module")
def inputs(setting) -> Inputs:
    return Inputs(setting, 2000)


def observed(setting: SessionSetting, turns: int = 3) -> dict[str, np.ndarray]:
    """What a recommender sees after some turns of random slates."""
    env = setting.make_vec(USERS, split="test")
    rng = np.random.default_rng(0)
    observations, _ = env.reset(seed=0)
    for _ in range(turns):
        observations, *_ = env.step(rng.permuted(np.tile(np.arange(20), (USERS, 1)), axis=1)[:, :5])
    return observations


def fitted(name: str, setting: SessionSetting):
    policy = make_policy(name)
    policy.fit(setting)
    policy.reset(0)
    return policy


# Epsilon-greedy


def test_without_epsilon_it_is_the_policy_below(setting):
    seen = observed(setting)
    same = fitted("epsilon-greedy:of=popularity,epsilon=0", setting).act(seen, [""] * USERS)
    np.testing.assert_array_equal(same, fitted("popularity", setting).act(seen, [""] * USERS))


def test_epsilon_is_the_share_of_places_that_others_take(setting):
    seen = {name: np.repeat(column, 50, axis=0) for name, column in observed(setting).items()}
    greedy = fitted("greedy", setting).act(seen, [""] * 2000)
    places = fitted("epsilon-greedy:epsilon=0.3", setting).act(seen, [""] * 2000)
    assert (places != greedy).mean() == pytest.approx(0.3, abs=0.02)
    changed = places[places != greedy]
    assert np.unique(changed).size == 20
    outside = ~(places[:, :, None] == greedy[:, None, :]).any(axis=2)
    np.testing.assert_array_equal(outside, places != greedy)  # a random one is never of the slate already


def test_the_policy_below_may_have_options(setting):
    seen = observed(setting)
    for name in ("greedy:fresh=False", "linear:explore=thompson,turns=300"):
        own = fitted(f"epsilon-greedy:of=[{name}],epsilon=0", setting)
        own.reset(3)
        assert own.act(seen, [""] * USERS).shape == (USERS, 5)
    one = fitted("epsilon-greedy:of=greedy:fresh=False,epsilon=0", setting).act(seen, [""] * USERS)
    np.testing.assert_array_equal(one, fitted("greedy:fresh=False", setting).act(seen, [""] * USERS))


def test_the_policy_below_learns(setting):
    policy = make_policy("epsilon-greedy:of=[linear:turns=0]")
    play_sessions(policy, setting, users=USERS)
    assert np.abs(policy._of._model.estimate(np.eye(len(INPUTS)))).max() > 0


# The linear model


def test_it_learns_from_the_picked_items_and_from_nothing_else(setting):
    policy = fitted("linear:turns=0", setting)
    seen = observed(setting)
    sessions = Sessions(setting.user, SessionConfig(), USERS)
    for row in range(USERS):
        sessions.seed(row, np.random.default_rng(row))
    sessions.begin(np.arange(USERS), np.arange(USERS))
    seen = sessions.observe()
    places = policy.act(seen, [""] * USERS)
    turn = sessions.show(np.arange(USERS), places)
    policy.learn(seen, places, turn, turn.reward("consumption"))
    own = LinUCB(len(INPUTS))
    place = (seen["candidates"] == turn.item[:, None]).argmax(axis=1)
    x = policy._inputs.of_candidates(seen)[np.arange(USERS), place].astype(float)
    own.update(x, turn.consumed.astype(float))
    np.testing.assert_allclose(policy._model.estimate(x), own.estimate(x))
    assert turn.consumed.any()


def test_answers_that_could_not_be_read_teach_nothing(setting):
    policy = fitted("linear:turns=0", setting)
    policy._update(observed(setting), np.zeros(USERS, np.int64), np.ones(USERS))
    assert (policy._model.estimate(np.eye(len(INPUTS))) == 0).all()


def test_drawn_coefficients_have_the_mean_and_the_spread_of_the_posterior():
    rng = np.random.default_rng(0)
    model = LinUCB(2)
    x = rng.normal(size=(30, 2)) @ [[1, 0.5], [0, 0.3]]
    model.update(x, x @ [1.0, -1.0])
    drawn = model.draw(rng, 20_000, scale=0.5)
    np.testing.assert_allclose(drawn.mean(axis=0), model.estimate(np.eye(2)), atol=0.02)
    np.testing.assert_allclose(drawn.std(axis=0), 0.5 * model.width(np.eye(2)), rtol=0.03)


# What they know


def test_inputs_lie_between_0_and_1_and_end_with_the_constant(setting, inputs):
    seen = observed(setting)
    seen["candidates"][:, -2:] = 0
    x = inputs.of_candidates(seen)
    assert x.shape == (USERS, 20, len(INPUTS))
    assert x.dtype == np.float32
    assert x.min() >= 0
    assert x.max() <= 1 + 1e-6
    assert (x[:, -2:] == 0).all()
    assert (x[:, :-2, -1] == 1).all()
    np.testing.assert_array_equal(x[:, :-2, : len(FEATURES)], seen["features"][:, :-2])


def test_items_that_are_picked_more_often_have_a_higher_rate(setting, inputs):
    """With the user's own taste for all: whose chance of Yes is higher is picked more."""
    seen = observed(setting)
    world = setting.world
    candidates = np.tile(np.arange(1, world.n_items + 1), (1, 1))
    one = {name: column[:1] for name, column in seen.items()}
    one |= {"candidates": candidates, "features": np.zeros((1, world.n_items, len(FEATURES)), np.float32)}
    rate = inputs.of_candidates(one)[0, :, INPUTS.index("picked")]
    users = np.arange(world.n_users)
    positions = np.stack([users, world.interactions.lengths[users] - world.holdout], axis=1)
    items = np.repeat(candidates, len(users), axis=0)
    chance = setting.user.judge(positions, setting.user.histories(positions), items).probability.mean(axis=0)
    assert np.corrcoef(rate, chance)[0, 1] > 0.3


def test_practice_has_training_users_and_whole_batches(setting):
    steps = list(
        practise(
            setting,
            lambda seen: np.tile(np.arange(5), (SIDE_BY_SIDE, 1)),
            SIDE_BY_SIDE + 1,
        )
    )
    assert len(steps) == 2
    np.testing.assert_array_equal(steps[0].slate, steps[0].before["candidates"][:, :5])
    again = list(practise(setting, lambda seen: np.tile(np.arange(5), (SIDE_BY_SIDE, 1)), SIDE_BY_SIDE))
    np.testing.assert_array_equal(steps[0].item, again[0].item)


def test_the_last_observation_of_a_session_is_its_own(setting):
    for step in practise(setting, lambda seen: np.tile(np.arange(5), (SIDE_BY_SIDE, 1)), 10 * SIDE_BY_SIDE):
        fresh = (step.after["response"][:, 0] == 0) & (step.item > 0)
        assert not fresh.any()  # a new session has no response yet
        np.testing.assert_array_equal(step.after["response"][:, 0], step.item)


# Slates of one lead and the rest


def test_the_first_rule_is_the_greedy_policy(setting, inputs):
    seen = observed(setting)
    weights = np.tile(RULES[0], (USERS, 1))
    places = lead_and_rest(weights, inputs.of_candidates(seen), seen["candidates"], 5)
    np.testing.assert_array_equal(places, fitted("greedy", setting).act(seen, [""] * USERS))


def test_the_lead_goes_by_its_own_weights(setting, inputs):
    seen = observed(setting, turns=0)
    weights = np.tile(np.concatenate([-GREEDY, GREEDY]), (USERS, 1))  # the last one leads
    places = lead_and_rest(weights, inputs.of_candidates(seen), seen["candidates"], 5)
    np.testing.assert_array_equal(places, np.tile([19, 0, 1, 2, 3], (USERS, 1)))


# Options


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epsilon-greedy:epsilon=2", "epsilon must be a number from 0 to 1"),
        ("epsilon-greedy:of=3", "of must be the name of a policy"),
        ("linear:alpha=-1", "alpha must be a number from 0"),
        ("linear:turns=1.5", "turns must be an integer from 0"),
        ("slateq:gamma=2", "gamma must be a number from 0 to 1"),
        ("slateq:turns=0", "turns must be an integer from 1"),
        ("sb3:steps=0", "steps must be an integer from 1"),
    ],
)
def test_values_that_cannot_be_used_are_refused(text, words):
    with pytest.raises(OptionError, match=words):
        make_policy(text)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("epsilon-greedy:of=greedyy", "greedy"),
        ("linear:explore=ubc", "ucb"),
        ("slateq:slates=exactly", "exact"),
        ("slateq:gama=0.9", "gamma"),
        ("sb3:algorithm=PP0", "PPO"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(text, near):
    with pytest.raises(UnknownNameError, match=f"Did you mean '{near}'"):
        make_policy(text)


def test_a_benchmark_plays_what_takes_seconds():
    assert {"greedy", "epsilon-greedy", "linear:explore=ucb", "linear:explore=thompson"} <= set(policies())
    assert not {"sb3", "slateq", "llm"} & {name.partition(":")[0] for name in policies()}


def test_a_policy_is_registered_by_where_it_lives(monkeypatch):
    monkeypatch.setattr(registry, "_registered_policies", {})
    registry.register_policy("mine", "vrsim.baselines.recommending.fixed:RandomSlate")
    assert type(make_policy("mine")).__name__ == "RandomSlate"
    registry.register_policy("mine", EpsilonGreedy)
    with pytest.raises(OptionError, match="policy 'mine' must be registered as 'module:Class', found <class"):
        make_policy("mine")
