"""An agent with another history: what exactly it is shown, and that nothing else about it changes."""

import copy

import numpy as np
import pytest

from vrsim import registry
from vrsim.ablations import ABLATIONS, Ablated
from vrsim.agent import Agent, Decisions
from vrsim.episodes import Episodes, make_episodes
from vrsim.errors import OptionError, UnknownNameError
from vrsim.loop import play
from vrsim.registry import make_agent, register_agent
from vrsim.testing import AgentContract
from vrsim.world import World


class Watching(Agent):
    """Remember what it is shown."""

    def __init__(self) -> None:
        self.fitted = self.asked = self.taught = None
        self.seeds = []

    def fit(self, world, training):
        self.fitted = (world, training)

    def reset(self, seed):
        self.seeds.append(seed)

    def act(self, observations):
        self.asked = observations
        return Decisions(np.zeros(len(observations["slate"]), np.int64))

    def learn(self, observations, decisions, rewards):
        self.taught = (observations, decisions, rewards)


@pytest.fixture(scope="module")
def episodes() -> Episodes:
    return make_episodes(World.load("tiny:holdout=2"), "uniform", "selection", 3, split="train")


def shown(ablation: str, episodes: Episodes, index=None) -> dict[str, np.ndarray]:
    """What the agent inside is asked."""
    inside = Watching()
    agent = Ablated(inside, ablation)
    agent.fit(episodes.world, episodes.training())
    agent.act(episodes.observe(np.arange(len(episodes)) if index is None else np.asarray(index)))
    return inside.asked


every_ablation = pytest.mark.parametrize("ablation", ABLATIONS)


# What is shown


def test_without_a_history_the_user_has_done_nothing_yet(episodes):
    seen = shown("no-history", episodes)
    assert not seen["history"].any()
    assert not seen["position"][:, 1].any()
    np.testing.assert_array_equal(seen["position"][:, 0], episodes.positions[:, 0])


def test_a_shuffled_history_has_the_same_items_in_another_order_and_the_padding_in_front(episodes):
    seen, moved = shown("shuffled-history", episodes), 0
    np.testing.assert_array_equal(seen["position"], episodes.positions)
    for row, before in zip(seen["history"].tolist(), episodes.histories.tolist(), strict=True):
        assert sorted(row) == sorted(before)
        assert [item > 0 for item in row] == [item > 0 for item in before]
        moved += row != before
    assert moved > 0.95 * len(episodes)
    assert (episodes.histories == 0).any()


def test_shuffling_puts_every_item_everywhere(episodes):
    """The newest item moves to each place about equally often."""
    long = np.flatnonzero((episodes.histories > 0).all(axis=1))
    seen = shown("shuffled-history", episodes, long)["history"]
    place = (seen == episodes.histories[long][:, -1:]).argmax(axis=1)
    assert len(long) > 50
    assert abs(place.mean() - 9.5) < 4 * np.sqrt((20**2 - 1) / 12 / len(long))


def test_the_other_history_is_that_of_another_user_before_their_own_last_position(episodes):
    world, seen = episodes.world, shown("other-history", episodes)
    users, t = seen["position"].T
    assert (users != episodes.positions[:, 0]).all()
    assert ((users >= 0) & (users < world.n_users)).all()
    np.testing.assert_array_equal(t, world.interactions.lengths[users] - 1)
    for row, user in zip(seen["history"].tolist(), users.tolist(), strict=True):
        own = world.interactions.of(user)[:-1][-20:].tolist()
        assert row == [0] * (20 - len(own)) + own


def test_the_other_history_is_shown_the_way_of_the_protocol():
    episodes = make_episodes(World.load("tiny"), "mllm-msr", "judgment")
    world, seen = episodes.world, shown("other-history", episodes)
    assert seen["history"].shape[1] == 5
    for row, user in zip(seen["history"].tolist(), seen["position"][:, 0].tolist(), strict=True):
        known = world.popularity[world.interactions.of(user)[:-1]]
        assert sorted(world.popularity[row]) == sorted(known)[-5:]  # the five most popular ones


def test_the_others_are_many_and_not_the_neighbours_only(episodes):
    users = shown("other-history", episodes)["position"][:, 0]
    steps = (users - episodes.positions[:, 0]) % episodes.world.n_users
    assert len(np.unique(users)) > 50
    assert steps.min() >= 1
    assert abs(steps.mean() - 100) < 4 * 58 / np.sqrt(len(steps))  # uniform from 1 to 199


def test_two_positions_of_a_user_get_the_histories_of_different_others(episodes):
    seen = shown("other-history", episodes)["position"][:, 0]
    same = sum(len(set(seen[episodes.positions[:, 0] == user])) == 1 for user in set(episodes.positions[:, 0]))
    assert same < 0.1 * len(set(episodes.positions[:, 0]))


