"""LinUCB: the arithmetic against plain definitions, and that it learns what it is rewarded for."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from vrsim.agent import Agent, Decisions
from vrsim.baselines.bandit import Bandit, LinUCB
from vrsim.baselines.features import NAMES
from vrsim.episodes import make_episodes
from vrsim.errors import OptionError
from vrsim.loop import play
from vrsim.registry import make_agent
from vrsim.world import World


@pytest.fixture(scope="module")
def world() -> World:
    return World.load("tiny")


def questions(world: World, count: int, width: int = 5, seed: int = 0) -> dict[str, np.ndarray]:
    """Random slates for random held-out positions."""
    rng = np.random.default_rng(seed)
    users = rng.integers(world.n_users, size=count)
    t = world.interactions.lengths[users] - 1
    slates = np.stack([rng.permutation(world.n_items)[:width] + 1 for _ in range(count)])
    history = world.interactions.histories(users, t, 20)
    return {"position": np.stack([users, t], axis=1), "history": history, "slate": slates}


def some(observations: dict[str, np.ndarray], rows: slice) -> dict[str, np.ndarray]:
    return {name: array[rows] for name, array in observations.items()}


def fitted(world: World, task: str = "selection", **options) -> Bandit:
    agent = Bandit(**options)
    agent.fit(world, make_episodes(world, "uniform", task, split="train"))
    return agent


# The model


def data(rows: int = 50, size: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, size)), rng.normal(size=rows)


def test_the_estimate_is_ridge_regression():
    x, reward = data()
    model = LinUCB(4)
    model.update(x, reward)
    ridge = Ridge(alpha=1.0, fit_intercept=False).fit(x, reward)
    np.testing.assert_allclose(model.estimate(x), ridge.predict(x))


def test_the_width_is_that_of_the_paper_and_shrinks_with_what_is_known():
    x, reward = data()
    model = LinUCB(4)
    np.testing.assert_allclose(model.width(x), np.linalg.norm(x, axis=1))  # A = I
    model.update(x, reward)
    inverse = np.linalg.inv(np.eye(4) + sum(np.outer(row, row) for row in x))
    np.testing.assert_allclose(model.width(x), [np.sqrt(row @ inverse @ row) for row in x])
    assert (model.width(x) < np.linalg.norm(x, axis=1)).all()


def test_rows_learned_in_parts_are_rows_learned_at_once():
    x, reward = data()
    one, many = LinUCB(4), LinUCB(4)
    one.update(x, reward)
    for part in np.array_split(np.arange(50), 7):
        many.update(x[part], reward[part])
    np.testing.assert_allclose(one.estimate(x), many.estimate(x))
    np.testing.assert_allclose(one.width(x), many.width(x))


def test_slates_are_estimated_item_by_item():
    x, reward = data(60)
    model = LinUCB(4)
    model.update(x, reward)
    np.testing.assert_array_equal(model.estimate(x.reshape(12, 5, 4)).ravel(), model.estimate(x))
    np.testing.assert_array_equal(model.width(x.reshape(12, 5, 4)).ravel(), model.width(x))


# The agent


def test_it_learns_a_known_linear_rule_online_and_its_regret_falls(world):
    agent = fitted(world)
    rule = np.zeros(len(NAMES))
    rule[[NAMES.index("popularity"), NAMES.index("years"), NAMES.index("genres")]] = -2.0, 1.0, 0.5
    observations = questions(world, 2000)
    worth = agent._features.standardised(observations) @ rule  # float (2000, 5): what each item earns
    regret = []
    for start in range(0, 2000, 50):
        rows = slice(start, start + 50)
        decisions = agent.act(some(observations, rows))
        earned = np.take_along_axis(worth[rows], decisions.action[:, None], axis=1)[:, 0]
        regret.append(float((worth[rows].max(axis=1) - earned).mean()))
        agent.learn(some(observations, rows), decisions, earned)
    assert np.mean(regret[-10:]) < 0.1 * regret[0]
    assert np.mean(regret[-10:]) < 0.5 * np.mean(regret[:10])
    estimate = agent._model.estimate(agent._inputs(questions(world, 500, seed=1)))
    truth = agent._features.standardised(questions(world, 500, seed=1)) @ rule
    assert (estimate.argmax(axis=1) == truth.argmax(axis=1)).mean() > 0.9


def test_it_learns_from_nothing_but_the_chosen_items(world):
    observations, place = questions(world, 60), np.full(60, 2)
    others = np.where(np.arange(5) == 2, observations["slate"], questions(world, 60, seed=1)["slate"])
    one, other, none = (fitted(world) for _ in range(3))
    rewards = np.tile([2.0, 0.0], 30)
    one.learn(observations, Decisions(place), rewards)
    other.learn({**observations, "slate": others}, Decisions(place), rewards)
    asked = questions(world, 300, seed=2)
    np.testing.assert_array_equal(one.act(asked).action, other.act(asked).action)
    assert (one.act(asked).action != none.act(asked).action).any()


def test_asking_alone_teaches_nothing(world):
    agent, observations = fitted(world), questions(world, 200)
    first = agent.act(observations).action
    agent.reset(5)
    np.testing.assert_array_equal(agent.act(observations).action, first)


class Counting(Agent):
    """A bandit that counts how often it is taught."""

    def __init__(self):
        self.bandit, self.taught = Bandit(), 0

    def fit(self, world, training):
        self.bandit.fit(world, training)

    def act(self, observations):
        return self.bandit.act(observations)

    def learn(self, observations, decisions, rewards):
        self.taught += len(rewards)
        self.bandit.learn(observations, decisions, rewards)


def test_it_goes_on_learning_from_selections_only(world):
    for task, taught in (("selection", 100), ("judgment", 0)):
        agent, episodes = Counting(), make_episodes(world, "uniform", task)
        play(agent, episodes, batch=20)
        assert agent.taught == taught


def test_what_is_learned_while_playing_changes_later_answers(world):
    episodes = make_episodes(world, "uniform", "selection", 4)
    everything = episodes.observe(np.arange(len(episodes)))
    learned, fresh = Bandit(), fitted(world)
    play(learned, episodes, batch=10)
    fresh.fit(world, episodes.training())
    asked = questions(world, 500)
    assert (learned.act(asked).action != fresh.act(asked).action).any()
    assert len(fresh.act(everything)) == len(episodes)


def test_a_run_that_stopped_goes_on_as_if_it_had_not(world):
    episodes = make_episodes(world, "uniform", "selection", 3)
    parts = []
    whole = play(Bandit(), episodes, 7, batch=10, write=parts.append)
    for done in (1, 4, 9):
        resumed = play(Bandit(), episodes, 7, batch=10, before=parts[:done])
        np.testing.assert_array_equal(resumed.decisions.action, whole.decisions.action)
    forgetful = play(Bandit(), episodes, 7, batch=len(episodes))
    assert (forgetful.decisions.action != whole.decisions.action).any()  # otherwise nothing above was shown


def test_it_beats_chance_by_far_where_there_is_something_to_know(world):
    assert play(Bandit(), make_episodes(world, "uniform", "selection", 3)).correct.mean() > 0.45
    assert play(Bandit(), make_episodes(world, "uniform", "judgment")).correct.mean() > 0.65


def test_a_judgment_is_the_ridge_regression_of_the_training_answers(world):
    episodes = make_episodes(world, "uniform", "judgment")
    training, agent = episodes.training(), Bandit()
    agent.fit(world, training)
    x, asked = (
        np.c_[agent._features.standardised(e.observe(np.arange(len(e))))[:, 0], np.ones(len(e))]
        for e in (training, episodes)
    )
    chance = Ridge(alpha=1.0, fit_intercept=False).fit(x, training.answers).predict(asked)
    decisions = agent.act(episodes.observe(np.arange(len(episodes))))
    np.testing.assert_allclose(decisions.probability[:, 0], np.clip(chance, 0, 1), atol=1e-9)
    np.testing.assert_array_equal(decisions.action, chance >= 0.5)


def test_fitting_again_forgets(world):
    agent, other = fitted(world), fitted(world)
    agent.learn(questions(world, 50), Decisions(np.zeros(50, int)), np.full(50, 2.0))
    agent.fit(world, make_episodes(world, "uniform", "selection", split="train"))
    asked = questions(world, 300, seed=1)
    np.testing.assert_array_equal(agent.act(asked).action, other.act(asked).action)


def test_alpha_weighs_what_is_unknown(world):
    asked = questions(world, 300)
    greedy, curious = fitted(world, alpha=0), fitted(world, alpha=1e6)
    x = curious._inputs(asked)
    np.testing.assert_array_equal(curious.act(asked).action, curious._model.width(x).argmax(axis=1))
    np.testing.assert_array_equal(
        greedy.act(asked).action, greedy._model.estimate(greedy._inputs(asked)).argmax(axis=1)
    )


@pytest.mark.parametrize("alpha", ["-1", "x", "True", "None"])
def test_a_bad_alpha_is_refused(alpha):
    with pytest.raises(OptionError, match="alpha must be a number from 0"):
        make_agent(f"bandit:alpha={alpha}")
