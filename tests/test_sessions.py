"""Sessions: patience, boredom, return, what is shown, and what the recommender is told."""

from dataclasses import replace

import numpy as np
import pytest

from vrsim.agent import Agent, Decisions
from vrsim.recommender import rank_unseen
from vrsim.registry import register_agent
from vrsim.session import FEATURES, Mood, SessionConfig, Sessions
from vrsim.session.features import genre_names
from vrsim.simulated_user import SimulatedUser
from vrsim.testing import without_future
from vrsim.world import World

TINY = World.load("tiny")
CALM = Mood(boredom=0.0, loyalty=0.0)


class Fan(Agent):
    """Picks the first item of a slate and says Yes to everything, or No; what it says cannot always be read."""

    def __init__(self, says: str = "yes") -> None:
        self.says = says

    def act(self, observations):
        size = len(observations["slate"])
        if self.says == "error":
            raise RuntimeError("the model is gone")
        picks = observations["slate"].shape[1] > 1
        action = np.full(size, 0 if picks else int(self.says != "no"))
        chance = np.full((size, 1), 0.9) if self.says == "mumble" and not picks else None
        return Decisions(action, np.full(size, self.says != "mumble" or picks), probability=chance)

    def wish(self, observations):
        return ["Something with space, please"] * len(observations["slate"]) if self.says == "no" else None


@pytest.fixture
def fan(monkeypatch):
    from vrsim import registry

    monkeypatch.setattr(registry, "_registered", {})
    register_agent("fan", f"{__name__}:Fan")
    return lambda says="yes", world=TINY: SimulatedUser(f"fan:says={says}", world)


def begun(user, config, size=5):
    sessions = Sessions(user, config, size)
    for row in range(size):
        sessions.seed(row, np.random.default_rng(row))
    sessions.begin(np.arange(size))
    return sessions


def shown(sessions, *places, rows=None):
    rows = np.arange(sessions.size) if rows is None else rows
    return sessions.show(rows, np.tile(places or np.arange(sessions.config.slate), (len(rows), 1)))


def feature(sessions, name):
    return sessions.observe()["features"][..., FEATURES.index(name)]


def test_who_says_no_leaves_when_patience_is_gone(fan):
    sessions = begun(fan("no"), SessionConfig(mood=replace(CALM, patience=3)))
    left = [shown(sessions).left for _ in range(3)]
    np.testing.assert_array_equal(left, np.repeat([[False], [False], [True]], 5, axis=1))


def test_consumption_gives_patience_back_up_to_the_start(fan):
    sessions = begun(fan(), SessionConfig(mood=replace(CALM, patience=2.5, relief=1)))
    turn = shown(sessions)
    assert turn.consumed.all()
    np.testing.assert_array_equal(sessions.patience, 2.5)


def test_without_boredom_every_yes_is_consumption_and_the_history_grows_by_it(fan):
    sessions = begun(fan(), SessionConfig(mood=CALM))
    before = sessions.observe()
    turn = shown(sessions, 4, 1, 2, 3, 0)
    after = sessions.observe()
    np.testing.assert_array_equal(turn.item, before["candidates"][:, 4])  # a fan picks the first of the slate
    np.testing.assert_array_equal(after["history"][:, -1], turn.item)
    np.testing.assert_array_equal(after["history"][:, :-1], before["history"][:, 1:])
    np.testing.assert_array_equal(after["response"][:, :2], np.stack([turn.item, turn.consumed], axis=1))


def test_complete_boredom_ends_the_interest_in_what_was_shown_before(fan):
    sessions = begun(fan(), SessionConfig(mood=replace(CALM, boredom=1.0, patience=50)), size=40)
    first, rest = shown(sessions), [shown(sessions, 1, 2, 3, 4, 5) for _ in range(4)]
    assert first.consumed.all()
    assert not rest[0].consumed.any()  # place 1 was shown before, whatever moved up
    assert not np.concatenate([turn.consumed for turn in rest]).any()


def test_interest_falls_with_repetitions_as_declared(fan):
    mood = replace(CALM, boredom=0.5, patience=50)
    sessions = begun(fan(), SessionConfig(mood=mood, no_repeat=False), size=100)
    shares = []
    for _ in range(3):
        lately = feature(sessions, "recent")[:, 0] * mood.memory
        turns = feature(sessions, "shown")[:, 0] * 10
        turn = shown(sessions)
        np.testing.assert_allclose(turn.satisfaction, 0.5 ** (lately + turns), rtol=1e-6)
        shares.append(turn.consumed.mean() - turn.satisfaction.mean())
    assert np.abs(shares).max() < 0.15  # consumption follows the interest


