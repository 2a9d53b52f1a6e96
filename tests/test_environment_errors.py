"""What the environments refuse: one error of vrsim with a reason, and nothing is lost by it."""

import pickle

import gymnasium as gym
import numpy as np
import pytest

import vrsim  # registers the environments
from vrsim.envs import SelectionEnv, SelectionVectorEnv
from vrsim.errors import ActionError, EpisodeError, OptionError, UnknownNameError

assert vrsim.__version__

every_environment = pytest.mark.parametrize("env_id", ["vrsim/Judgment-v0", "vrsim/Selection-v0"])


def make(env_id: str, **options) -> gym.Env:
    return gym.make(env_id, world="tiny", **options)


def make_vec(env_id: str, **options) -> gym.vector.VectorEnv:
    return gym.make_vec(env_id, num_envs=3, world="tiny", **options)


@every_environment
@pytest.mark.parametrize(
    "action",
    [99, -1, 2**70, 1.0, "1", None, True, False, np.True_, [1], (), np.array([1]), np.array([[0]]), np.array(1.0),
     np.float64(0)],
    ids=repr,
)  # fmt: skip
def test_what_is_no_action_is_refused_and_the_episode_stays_open(env_id, action):
    env = make(env_id)
    env.reset(seed=0)
    with pytest.raises(ActionError, match="expected an"):
        env.step(action)
    assert env.step(0)[2]


@every_environment
@pytest.mark.parametrize("action", [1, np.int8(1), np.uint64(1), np.array(1)], ids=repr)
def test_every_kind_of_integer_is_an_action(env_id, action):
    env = make(env_id)
    env.reset(options={"episode": 0})
    info = env.step(action)[4]
    assert info["correct"] == (info["answer"] == 1)


@every_environment
@pytest.mark.parametrize(
    "actions",
    [
        np.array([0, 0, 99]),
        np.array([0, -1, 0]),
        np.array([0, 0]),
        np.array([[0, 0, 0]]),
        np.array(0),
        np.zeros(3),
        np.zeros(3, bool),
        np.array(["0", "0", "0"]),
        None,
        0,
        [0, None, 0],
        np.array([2**63, 0, 0], np.uint64),
    ],
    ids=repr,
)
def test_what_are_no_actions_is_refused_and_the_episodes_stay_open(env_id, actions):
    env = make_vec(env_id)
    _, info = env.reset(seed=0)
    with pytest.raises(ActionError, match="expected"):
        env.step(actions)
    np.testing.assert_array_equal(env.step([0, 1, 0])[4]["final_info"]["episode_id"], info["episode_id"])


@every_environment
def test_a_step_before_reset_is_refused(env_id):
    with pytest.raises(ActionError, match="before reset"):
        make(env_id).unwrapped.step(0)
    with pytest.raises(ActionError, match="before reset"):
        make_vec(env_id).unwrapped.step(np.zeros(3, np.int64))
    with pytest.raises(ActionError, match="before reset"):
        make(env_id, render_mode="ansi").unwrapped.render()


@every_environment
def test_a_step_after_the_end_is_refused(env_id):
    env = make(env_id)
    env.reset(seed=0)
    env.step(0)
    for _ in range(2):
        with pytest.raises(ActionError, match="after the end"):
            env.step(0)
    env.reset()
    assert env.step(0)[2]


@every_environment
@pytest.mark.parametrize("number", [-1, 10**6, 1.5, "0", None, [0]], ids=repr)
def test_an_episode_that_does_not_exist_is_refused(env_id, number):
    with pytest.raises(EpisodeError, match="episode"):
        make(env_id).reset(options={"episode": number})


@every_environment
@pytest.mark.parametrize("numbers", [[0, 1], [0, 1, 10**6], [0, -1, 1], [0.0, 1.0, 2.0], 0, None], ids=repr)
def test_episodes_that_do_not_exist_are_refused(env_id, numbers):
    with pytest.raises(EpisodeError, match="episode"):
        make_vec(env_id).reset(options={"episode": numbers})


@every_environment
def test_an_unknown_reset_option_is_refused_with_the_nearest(env_id):
    for env, value in ((make(env_id), 1), (make_vec(env_id), [1, 1, 1])):
        with pytest.raises(UnknownNameError, match="Did you mean 'episode'"):
            env.reset(options={"epsiode": value})


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'tiny'"):
        gym.make("vrsim/Selection-v0", world="tiyn")
    with pytest.raises(UnknownNameError, match="Did you mean 'uniform'"):
        make("vrsim/Judgment-v0", protocol="unifrom")
    with pytest.raises(UnknownNameError, match="Did you mean 'cold'"):
        make_vec("vrsim/Judgment-v0", cohort="colt")
    with pytest.raises(UnknownNameError, match="Did you mean 'ansi'"):
        SelectionEnv(world="tiny", render_mode="ansy")


@pytest.mark.parametrize("number", [0, -1, True, 1.5, "2", np.int64(0), np.float64(2), None], ids=repr)
def test_num_envs_is_an_integer_from_one(number):
    with pytest.raises(OptionError, match="num_envs must be an integer from 1"):
        SelectionVectorEnv(number, world="tiny")


def test_m_is_checked_by_the_environment_too():
    with pytest.raises(OptionError, match="m must be an integer from 1"):
        make("vrsim/Selection-v0", m="3")
    with pytest.raises(EpisodeError, match="the largest m is 10"):
        make_vec("vrsim/Selection-v0", m=11)


def test_errors_survive_the_way_out_of_a_worker():
    error = pickle.loads(pickle.dumps(UnknownNameError("world", "tiyn", ["tiny", "ml-100k"])))
    assert str(error) == str(UnknownNameError("world", "tiyn", ["tiny", "ml-100k"]))
