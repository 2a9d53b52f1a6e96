"""The conformance suite of agents can fail: whoever breaks a rule is caught by the test of that name."""

import numpy as np
import pytest

from vrsim.agent import Agent, Decisions, n_options
from vrsim.episodes import make_episodes
from vrsim.testing import AgentContract, without_future
from vrsim.world import World


def rules(suite: type) -> list[str]:
    return [name for name in dir(suite) if name.startswith("test_")]


# One that keeps every rule, and others that break one each


class Honest(Agent):
    """Random from the seed, with probabilities."""

    world: World
    rng = np.random.default_rng(0)

    def fit(self, world, training):
        self.world = world

    def reset(self, seed):
        self.rng = np.random.default_rng(seed)

    def act(self, observations):
        size, options = len(observations["slate"]), n_options(observations)
        chance = np.full(observations["slate"].shape, 1 / options)
        return Decisions(self.rng.integers(options, size=size), probability=chance)


class NoAgent:
    fit, reset, act, learn = Honest.fit, Honest.reset, Honest.act, Honest.learn


class TooHigh(Honest):
    def act(self, observations):
        return Decisions(np.full(len(observations["slate"]), n_options(observations)))


class Negative(Honest):
    def act(self, observations):
        return Decisions(np.full(len(observations["slate"]), -1))


class OneTooMany(Honest):
    def act(self, observations):
        return Decisions(np.zeros(len(observations["slate"]) + 1, np.int64))


class BareArray(Honest):
    def act(self, observations):
        return super().act(observations).action


class Squeezes(Honest):
    def act(self, observations):
        return Decisions(np.squeeze(super().act(observations).action))


class OddsForChances(Honest):
    def act(self, observations):
        return Decisions(super().act(observations).action, probability=np.full(observations["slate"].shape, 1.5))


class DoesNotAddUp(Honest):
    def act(self, observations):
        return Decisions(super().act(observations).action, probability=np.full(observations["slate"].shape, 0.6))


class BelowZero(Honest):
    def act(self, observations):
        return Decisions(super().act(observations).action, probability=np.full(observations["slate"].shape, -0.1))


class BothAnswers(Honest):
    def act(self, observations):
        action = super().act(observations).action
        return Decisions(
            action, probability=np.full((len(action), n_options(observations)), 1 / n_options(observations))
        )


class IgnoresTheSeed(Honest):
    def reset(self, seed):
        self.rng = np.random.default_rng()


class NeverResets(Honest):
    def reset(self, seed):
        pass


class SortsTheSlate(Honest):
    def act(self, observations):
        observations["slate"].sort(axis=1)
        observations["history"][:] = 0
        return super().act(observations)


class ComparesNeighbours(Honest):
    """Yes to an item that is more popular than the one before it; with several items their total decides."""

    def act(self, observations):
        likes = self.world.popularity[observations["slate"]].sum(axis=1)
        return Decisions((likes > np.roll(likes, 1)).astype(np.int64))


class ComparesTheQuestionsOfAUser(Honest):
    """Judgments come in pairs: Yes to the more popular item of the two, Yes to an item that stands alone."""

    def act(self, observations):
        slate, user = observations["slate"], observations["position"][:, 0]
        if slate.shape[1] > 1:
            return super().act(observations)
        likes = self.world.popularity[slate[:, 0]]
        best = [likes[user == one].max() for one in user]
        return Decisions((likes == best).astype(np.int64))


class ComparesSlates(Honest):
    """Take the item that stands in the fewest slates of the batch: negatives repeat, targets do not."""

    def act(self, observations):
        slate = observations["slate"]
        if slate.shape[1] == 1:
            return super().act(observations)
        return Decisions(np.bincount(slate.ravel())[slate].argmin(axis=1))


class LooksAtTheAnswer(Honest):
    def pick(self, likes):
        return Decisions(likes[:, 0].astype(np.int64) if likes.shape[1] == 1 else likes.argmax(axis=1))

    def act(self, observations):
        users, t = observations["position"].T
        interactions = self.world.interactions
        return self.pick(interactions.items[interactions.offsets[users] + t][:, None] == observations["slate"])


class LooksAtWhatAUserEverTook(LooksAtTheAnswer):
    def act(self, observations):
        users = observations["position"][:, :1]
        return self.pick(self.world.interactions.contains(users, observations["slate"]))


class CountsTheFuture(LooksAtTheAnswer):
    def act(self, observations):
        counts = np.bincount(self.world.interactions.items, minlength=self.world.n_items + 1)
        scores = counts[observations["slate"]]
        return self.pick(scores % 2 if scores.shape[1] == 1 else scores)