def test_a_user_who_comes_back_is_rested(fan):
    mood = Mood(patience=1, boredom=0.9, loyalty=1.0)
    sessions = begun(fan(), SessionConfig(mood=mood, no_repeat=False), size=200)
    shown(sessions)
    turn = shown(sessions)
    back = turn.returned
    assert back.any()
    assert not back.all()
    np.testing.assert_array_equal(turn.gone, turn.left & ~back)
    np.testing.assert_array_equal(sessions.patience[back], 1)
    assert feature(sessions, "recent")[back].max() == feature(sessions, "shown")[back].max() == 0
    np.testing.assert_array_equal(sessions.observe()["response"][:, 2], back)


def test_the_chance_to_come_back_is_loyalty_times_the_share_of_consumption():
    mood = Mood(loyalty=0.8)
    np.testing.assert_allclose(mood.returns(np.array([0, 1, 4]), np.array([4, 2, 4])), [0, 0.4, 0.8])


def test_consumed_items_leave_the_candidates_and_the_next_of_the_ranking_follows(fan):
    sessions = begun(fan(), SessionConfig(mood=CALM))
    start = sessions.pool._source
    for turns in range(1, 6):
        turn = shown(sessions, 3, 7, 0, 1, 2)
        candidates = sessions.observe()["candidates"]
        assert not (candidates == turn.item[:, None]).any()
        ranked = TINY.candidates[start, : 20 + turns]
        for row in range(5):
            taken = set(sessions._taken[row]) - {0}
            np.testing.assert_array_equal(candidates[row], [item for item in ranked[row] if item not in taken])


def test_with_repeats_consumed_items_stay_and_are_marked(fan):
    sessions = begun(fan(), SessionConfig(mood=CALM, no_repeat=False))
    before = sessions.observe()["candidates"]
    shown(sessions, 3, 7, 0, 1, 2)
    np.testing.assert_array_equal(sessions.observe()["candidates"], before)
    np.testing.assert_array_equal(feature(sessions, "consumed"), np.tile(np.arange(20) == 3, (5, 1)))


def test_rescoring_ranks_as_the_recommender_does_with_the_grown_history(fan):
    config = SessionConfig(mood=CALM, rescore=True, history=50)
    sessions = begun(fan(), config)
    start = sessions.pool._source.copy()
    items = shown(sessions).item
    users, t = sessions.position.T
    for row in range(5):
        scores = TINY.recommender.score(users[[row]], sessions.history[[row]])[0].astype(float)
        scores[[0, items[row], *TINY.history(int(users[row]), int(t[row]))]] = -np.inf
        expected = np.argsort(-scores, kind="stable")[:20]
        np.testing.assert_array_equal(sessions.observe()["candidates"][row], expected)
    ranked = rank_unseen(TINY.recommender, TINY.interactions, TINY.n_items, users, t, 20)[0]
    np.testing.assert_array_equal(ranked, TINY.candidates[start, :20])  # so what it ranked before was the same order


def test_the_features_are_what_they_say(fan):
    sessions = begun(fan(), SessionConfig(mood=replace(CALM, patience=99)), size=8)
    slates = [shown(sessions, *places).slate for places in ((0, 1, 2, 3, 4), (5, 1, 0, 2, 9), (3, 1, 0, 2, 9))]
    seen, genres = sessions.observe(), TINY.catalog.genres
    names = genre_names(TINY.catalog)
    for row in range(8):
        consumed = [int(slate[row, 0]) for slate in slates]
        history = {g for item in seen["history"][row].tolist() for g in genres[item]}
        for place, item in enumerate(seen["candidates"][row].tolist()):
            own = genres[item]
            lately = sum(len({*own} & {*genres[other]}) / len(own) for other in consumed)
            turns = sum(item in slate[row] for slate in slates)
            popularity = np.log1p(TINY.popularity[item]) / np.log1p(TINY.popularity.max())
            expected = [1 - place / 20, popularity, len({*own} & history) / len(own), lately / 10, turns / 10, 0, 0]
            np.testing.assert_allclose(seen["features"][row, place], expected, rtol=1e-5)
    assert set(names) == {g for own in genres for g in own}


def test_places_that_cannot_be_shown_are_filled_by_rank_and_counted(fan):
    sessions = begun(fan("no"), SessionConfig(mood=replace(CALM, patience=9)))
    before = sessions.observe()["candidates"]
    turn = shown(sessions, 7, 7, 1, 1, 1)
    np.testing.assert_array_equal(turn.repaired, 3)
    np.testing.assert_array_equal(turn.slate, before[:, [7, 0, 1, 2, 3]])


