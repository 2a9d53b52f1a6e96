"""What the environments owe Gymnasium and the researcher, beyond the shared contract."""

import importlib
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from scipy.stats import chisquare

import vrsim
from vrsim.envs import JudgmentEnv, JudgmentVectorEnv, SelectionEnv, SelectionVectorEnv
from vrsim.episodes import make_episodes
from vrsim.errors import EpisodeError
from vrsim.world import World

ENVIRONMENTS = ("vrsim/Judgment-v0", "vrsim/Selection-v0")
UNLIKELY = 1e-4

every_environment = pytest.mark.parametrize("env_id", ENVIRONMENTS)


def make(env_id: str, **options) -> gym.Env:
    return gym.make(env_id, world="tiny", **options)


def make_vec(env_id: str, num_envs: int = 3, **options) -> gym.vector.VectorEnv:
    return gym.make_vec(env_id, num_envs=num_envs, world="tiny", **options)


def same(one, other) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


# Gymnasium's own machinery


def test_spawned_workers_ask_what_this_process_asks():
    env_id = "vrsim:vrsim/Selection-v0"
    made = [lambda: gym.make(env_id, world="tiny")] * 2
    workers = gym.vector.AsyncVectorEnv(made, context="spawn", autoreset_mode=AutoresetMode.SAME_STEP)
    try:
        native = gym.make_vec(env_id, num_envs=2, world="tiny")
        same(workers.reset(seed=4)[0], native.reset(seed=4)[0])
        for action in (0, 1, 2):
            seen, rewards, terminated, truncated, _ = workers.step(np.array([action, action]))
            own = native.step(np.array([action, action]))
            same(seen, own[0])
            np.testing.assert_array_equal(rewards, own[1])
            assert terminated.all()
            assert not truncated.any()
    finally:
        workers.close()


@every_environment
def test_make_vec_gives_the_native_environment_with_autoreset_in_the_same_step(env_id):
    native = {"vrsim/Judgment-v0": JudgmentVectorEnv, "vrsim/Selection-v0": SelectionVectorEnv}[env_id]
    env = make_vec(env_id, num_envs=5)
    assert isinstance(env.unwrapped, native)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert env.num_envs == 5


@every_environment
def test_native_and_synchronous_vector_environments_tell_the_same(env_id):
    native = make_vec(env_id)
    made = [lambda: make(env_id)] * 3
    loop = gym.vector.SyncVectorEnv(made, autoreset_mode=AutoresetMode.SAME_STEP)
    assert native.single_observation_space == loop.single_observation_space
    assert native.observation_space == loop.observation_space
    assert native.action_space == loop.action_space
    first, second = native.reset(seed=9), loop.reset(seed=9)
    same(first[0], second[0])
    same(first[1], second[1])
    for _ in range(5):
        actions = native.action_space.sample()
        mine, theirs = native.step(actions), loop.step(actions)
        same(mine[0], theirs[0])
        for part in (1, 2, 3):
            np.testing.assert_array_equal(mine[part], theirs[part])
            assert mine[part].dtype == theirs[part].dtype
        assert mine[4].keys() == theirs[4].keys()
        same(mine[4]["final_info"], theirs[4]["final_info"])


@every_environment
def test_final_obs_is_the_observation_that_was_acted_on(env_id):
    env = make_vec(env_id)
    seen, info = env.reset(seed=1)
    for _ in range(4):
        episode = info["episode_id"]
        following, _, _, _, info = env.step(np.zeros(3, np.int64))
        same(info["final_obs"], seen)
        np.testing.assert_array_equal(info["final_info"]["episode_id"], episode)
        assert info["_final_obs"].all()
        seen = following


