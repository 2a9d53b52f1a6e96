"""The loop asks in order, checks what comes back, and can go on where it stopped."""

import numpy as np
import pytest

from vrsim.agent import Agent, Decisions
from vrsim.episodes import make_episodes
from vrsim.errors import ActionError, DecisionError
from vrsim.loop import BATCH, play
from vrsim.registry import make_agent
from vrsim.world import World

BATCH_OF = 40  # 100 episodes: two whole batches and a part


@pytest.fixture
def episodes():
    return make_episodes(World.load("tiny"), "uniform", "selection", 3)


class Diary(Agent):
    """Write down everything that happens; answer 0."""

    def __init__(self):
        self.pages = []

    def fit(self, world, training):
        self.pages.append(("fit", training))

    def reset(self, seed):
        self.pages.append(("reset", seed))

    def act(self, observations):
        self.pages.append(("act", observations))
        return Decisions(np.zeros(len(observations["slate"]), np.int64))

    def learn(self, observations, decisions, rewards):
        self.pages.append(("learn", (observations, decisions, rewards)))

    def of(self, kind):
        return [page for name, page in self.pages if name == kind]


class Says(Agent):
    """Return whatever it was made with."""

    def __init__(self, make):
        self.make = make

    def act(self, observations):
        return self.make(len(observations["slate"]))


class RandomWalk(Agent):
    """Random, and different after every reset with another seed."""

    def reset(self, seed):
        self.rng = np.random.default_rng(seed)

    def act(self, observations):
        chance = self.rng.dirichlet(np.ones(4), size=len(observations["slate"]))
        return Decisions(chance.argmax(axis=1), text=[f"{c:.3f}" for c in chance[:, 0]], probability=chance)


class Bandit(RandomWalk):
    """Take the place with the best mean reward so far, with some chance: every batch changes the next."""

    def __init__(self):
        self.reward, self.tries = np.zeros(4), np.ones(4)

    def act(self, observations):
        size = len(observations["slate"])
        best = np.full(size, (self.reward / self.tries).argmax())
        return Decisions(np.where(self.rng.random(size) < 0.5, best, self.rng.integers(4, size=size)))

    def learn(self, observations, decisions, rewards):
        np.add.at(self.reward, decisions.action, rewards)
        np.add.at(self.tries, decisions.action, 1)


def test_every_episode_is_asked_once_in_order(episodes):
    agent = Diary()
    played = play(agent, episodes, batch=BATCH_OF)
    slates = [page["slate"] for page in agent.of("act")]
    assert [len(slate) for slate in slates] == [40, 40, 20]
    np.testing.assert_array_equal(np.concatenate(slates), episodes.slates)
    np.testing.assert_array_equal(played.index, np.arange(len(episodes)))
    for name in ("position", "history", "slate"):
        asked = np.concatenate([page[name] for page in agent.of("act")])
        np.testing.assert_array_equal(asked, episodes.observe(played.index)[name])


def test_observations_hold_no_answer(episodes):
    agent = Diary()
    play(agent, episodes)
    assert set(agent.of("act")[0]) == {"position", "history", "slate"}


def test_fit_comes_first_once_and_sees_training_users_only(episodes):
    agent = Diary()
    play(agent, episodes, batch=BATCH_OF)
    assert [name for name, _ in agent.pages] == ["fit", *["reset", "act", "learn"] * 3]
    training = agent.of("fit")[0]
    assert training.split == "train"
    assert (training.task, training.m, training.protocol) == (episodes.task, episodes.m, episodes.protocol)
    assert not np.isin(training.positions[:, 0], episodes.positions[:, 0]).any()


def test_without_fit_nothing_is_fitted(episodes):
    agent = Diary()
    play(agent, episodes, fit=False)
    assert agent.of("fit") == []


