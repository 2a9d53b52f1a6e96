"""The environments in words: prompts are observations, completions are actions."""

import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import vrsim  # registers the environments
from vrsim.envs import TextInterface
from vrsim.errors import ActionError, OptionError, UnknownNameError
from vrsim.text.replies import tagged
from vrsim.text.rewards import FORMAT_REWARD

assert vrsim.__version__

TASKS = ("Judgment", "Selection")


def make(task="Selection", **options):
    return TextInterface(gym.make(f"vrsim/{task}-v0", world="tiny"), **options)


def right_label(env, info):
    """The label of the right answer as shown."""
    episode = env.unwrapped.episodes
    answer = int(episode.answers[info["episode_id"]])
    if episode.task == "judgment":
        return info["labels"][answer]
    title = episode.world.catalog.label(int(episode.slates[info["episode_id"], answer]))
    [line] = [line for line in info["messages"][-1]["content"].splitlines() if line[1:].startswith(f'. "{title}"')]
    return line[0]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("prompt", ["us-agent", "us-agent-direct"])
def test_it_passes_the_checker_of_gymnasium(task, prompt):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*is different from the unwrapped version.*")  # it is a wrapper
        check_env(make(task, prompt=prompt), skip_render_check=True)


@pytest.mark.parametrize("task", TASKS)
def test_the_reward_is_that_of_the_form_and_that_of_the_task(task):
    best = {"Judgment": 1.0, "Selection": 2.0}[task]
    worst = {"Judgment": -1.0, "Selection": 0.0}[task]
    env = make(task)
    for episode in range(10):
        _, info = env.reset(seed=episode, options={"episode": episode})
        right = right_label(env, info)
        wrong = next(label for label in info["labels"] if label != right)
        for reply, reward, formed, correct in (
            (tagged(right, "because"), FORMAT_REWARD + best, True, True),
            (tagged(wrong, "because"), FORMAT_REWARD + worst, True, False),
            (tagged("none of them", "because"), FORMAT_REWARD + worst, True, False),
            (tagged(right), worst, False, True),  # read by the evaluation, not rewarded
            ("", worst, False, False),
        ):
            env.reset(seed=episode, options={"episode": episode})
            _, earned, terminated, truncated, info = env.step(reply)
            assert (earned, terminated, truncated) == (reward, True, False)
            assert (info["well_formed"], info["correct"]) == (formed, correct)
            assert type(info["correct"]) is bool


def test_the_candidates_come_in_another_order_at_each_rollout():
    env = make()
    env.reset(seed=0)
    orders = {tuple(env.reset(options={"episode": 3})[0].split("now shows:")[1].splitlines()) for _ in range(40)}
    assert len(orders) > 10
    one, other = make(), make()
    assert one.reset(seed=4)[0] == other.reset(seed=4)[0]


def test_the_prompt_is_the_observation_and_the_messages_are_in_info():
    env = make()
    prompt, info = env.reset(seed=0)
    assert prompt == "\n\n".join(message["content"] for message in info["messages"])
    assert info["labels"] == ["A", "B", "C", "D"]
    assert prompt in env.observation_space
    assert prompt not in env.action_space.examples
    assert all(env.action_space.sample() in env.action_space for _ in range(20))
    assert 3 not in env.action_space


def test_random_actions_can_be_right():
    env = make("Judgment")
    env.action_space.seed(0)
    rewards = []
    for seed in range(60):
        env.reset(seed=seed)
        rewards.append(env.step(env.action_space.sample())[1])
    assert set(rewards) == {-1.0, 0.0, 2.0}  # no idea, wrong, right


def test_a_pickled_environment_goes_on():
    env = make()
    env.reset(seed=3)
    other = pickle.loads(pickle.dumps(env))
    assert env.step(tagged("A", ""))[1:4] == other.step(tagged("A", ""))[1:4]
    assert env.reset()[0] == other.reset()[0]


def test_wrong_use_is_refused():
    with pytest.raises(ActionError, match="before reset"):
        TextInterface(gym.make("vrsim/Selection-v0", world="tiny", disable_env_checker=True).unwrapped).step("A")
    env = make()
    env.reset(seed=0)
    with pytest.raises(ActionError, match=r"expected the words of a completion, found np.int64\(2\)"):
        env.step(np.int64(2))
    with pytest.raises(UnknownNameError, match="Did you mean 'us-agent'"):
        make(prompt="us-agen")
    with pytest.raises(OptionError, match="asks for probabilities"):
        make(prompt="titles")
    with pytest.raises(OptionError, match="found CartPoleEnv"):
        TextInterface(gym.make("CartPole-v1"))