@every_environment
def test_the_wrapper_that_records_episode_statistics_works(env_id):
    env = gym.wrappers.RecordEpisodeStatistics(make(env_id))
    env.reset(seed=0)
    env.step(0)
    assert list(env.length_queue) == [1]
    vector = gym.wrappers.vector.RecordEpisodeStatistics(make_vec(env_id))
    vector.reset(seed=0)
    vector.step(np.zeros(3, np.int64))
    assert list(vector.length_queue) == [1, 1, 1]


def test_environments_are_made_without_arguments_of_their_own():
    defaults = {"judgment": JudgmentEnv, "selection": SelectionEnv}
    for task, cls in defaults.items():
        env = cls(world="tiny")
        assert env.episodes.task == task
        assert (env.episodes.split, env.episodes.cohort, env.episodes.seed) == ("test", "all", 0)
        assert env.episodes.protocol.name == "vragent-paper"


def test_a_reload_registers_nothing_twice():
    before = {env_id: gym.registry[env_id] for env_id in ENVIRONMENTS}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        importlib.reload(vrsim)
    assert {env_id: gym.registry[env_id] for env_id in ENVIRONMENTS} == before
    assert make("vrsim/Selection-v0").reset(seed=0)


# Episodes


@every_environment
@pytest.mark.parametrize("number", [0, 7, np.int64(99)])
def test_a_pinned_episode_is_the_one_asked_for(env_id, number):
    env = make(env_id)
    episodes = env.unwrapped.episodes
    seen, info = env.reset(options={"episode": number})
    assert info == {"episode_id": number}
    assert type(info["episode_id"]) is int
    same(seen, {name: column[0] for name, column in episodes.observe(np.array([number])).items()})
    assert env.step(0)[4]["answer"] == episodes.answers[number]


@every_environment
def test_pinning_does_not_move_the_sequence(env_id):
    env, other = make(env_id), make(env_id)
    same(env.reset(seed=2)[0], other.reset(seed=2)[0])
    env.reset(options={"episode": 5})
    same(env.reset()[0], other.reset()[0])
    vector, twin = make_vec(env_id), make_vec(env_id)
    same(vector.reset(seed=2)[0], twin.reset(seed=2)[0])
    vector.reset(options={"episode": np.array([5, 6, 7])})
    same(vector.reset()[0], twin.reset()[0])


@every_environment
def test_a_vector_environment_asks_the_pinned_episodes(env_id):
    env = make_vec(env_id)
    numbers = np.array([4, 0, 4])
    seen, info = env.reset(options={"episode": numbers})
    np.testing.assert_array_equal(info["episode_id"], numbers)
    same(seen, env.unwrapped.episodes.observe(numbers))
    final = env.step(np.zeros(3, np.int64))[4]["final_info"]
    np.testing.assert_array_equal(final["episode_id"], numbers)
    np.testing.assert_array_equal(final["answer"], env.unwrapped.episodes.answers[numbers])


@every_environment
def test_a_vector_environment_takes_a_list_of_seeds(env_id):
    env = make_vec(env_id)
    seen, _ = env.reset(seed=[8, 3, 8])
    np.testing.assert_array_equal(seen["slate"][0], seen["slate"][2])
    scalar = make(env_id)
    np.testing.assert_array_equal(seen["slate"][1], scalar.reset(seed=3)[0]["slate"])
    after, _ = env.reset(seed=[None, 3, None])  # None goes on, a seed starts again
    np.testing.assert_array_equal(after["slate"][1], seen["slate"][1])
    scalar.reset(seed=8)
    np.testing.assert_array_equal(after["slate"][0], scalar.reset()[0]["slate"])
    with pytest.raises(EpisodeError, match="expected 3 seeds, found 2"):
        env.reset(seed=[1, 2])


@every_environment
def test_numpy_integers_are_integers(env_id):
    env = make_vec(env_id, num_envs=np.int64(3))
    assert (type(env.num_envs), env.num_envs) == (int, 3)
    same(env.reset(seed=np.int64(8))[0], make_vec(env_id).reset(seed=8)[0])
    same(env.reset(seed=[np.int64(8), np.int64(1), np.int64(2)])[0], make_vec(env_id).reset(seed=[8, 1, 2])[0])


