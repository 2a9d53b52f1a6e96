"""Reinforcement learning on the environment: it learns, is seeded, keeps to itself, and says what is missing."""

import importlib.util
import random
import sys
import tempfile
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from vrsim.baselines.features import NAMES, SlateFeatures
from vrsim.baselines.reinforcement import ALGORITHMS
from vrsim.baselines.sb3 import LIMIT, SlateEnv, StableBaselines
from vrsim.episodes import Episodes, make_episodes
from vrsim.errors import DependencyError, EpisodeError, OptionError, UnknownNameError
from vrsim.loop import play
from vrsim.registry import baselines, make_agent
from vrsim.world import World

SHORT = {"PPO": "n_steps=32,batch_size=32,n_epochs=1", "A2C": "n_steps=8", "DQN": "learning_starts=8"}

trained = pytest.mark.skipif(
    not importlib.util.find_spec("stable_baselines3"), reason="stable_baselines3 is not installed here"
)


@pytest.fixture(scope="module")
def world() -> World:
    return World.load("tiny")


@pytest.fixture(scope="module")
def episodes(world) -> Episodes:
    return make_episodes(world, "uniform", "selection", 3)


def short(algorithm: str = "PPO") -> StableBaselines:
    return make_agent(f"sb3:algorithm={algorithm},steps=32,{SHORT[algorithm]}")


def fitted(agent: StableBaselines, episodes: Episodes) -> StableBaselines:
    agent.fit(episodes.world, episodes.training())
    return agent


# Training


@trained
@pytest.mark.parametrize(("task", "more_than"), [("selection", 0.40), ("judgment", 0.62)])
def test_it_learns_what_chance_does_not_know(world, task, more_than):
    """100 and 200 questions, chance .25 and .5: more than three deviations more, from 3,000 rewards."""
    agent = make_agent("sb3:steps=3000,n_steps=250,batch_size=50,learning_rate=0.003,ent_coef=0.02")
    assert play(agent, make_episodes(world, "uniform", task, 3)).correct.mean() > more_than


@trained
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_answers_selections_and_judgments(world, algorithm):
    for task in ("selection", "judgment"):
        played = play(short(algorithm), make_episodes(world, "uniform", task, 3))
        assert set(played.decisions.action) <= set(range(played.episodes.n_options))
        assert (played.decisions.probability is None) == (algorithm == "DQN")


@trained
def test_probabilities_belong_to_the_decisions(world, episodes):
    decisions = play(short(), episodes).decisions
    np.testing.assert_array_equal(decisions.probability.argmax(axis=1), decisions.action)
    judged = play(short(), make_episodes(world, "uniform", "judgment")).decisions
    np.testing.assert_array_equal(judged.probability[:, 0] > 0.5, judged.action == 1)


@trained
def test_training_is_seeded_by_the_seed_of_the_episodes(world, episodes):
    one, same = (fitted(short(), episodes) for _ in range(2))
    other = fitted(short(), make_episodes(world, "uniform", "selection", 3, seed=1))
    asked = episodes.observe(np.arange(len(episodes)))
    np.testing.assert_array_equal(one.act(asked).probability, same.act(asked).probability)
    assert (one.act(asked).probability != other.act(asked).probability).any()
    assert one._model.seed == same._model.seed != other._model.seed


@trained
def test_more_steps_are_more_training(episodes):
    asked = episodes.observe(np.arange(len(episodes)))
    options = SHORT["PPO"]
    few, many = (fitted(make_agent(f"sb3:steps={steps},{options}"), episodes) for steps in (32, 320))
    assert few._model.num_timesteps == 32
    assert many._model.num_timesteps == 320
    assert (few.act(asked).probability != many.act(asked).probability).any()