def test_learn_gets_the_questions_the_decisions_and_their_rewards(episodes):
    agent = Diary()
    played = play(agent, episodes, batch=BATCH_OF)
    rewards = np.concatenate([rewards for _, _, rewards in agent.of("learn")])
    np.testing.assert_array_equal(rewards, np.where(episodes.answers == 0, 2.0, 0.0))
    np.testing.assert_array_equal(rewards, played.reward)
    assert [len(decisions) for _, decisions, _ in agent.of("learn")] == [40, 40, 20]
    for asked, (observations, _, _) in zip(agent.of("act"), agent.of("learn"), strict=True):
        for name in ("position", "history", "slate"):
            np.testing.assert_array_equal(observations[name], asked[name])


def test_learn_is_given_what_was_asked_whatever_the_agent_did_to_it(episodes):
    class Vandal(Diary):
        def act(self, observations):
            observations["slate"][:] = 0
            return super().act(observations)

    agent = Vandal()
    play(agent, episodes)
    np.testing.assert_array_equal(agent.of("learn")[0][0]["slate"], episodes.slates)


def test_the_rewards_of_judgments_are_not_told():
    """They come in pairs about one position: the reward of one would give the answer to the other away."""
    judgments = make_episodes(World.load("tiny"), "uniform", "judgment")
    parts, agent, resumed = [], Diary(), Diary()
    play(agent, judgments, batch=80, write=parts.append)
    play(resumed, judgments, batch=80, before=parts[:2])
    assert [name for name, _ in agent.pages] == ["fit", *["reset", "act"] * 3]
    assert [name for name, _ in resumed.pages] == ["fit", "reset", "act"]


def test_every_batch_has_a_seed_of_its_own_that_follows_from_the_seed(episodes):
    def seeds(seed):
        agent = Diary()
        play(agent, episodes, seed, batch=BATCH_OF)
        return agent.of("reset")

    assert len(set(seeds(0))) == 3
    assert seeds(0) == seeds(0)
    assert not set(seeds(0)) & set(seeds(1))


def test_seeds_reach_the_decisions(episodes):
    one, same, other = (play(RandomWalk(), episodes, seed).decisions.action for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_batches_are_written_as_they_come_and_progress_is_told(episodes):
    events = []
    played = play(
        Diary(),
        episodes,
        batch=BATCH_OF,
        write=lambda part: events.append(("write", part.index.tolist())),
        progress=lambda done, total, what: events.append((done, total)),
    )
    assert [event for event in events if event[0] != "write"] == [(40, 100), (80, 100), (100, 100)]
    written = [index for event in events if event[0] == "write" for index in event[1]]
    assert written == played.index.tolist()
    assert events[0][0] == "write"


def test_the_agents_time_is_shared_within_a_batch(episodes):
    seconds = play(Diary(), episodes, batch=BATCH_OF).seconds
    assert (seconds > 0).all()
    assert len(set(seconds[:40])) == 1


def test_words_and_probabilities_are_kept(episodes):
    decisions = play(RandomWalk(), episodes, batch=BATCH_OF).decisions
    assert len(decisions.text) == len(episodes)
    assert decisions.probability.shape == episodes.slates.shape


@pytest.mark.parametrize("agent", [RandomWalk, Bandit, lambda: make_agent("uniform")])
@pytest.mark.parametrize("done", [0, 1, 2, 3])
def test_a_resumed_play_decides_as_an_uninterrupted_one(episodes, agent, done):
    parts = []
    whole = play(agent(), episodes, 5, batch=BATCH_OF, write=parts.append)
    asked = []
    again = play(agent(), episodes, 5, batch=BATCH_OF, before=parts[:done], write=asked.append)
    np.testing.assert_array_equal(again.decisions.action, whole.decisions.action)
    np.testing.assert_array_equal(again.reward, whole.reward)
    np.testing.assert_array_equal(again.index, whole.index)
    assert len(asked) == 3 - done


def test_what_was_played_before_is_learned_and_not_asked_again(episodes):
    parts, agent = [], Diary()
    play(Diary(), episodes, batch=BATCH_OF, write=parts.append)
    play(agent, episodes, batch=BATCH_OF, before=parts[:2])
    assert [name for name, _ in agent.pages] == ["fit", "learn", "learn", "reset", "act", "learn"]
    np.testing.assert_array_equal(agent.of("act")[0]["slate"], episodes.slates[80:])


def test_the_usual_batch_is_that_of_the_records():
    many = make_episodes(World.load("tiny:holdout=3"), "uniform", "judgment", split="train")
    agent = Diary()
    play(agent, many)
    assert [len(page["slate"]) for page in agent.of("act")] == [BATCH, BATCH, len(many) - 2 * BATCH]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda n: Decisions(np.zeros(n + 1, np.int64)), "must return 100 Decisions, found 101"),
        (lambda n: Decisions(np.zeros(1, np.int64)), "must return 100 Decisions, found 1"),
        (lambda n: np.zeros(n, np.int64), "must return 100 Decisions, found ndarray"),
        (lambda n: [0] * n, "must return 100 Decisions, found list"),
        (lambda n: None, "must return 100 Decisions, found NoneType"),
        (lambda n: Decisions(np.full(n, 4)), "returned action 4, expected 0 to 3"),
        (lambda n: Decisions(np.full(n, -1)), "returned action -1, expected 0 to 3"),
    ],
)
def test_what_are_no_decisions_is_refused_with_the_agents_name(episodes, make, message):
    written = []
    with pytest.raises(ActionError, match=f"Says.act {message}"):
        play(Says(make), episodes, write=written.append)
    assert written == []