@every_ablation
def test_the_slate_stays(episodes, ablation):
    np.testing.assert_array_equal(shown(ablation, episodes)["slate"], episodes.slates)


@every_ablation
def test_what_is_shown_is_the_same_every_time_and_in_every_batch(episodes, ablation):
    whole, again = shown(ablation, episodes), shown(ablation, episodes)
    order = np.random.default_rng(0).permutation(len(episodes))[:40]
    part = shown(ablation, episodes, order)
    for name in whole:
        np.testing.assert_array_equal(whole[name], again[name])
        np.testing.assert_array_equal(whole[name][order], part[name])


@every_ablation
def test_the_observations_of_the_loop_stay_as_they_are(episodes, ablation):
    agent = Ablated(Watching(), ablation)
    agent.fit(episodes.world, episodes.training())
    observations = episodes.observe(np.arange(30))
    before = copy.deepcopy(observations)
    decisions = agent.act(observations)
    agent.learn(observations, decisions, np.zeros(30))
    for name, array in before.items():
        np.testing.assert_array_equal(array, observations[name])
        assert array.dtype == observations[name].dtype


@every_ablation
def test_it_learns_from_whole_histories_and_is_taught_about_those_it_was_shown(episodes, ablation):
    inside = Watching()
    training = episodes.training()
    agent = Ablated(inside, ablation)
    agent.fit(episodes.world, training)
    agent.reset(17)
    assert inside.fitted == (episodes.world, training)
    assert inside.seeds == [17]
    observations = episodes.observe(np.arange(9))
    decisions, rewards = agent.act(observations), np.arange(9.0)
    agent.learn(observations, decisions, rewards)
    taught, same, earned = inside.taught
    assert (same is decisions, earned is rewards) == (True, True)
    for name in observations:
        np.testing.assert_array_equal(taught[name], inside.asked[name])


# What follows


def test_without_or_with_an_other_history_content_says_less_and_popularity_the_same():
    asked = [make_episodes(World.load("tiny"), "uniform", "selection", seed=seed) for seed in range(3)]

    def accuracy(name):
        return np.mean([play(make_agent(name), part).correct.mean() for part in asked])

    assert accuracy("content") > 0.4
    assert accuracy("content@shuffled-history") == accuracy("content")  # it does not mind the order
    assert abs(accuracy("content@other-history") - 0.25) < 0.1
    assert abs(accuracy("content@no-history") - 0.25) < 0.1
    for ablation in ABLATIONS:
        assert accuracy(f"popularity@{ablation}") == accuracy("popularity")


# Names


@every_ablation
def test_a_name_makes_an_agent_inside_of_which_is_the_one_it_names(ablation):
    agent = make_agent(f"content:order=least@{ablation}")
    assert isinstance(agent, Ablated)
    assert agent._ablation == ablation
    assert type(agent._agent) is type(make_agent("content"))
    assert agent._agent._sign == -1


def test_ablations_can_be_joined(episodes):
    agent = make_agent("content@other-history@shuffled-history")
    assert isinstance(agent._agent, Ablated)
    assert len(play(agent, episodes).correct) == len(episodes)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("content@no-histroy", "unknown ablation 'no-histroy'. Did you mean 'no-history'?"),
        ("content:order=least@shuffled", "unknown ablation 'shuffled'. Did you mean 'shuffled-history'?"),
        ("content@no-history:order=least", "Did you mean 'no-history'?"),
        ("content@x", "unknown ablation 'x'. Known: no-history, other-history, shuffled-history."),
        ("content@", "unknown ablation ''. Known: no-history, other-history, shuffled-history."),
        ("constent@no-history", "unknown agent 'constent'. Did you mean 'content'?"),
        ("@no-history", "unknown agent ''"),
    ],
)
def test_an_unknown_ablation_is_told_from_an_unknown_agent(name, message):
    with pytest.raises(UnknownNameError) as error:
        make_agent(name)
    assert message in str(error.value)


def test_an_at_sign_inside_a_name_or_an_option_is_left_alone(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    register_agent("team@home", f"{__name__}:Watching")
    assert isinstance(make_agent("team@home"), Watching)
    with pytest.raises(OptionError, match="has no options, found 'some/model@main'"):  # so it was read as an option
        make_agent("team@home:some/model@main")


# The contract


@pytest.mark.parametrize("name", ["content@no-history", "graph@shuffled-history", "recommender@other-history"])
class TestAblatedAgents(AgentContract):
    @pytest.fixture(autouse=True)
    def _named(self, name):
        self.name = name

    def make(self):
        return make_agent(self.name)