@trained
def test_nothing_outside_notices(episodes, capfd, recwarn, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def state():
        numpy_state = [part.tolist() if isinstance(part, np.ndarray) else part for part in np.random.get_state()]
        return random.getstate(), numpy_state, torch.random.get_rng_state().tolist(), torch.get_num_threads()

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    random.random(), np.random.random(), torch.rand(1)  # not the states that another training left
    before = state()
    agent = fitted(short(), episodes)
    agent.act(episodes.observe(np.arange(9)))
    after = state()
    torch.set_num_threads(threads)
    assert after == before
    assert capfd.readouterr() == ("", "")
    assert list(recwarn) == []
    assert list(tmp_path.iterdir()) == []


# The environment it is trained on


def slate_env(episodes: Episodes) -> tuple[SlateEnv, np.ndarray]:
    rows = np.random.default_rng(0).uniform(-LIMIT, LIMIT, (len(episodes), 12)).astype(np.float32)
    env = gym.make("vrsim/Selection-v0", world=episodes.world, protocol="uniform", m=3, split="train")
    return SlateEnv(env, rows), rows


def test_the_environment_shows_the_row_of_its_episode(episodes):
    training = episodes.training()
    env, rows = slate_env(training)
    for episode in (0, 7, 99):
        seen, info = env.reset(options={"episode": episode})
        np.testing.assert_array_equal(seen, rows[episode])
        assert info == {"episode_id": episode}
        assert seen in env.observation_space
        seen, reward, terminated, truncated, info = env.step(int(training.answers[episode]))
        np.testing.assert_array_equal(seen, rows[episode])
        assert (reward, terminated, truncated, info["correct"]) == (2.0, True, False, True)


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version")
def test_the_environment_passes_the_checker_of_gymnasium(episodes):
    env, _ = slate_env(episodes.training())
    env.unwrapped.spec = None  # it is not one that could be made again from a string
    check_env(env, skip_render_check=True)


@trained
def test_the_rows_are_the_standardised_features_of_the_training_slates(world, episodes):
    training, features = episodes.training(), SlateFeatures()
    features.fit(world, training)
    env = fitted(short(), episodes)._model.get_env().envs[0]
    asked = training.observe(np.array([3]))
    seen, _ = env.reset(options={"episode": 3})
    expected = np.clip(features.standardised(asked), -LIMIT, LIMIT).reshape(4 * len(NAMES))
    np.testing.assert_allclose(seen, expected, rtol=1e-5, atol=1e-6)


@trained
def test_episodes_that_the_environment_does_not_ask_are_refused(world, episodes):
    training = episodes.training()
    with pytest.raises(EpisodeError, match="the 100 handed to fit"):
        short().fit(world, replace(training, answers=np.roll(training.answers, 1)))


# Options


@pytest.mark.parametrize("text", ["sb3:steps=0", "sb3:steps=1.5", "sb3:steps=True"])
def test_steps_are_counted_from_1(text):
    with pytest.raises(OptionError, match="steps must be an integer from 1"):
        make_agent(text)


def test_an_unknown_algorithm_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'PPO'"):
        make_agent("sb3:algorithm=PP0")
    with pytest.raises(UnknownNameError, match="Known: A2C, DQN, PPO"):
        make_agent("sb3:algorithm=SAC")  # only for continuous actions


@trained
def test_an_unknown_option_of_the_algorithm_is_refused_before_anything_is_trained():
    with pytest.raises(UnknownNameError, match=r"option of PPO 'learning_rat'\. Did you mean 'learning_rate'"):
        make_agent("sb3:learning_rat=0.1")
    with pytest.raises(UnknownNameError, match="option of DQN 'n_epochs'"):
        make_agent("sb3:algorithm=DQN,n_epochs=3")
    with pytest.raises(UnknownNameError, match="option of PPO 'device'"):  # not to be set
        make_agent("sb3:device=cuda")


@trained
@pytest.mark.parametrize("option", ["policy=NoSuchPolicy", "batch_size=0", "n_steps=many"])
def test_a_value_that_the_algorithm_refuses_is_an_option_error(episodes, option):
    with pytest.raises(OptionError, match="PPO refuses"):
        fitted(make_agent(f"sb3:steps=32,{option}"), episodes)


def test_without_the_library_it_says_what_to_install(episodes, monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    agent = make_agent("sb3")  # made, so that everything registered can be listed
    with pytest.raises(DependencyError, match=r"needs stable-baselines3.*pip install -e '\.\[sb3\]'"):
        agent.fit(episodes.world, episodes.training())
    with pytest.raises(DependencyError, match="needs stable-baselines3"):
        make_agent("sb3:learning_rate=0.1")


def test_a_benchmark_does_not_play_it_unasked():
    assert not any(name.startswith("sb3") for name in baselines())