@every_environment
def test_a_sequence_visits_every_episode_equally_often(env_id):
    env = make(env_id).unwrapped
    n = len(env.episodes)
    env.reset(seed=0)
    assert chisquare(np.bincount([env.reset()[1]["episode_id"] for _ in range(30 * n)], minlength=n)).pvalue > UNLIKELY


@every_environment
def test_first_episodes_of_many_seeds_are_spread_equally(env_id):
    env = make(env_id).unwrapped
    n = len(env.episodes)
    first = [env.reset(seed=seed)[1]["episode_id"] for seed in range(20 * n)]
    assert chisquare(np.bincount(first, minlength=n)).pvalue > UNLIKELY


def test_the_arguments_choose_the_episodes():
    options = {"protocol": "uniform", "m": 4, "split": "train", "cohort": "cold", "seed": 5}
    expected = make_episodes(World.load("tiny"), "uniform", "selection", 4, "train", "cold", 5).hash
    assert make("vrsim/Selection-v0", **options).unwrapped.episodes.hash == expected
    assert make_vec("vrsim/Selection-v0", **options).unwrapped.episodes.hash == expected


# Rewards


@pytest.mark.parametrize(("env_id", "right", "wrong"), [(ENVIRONMENTS[0], 1, -1), (ENVIRONMENTS[1], 2, 0)])
def test_rewards_are_the_papers(env_id, right, wrong):
    env = make(env_id)
    for episode in range(10):
        for action in range(env.action_space.n):
            env.reset(options={"episode": episode})
            _, reward, _, _, info = env.step(action)
            assert info["correct"] == (action == info["answer"])
            assert reward == (right if info["correct"] else wrong)


# Rendering


def test_text_shows_the_titles_first_and_the_truth_after_the_step_only():
    env = make("vrsim/Selection-v0", render_mode="ansi")
    catalog = env.unwrapped.episodes.world.catalog
    seen, _ = env.reset(seed=0)
    text = env.render()
    for item in [*seen["slate"], *seen["history"][-5:]]:
        assert item == 0 or catalog.titles[item] in text
    assert "Truth" not in text
    assert "right" not in text
    assert "wrong" not in text
    info = env.step(2)[4]
    verdict = "right" if info["correct"] else "wrong"
    assert env.render() == f"{text}\nAnswer: 2. Truth: {info['answer']}. That is {verdict}."
    env.reset()
    assert "Truth" not in env.render()


def test_a_judgment_is_shown_with_yes_and_no():
    env = make("vrsim/Judgment-v0", render_mode="ansi")
    words = ("No", "Yes")
    for episode in range(4):
        for action in (0, 1):
            seen, _ = env.reset(options={"episode": episode})
            assert env.unwrapped.episodes.world.catalog.titles[seen["slate"][0]] in env.render()
            assert "Yes" not in env.render()
            answer = env.step(action)[4]["answer"]
            assert f"Answer: {words[action]}. Truth: {words[answer]}." in env.render()


@every_environment
def test_the_picture_is_rgb_keeps_its_size_and_changes_with_the_step(env_id):
    env = make(env_id, render_mode="rgb_array")
    env.reset(seed=0)
    before = env.render()
    assert before.dtype == np.uint8
    assert before.ndim == 3
    assert before.shape[2] == 3
    env.step(0)
    after = env.render()
    assert after.shape == before.shape
    assert (after != before).any()
    after[...] = 0
    assert env.render().any()


def test_the_picture_of_a_long_slate_keeps_its_size_too():
    env = make("vrsim/Selection-v0", render_mode="rgb_array", m=10)
    env.reset(seed=0)
    before = env.render().shape
    env.step(0)
    assert env.render().shape == before


@every_environment
def test_without_a_render_mode_there_is_nothing_to_see(env_id):
    env = make(env_id).unwrapped
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None
