"""Session-v0 by its edges: what it refuses, how sessions end, how it is drawn, and its batched form."""

import gymnasium as gym
import numpy as np
import pytest

import vrsim  # registers the environments
from vrsim.envs import SessionEnv
from vrsim.errors import ActionError, EpisodeError, OptionError, UnknownNameError
from vrsim.world import World

assert vrsim.__version__

SESSION = "vrsim/Session-v0"
SLATE = np.arange(5)


def make(**options):
    return gym.make(SESSION, **({"world": "tiny"} | options))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"slate": 21}, OptionError, "a slate of 21 cannot be chosen from 20 candidates"),
        (
            {"candidates": 101},
            OptionError,
            "world 'tiny' has 100 ranked candidates per user, fewer than candidates=101",
        ),
        ({"slate": 0}, OptionError, "slate must be an integer from 1, found 0"),
        ({"reward": "clicks"}, UnknownNameError, "unknown reward 'clicks'"),
        ({"patience": 0}, OptionError, "patience must be a number from 1, found 0"),
        ({"boredom": 1.5}, OptionError, "boredom must be a number from 0 to 1, found 1.5"),
        ({"memory": 2.5}, OptionError, "memory must be an integer from 1 to 1000, found 2.5"),
        ({"no_repeat": 1}, OptionError, "no_repeat must be True or False, found 1"),
        ({"patence": 3}, UnknownNameError, "unknown option of a session 'patence'. Did you mean 'patience'?"),
        ({"user": "nobody"}, UnknownNameError, "unknown agent 'nobody'"),
        ({"user": 3}, OptionError, "user must be the name of an agent, for example 'content', found 3"),
        ({"seed": -1}, OptionError, "seed must be an integer from 0, found -1"),
        ({"split": "both"}, UnknownNameError, "unknown split 'both'"),
        ({"render_mode": "human"}, UnknownNameError, "unknown render_mode 'human'"),
    ],
)
def test_wrong_arguments_are_refused_with_what_was_expected(options, error, words):
    with pytest.raises(error) as caught:
        SessionEnv(world="tiny", **options)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "action", [np.arange(4), np.arange(6), np.arange(5.0), [[1, 2], [3]], 3, "abcde", np.arange(10).reshape(2, 5)]
)
def test_actions_of_another_shape_or_kind_are_refused(action):
    env = make().unwrapped
    env.reset(seed=0)
    with pytest.raises(ActionError, match=r"expected integers of shape \(5,\), the places of the candidates"):
        env.step(action)


@pytest.mark.parametrize("place", [-1, 20])
def test_places_outside_the_candidates_are_refused(place):
    env = make().unwrapped
    env.reset(seed=0)
    with pytest.raises(ActionError, match="expected places from 0 to 19, found"):
        env.step([0, 1, 2, 3, place])
    env.step(SLATE)  # nothing was lost


def test_steps_before_the_beginning_and_after_the_end_are_refused():
    env = make(user="constant:answer=no", loyalty=0, patience=1).unwrapped
    with pytest.raises(ActionError, match=r"before reset\(\)"):
        env.step(SLATE)
    env.reset(seed=0)
    assert env.step(SLATE)[2]
    with pytest.raises(ActionError, match="after the end"):
        env.step(SLATE)


def test_reset_refuses_sessions_that_do_not_exist():
    env = make()
    for options, error, words in (
        ({"episode": 100}, EpisodeError, "episode 100 does not exist: there are episodes 0 to 99"),
        ({"episode": [1, 2]}, EpisodeError, "expected 1 episode number, found"),
        ({"user": 3}, UnknownNameError, "unknown reset option 'user'"),
    ):
        with pytest.raises(error) as caught:
            env.reset(options=options)
        assert words in str(caught.value)