def test_an_unreadable_decision_needs_an_action_that_exists_too(episodes):
    with pytest.raises(ActionError, match="returned action 9"):
        play(Says(lambda n: Decisions(np.full(n, 9), np.zeros(n, bool))), episodes)


def test_an_unreadable_decision_is_wrong_whatever_it_says(episodes):
    played = play(Says(lambda n: Decisions(episodes.answers, np.zeros(n, bool))), episodes)
    assert not played.correct.any()
    assert not played.reward.any()


@pytest.mark.parametrize(
    "columns",
    [
        {"action": np.zeros(2)},
        {"action": np.zeros(2, bool)},
        {"action": np.zeros((2, 1), np.int64)},
        {"action": 1},
        {"action": ["0", "1"]},
        {"action": [0, 1], "valid": [1, 1]},
        {"action": [0, 1], "valid": [True]},
        {"action": [0, 1], "valid": np.ones((2, 1), bool)},
        {"action": [0, 1], "text": ["one"]},
        {"action": [0, 1], "text": ["one", None]},
        {"action": [0, 1], "probability": np.ones((3, 2))},
        {"action": [0, 1], "probability": np.ones(2)},
    ],
    ids=str,
)
def test_decisions_of_the_wrong_type_or_shape_are_refused(columns):
    with pytest.raises(DecisionError, match="Decisions"):
        Decisions(**columns)


@pytest.mark.parametrize("wrong", [-0.01, 1.01, np.nan, np.inf, -np.inf])
def test_a_probability_is_a_number_between_0_and_1(wrong):
    with pytest.raises(DecisionError, match="between 0 and 1 and not be NaN"):
        Decisions([0, 1], probability=[[0.5, 0.5], [0.5, wrong]])
    assert Decisions([0, 1], probability=[[0, 1], [1, 0]]).probability.dtype == float


def test_decisions_are_arrays_whatever_they_were_made_of():
    decisions = Decisions([0, 1], valid=[True, False], text=("a", "b"), probability=[[0.5, 0.5], [1.0, 0.0]])
    assert decisions.action.dtype == np.int64
    assert decisions.valid.dtype == bool
    assert decisions.probability.shape == (2, 2)
    assert Decisions(np.array([1], np.int8)).valid.tolist() == [True]