class LooksAtTheRankOfTheAnswer(LooksAtTheAnswer):
    def act(self, observations):
        row = (observations["position"][:, 0] + 1) * self.world.holdout - 1
        rank = self.world.target_ranks[row]
        listed = np.minimum(rank, self.world.candidates.shape[1]) - 1
        return self.pick(self.world.candidates[row, listed][:, None] == observations["slate"])


class CannotLearn(Honest):
    def learn(self, observations, decisions, rewards):
        raise ValueError("nothing more fits in here")


BROKEN_AGENTS = {
    "test_is_an_agent": [NoAgent],
    "test_answers_every_question_with_an_action_that_exists": [TooHigh, Negative, OneTooMany, BareArray],
    "test_answers_a_single_question": [Squeezes, OneTooMany],
    "test_probabilities_are_probabilities": [OddsForChances, DoesNotAddUp, BelowZero, BothAnswers],
    "test_equal_seeds_and_observations_give_equal_decisions": [IgnoresTheSeed, NeverResets],
    "test_does_not_change_the_observations": [SortsTheSlate],
    "test_a_decision_does_not_depend_on_the_other_questions_of_the_batch": [
        ComparesNeighbours,
        ComparesTheQuestionsOfAUser,
        ComparesSlates,
    ],
    "test_does_not_read_the_future_of_the_users_it_is_asked_about": [
        LooksAtTheAnswer,
        LooksAtWhatAUserEverTook,
        CountsTheFuture,
        LooksAtTheRankOfTheAnswer,
    ],
    "test_survives_learning": [CannotLearn],
}


def suite_of(agent: type) -> AgentContract:
    class Suite(AgentContract):
        def make(self):
            return agent()

    return Suite()


def test_every_rule_for_agents_has_someone_who_breaks_it():
    assert sorted(BROKEN_AGENTS) == rules(AgentContract)


@pytest.mark.parametrize("rule", rules(AgentContract))
def test_an_honest_agent_passes(rule):
    getattr(suite_of(Honest), rule)()


@pytest.mark.parametrize(
    ("rule", "agent"),
    [pytest.param(rule, agent, id=agent.__name__) for rule, agents in BROKEN_AGENTS.items() for agent in agents],
)
def test_an_agent_that_breaks_a_rule_is_caught(rule, agent):
    with pytest.raises((AssertionError, TypeError, ValueError, AttributeError)):
        getattr(suite_of(agent), rule)()


def test_a_suite_without_an_agent_says_what_to_write():
    with pytest.raises(TypeError, match=r"make\(\)"):
        AgentContract().test_is_an_agent()


def test_a_world_without_future_differs_from_the_first_position_of_each_user_on():
    world = World.load("tiny:holdout=2")
    lengths, last = world.interactions.lengths, world.n_users - 1
    begin = {0: lengths[0] - 2, 7: lengths[7] - 1, last: 3}
    positions = np.array([[0, lengths[0] - 1], [last, 3], [7, begin[7]], [0, begin[0]], [last, 4], [7, begin[7]]])
    other = without_future(world, positions)
    for user in range(world.n_users):
        mine, theirs = world.interactions.of(user), other.interactions.of(user)
        t = begin.get(user, lengths[user])
        np.testing.assert_array_equal(mine[:t], theirs[:t])
        assert not set(theirs[t:].tolist()) & set(mine.tolist())
        assert len(set(theirs.tolist())) == len(theirs)
    np.testing.assert_array_equal(world.candidates, other.candidates)
    assert not other.target_ranks.any()


def test_a_world_without_future_leaves_all_that_a_recommender_may_learn_from():
    world = World.load("tiny:holdout=2")
    users, t = world.held_out
    assert world.popularity.any()  # computed before, and not to be taken over
    other = without_future(world, np.stack([users, t], axis=1)[:80])
    np.testing.assert_array_equal(world.popularity, other.popularity)
    histories = world.interactions.histories(users, t, 50)
    mine, theirs = (w.recommender.score(users, histories) for w in (world, other))
    np.testing.assert_array_equal(mine, theirs)
    assert other.recommender is not world.recommender


def test_making_a_world_without_future_leaves_the_world_alone():
    world = World.load("tiny")
    before, popularity = world.interactions.items.copy(), world.popularity
    without_future(world, np.stack(world.held_out, axis=1))
    np.testing.assert_array_equal(world.interactions.items, before)
    assert world.target_ranks.all()
    assert world.popularity is popularity
    assert make_episodes(world, "uniform", "selection").world is world