def test_the_vector_environment_refuses_the_same():
    env = gym.make_vec(SESSION, num_envs=2, world="tiny")
    with pytest.raises(ActionError, match=r"before reset\(\)"):
        env.step(np.zeros((2, 5), np.int64))
    env.reset(seed=[1, 2])
    with pytest.raises(ActionError, match=r"expected integers of shape \(2, 5\)"):
        env.step(np.zeros((3, 5), np.int64))
    with pytest.raises(EpisodeError, match="expected 2 seeds, found 3"):
        env.reset(seed=[1, 2, 3])
    with pytest.raises(OptionError, match="num_envs must be an integer from 1"):
        gym.make_vec(SESSION, num_envs=0, world="tiny")


def test_the_length_of_a_session_can_be_chosen_in_both_forms():
    scalar = make(user="constant", boredom=0, max_episode_steps=3)
    vector = gym.make_vec(SESSION, num_envs=2, world="tiny", user="constant", boredom=0, max_episode_steps=3)
    scalar.reset(seed=0)
    vector.reset(seed=0)
    ends = [(scalar.step(SLATE)[3], vector.step(np.tile(SLATE, (2, 1)))[3].tolist()) for _ in range(3)]
    assert ends == [(False, [False] * 2)] * 2 + [(True, [True] * 2)]


def test_where_a_session_ends_the_vector_shows_the_next_and_keeps_the_last():
    env = gym.make_vec(SESSION, num_envs=50, world="tiny", user="constant:answer=no", loyalty=0, patience=1)
    env.reset(seed=0)
    seen, _, terminated, _, info = env.step(np.tile(SLATE, (50, 1)))
    assert terminated.all()
    np.testing.assert_array_equal(seen["response"], 0)
    np.testing.assert_array_equal(info["final_obs"]["response"][:, 0], info["item"])
    assert (env.sessions.position[:, 0] != info["user"]).any()


def test_pinned_sessions_of_the_vector():
    env = gym.make_vec(SESSION, num_envs=3, world="tiny")
    users = [env.reset(options={"episode": np.array([4, 5, 6])})[1]["user"] for _ in range(2)]
    np.testing.assert_array_equal(*users)


def test_sessions_start_before_everything_that_is_held_out():
    world = World.load("tiny:holdout=3")
    env = make(world="tiny:holdout=3")
    observation, info = env.reset(seed=0)
    real = world.interactions.of(info["user"])
    np.testing.assert_array_equal(observation["history"][-min(20, len(real) - 3) :], real[:-3][-20:])


def test_a_session_reads_as_its_user_sees_it():
    env = make(render_mode="ansi", user="constant:answer=no", loyalty=0, patience=1)
    _, info = env.reset(seed=0)
    before = env.render()
    assert before.startswith(f"User {info['user']}, turn 0, patience 1. Had last:")
    item = env.step(SLATE)[4]["item"]
    after = env.render()
    assert f"  - {World.load('tiny').catalog.label(item)}" in after
    assert "Nothing consumed." in after
    assert "Left for good. I would have stayed for more" in after


def test_a_picture_has_the_words():
    env = make(render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert len(np.unique(picture)) > 10


def test_loops_in_the_style_of_cleanrl_run_on_it():
    def one():
        env = gym.wrappers.FlattenObservation(make(slate=3, candidates=10))
        return gym.wrappers.RecordEpisodeStatistics(env)

    envs = gym.vector.SyncVectorEnv([one] * 4)
    seen, _ = envs.reset(seed=1)
    returns = []
    rng = np.random.default_rng(0)
    for _ in range(60):
        actions = rng.integers(envs.single_action_space.nvec, size=(4, 3))
        seen, *_, info = envs.step(actions)
        assert seen.shape == (4, gym.spaces.flatdim(make(slate=3, candidates=10).observation_space))
        assert np.isfinite(seen).all()
        if "episode" in info:
            returns += info["episode"]["r"][info["_episode"]].tolist()
    assert len(returns) > 5
    assert max(returns) > 0