def test_empty_places_are_filled_too_and_too_few_candidates_end_the_session(fan):
    world = World.load("tiny:candidates=6")
    sessions = begun(fan(world=world), SessionConfig(candidates=6, mood=CALM))
    turns = [shown(sessions, 5, 4, 3, 2, 1) for _ in range(2)]
    np.testing.assert_array_equal(turns[0].exhausted, False)
    np.testing.assert_array_equal(turns[1].repaired, 1)  # place 5 is empty by now
    np.testing.assert_array_equal(turns[1].exhausted, True)
    assert (np.sort(turns[1].slate, axis=1)[:, 0] > 0).all()


def test_answers_that_cannot_be_read_are_turns_without_consumption(fan):
    sessions = begun(fan("mumble"), SessionConfig(mood=replace(CALM, patience=2)))
    turn = shown(sessions)
    assert not turn.valid.any()
    assert not turn.consumed.any()
    assert not turn.satisfaction.any()
    np.testing.assert_array_equal(sessions.patience, 1)


def test_an_error_of_the_user_agent_ends_the_session(fan):
    sessions = begun(fan("error"), SessionConfig())
    with pytest.raises(RuntimeError, match="the model is gone"):
        shown(sessions)


def test_who_leaves_says_what_would_have_kept_them(fan):
    sessions = begun(fan("no"), SessionConfig(mood=replace(CALM, patience=1)))
    assert sessions.instructions == [""] * 5
    shown(sessions)
    assert sessions.instructions == ["Something with space, please"] * 5
    wished = genre_names(TINY.catalog)[sessions.observe()["response"][0, 3] - 1]
    assert wished == "Space"
    spacey = [["Space" in TINY.catalog.genres[i] for i in row] for row in sessions.observe()["candidates"].tolist()]
    np.testing.assert_array_equal(feature(sessions, "wished"), spacey)


def test_a_user_without_words_wishes_for_the_genre_that_was_served_least():
    sessions = begun(SimulatedUser("constant:answer=no", TINY), SessionConfig(mood=replace(CALM, patience=1)))
    slates, genres = shown(sessions).slate, TINY.catalog.genres
    for row, wish in enumerate(sessions.observe()["response"][:, 3].tolist()):
        had = [genres[item] for item in sessions.history[row].tolist() if item]
        served = [genres[item] for item in slates[row].tolist()]
        lack = {
            g: np.mean([g in own for own in had]) * np.mean([g not in own for own in served])
            for g in genre_names(TINY.catalog)
        }
        assert lack[genre_names(TINY.catalog)[wish - 1]] == max(lack.values())
        assert sessions.instructions[row] == f"I would have stayed for more {genre_names(TINY.catalog)[wish - 1]}."


@pytest.mark.parametrize("agent", ["content", "popularity", "recommender", "graph"])
def test_users_know_nothing_of_what_they_will_really_do(agent):
    user = SimulatedUser(agent, TINY)
    sessions = begun(user, SessionConfig(), 100)
    other = SimulatedUser(agent, without_future(TINY, sessions.position))
    blind = Sessions(other, SessionConfig(), 100)
    for row in range(100):
        blind.seed(row, np.random.default_rng(row))
    blind.begin(np.arange(100))
    for _ in range(4):
        one, two = shown(sessions), shown(blind)
        for name in ("slate", "item", "consumed", "satisfaction", "left"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_rewards_are_three_readings_of_one_turn(fan):
    turn = shown(begun(fan(), SessionConfig(mood=Mood(patience=1, boredom=0.5, loyalty=1)), size=30))
    np.testing.assert_array_equal(turn.reward("consumption"), turn.consumed)
    np.testing.assert_array_equal(turn.reward("satisfaction"), turn.satisfaction)
    np.testing.assert_array_equal(turn.reward("retention"), turn.returned)


def test_a_session_does_not_depend_on_the_others():
    user, config = SimulatedUser("popularity", TINY), SessionConfig()
    together, alone = begun(user, config, 6), Sessions(user, config, 1)
    alone.seed(0, np.random.default_rng(4))
    alone.begin(np.array([0]))
    for _ in range(4):
        rows = np.array([1, 4])
        both, one = shown(together, rows=rows), shown(alone)
        assert (both.item[1], both.consumed[1], both.left[1]) == (one.item[0], one.consumed[0], one.left[0])
        np.testing.assert_array_equal(together.observe(rows)["features"][1], alone.observe()["features"][0])
