"""Who is asked, what becomes of the answers, and recommenders that are trained again with it."""

from dataclasses import replace

import numpy as np
import pytest

from vrsim.augmentation.asking import (
    DISLIKE,
    LIKE,
    UNREADABLE,
    VARIANTS,
    Answers,
    additions,
    asked_users,
    read_answers,
    shown_items,
)
from vrsim.augmentation.retraining import Retraining, retrain
from vrsim.building import BuildConfig, build
from vrsim.episodes import split_users
from vrsim.errors import EpisodeError, OptionError, WorldError
from vrsim.interactions import Interactions
from vrsim.protocols import get_protocol
from vrsim.recommender import ItemTransitions
from vrsim.recommender.additions import Additions, with_additions
from vrsim.simulated_user import Judged
from vrsim.world import World

UNIFORM = get_protocol("uniform")
DRAWN = ("random", "random of shown")
AS_MANY = ("random", "popular", "first", "random of shown")


@pytest.fixture(scope="module")
def answers(tiny) -> Answers:
    """Made-up answers of thirty users, all kinds of them."""
    users = asked_users(tiny, UNIFORM, "30")
    said = np.random.default_rng(0).integers(UNREADABLE, LIKE + 1, (30, 10)).astype(np.int8)
    said[0], said[1] = LIKE, DISLIKE
    return Answers(users, shown_items(tiny, users, 10), said)


def of(added: Additions, user: int) -> list[int]:
    return added.items[added.users == user].tolist()


# Who is asked


def test_only_test_users_are_asked_and_cold_ones_have_the_fewest_interactions(tiny):
    test = split_users(tiny, UNIFORM, "test")
    lengths = tiny.interactions.lengths
    cold = asked_users(tiny, UNIFORM, "cold:40")
    assert len(cold) == 40
    assert {*cold} < {*test}
    assert lengths[cold].max() <= lengths[np.setdiff1d(test, cold)].min()
    drawn = asked_users(tiny, UNIFORM, "all:40")
    assert {*drawn} < {*test}
    assert lengths[drawn].max() > lengths[cold].max()
    np.testing.assert_array_equal(asked_users(tiny, UNIFORM, "40"), drawn)
    np.testing.assert_array_equal(asked_users(tiny, UNIFORM, "cold:8000"), test)


def test_among_users_with_as_many_interactions_it_is_drawn_who_is_asked(tiny):
    one, other = (asked_users(tiny, UNIFORM, "cold:40", seed) for seed in (0, 1))
    assert {*one} != {*other}
    assert sorted(tiny.interactions.lengths[one]) == sorted(tiny.interactions.lengths[other])
    assert {*asked_users(tiny, UNIFORM, "cold:20")} < {*one}


@pytest.mark.parametrize("users", ["cold", "cold:0", "0", "warm:5", "-3", "cold:5.5", "", "all:"])
def test_users_that_cannot_be_read_are_refused(tiny, users):
    with pytest.raises(OptionError, match="users must be cold:N, all:N or N, with N from 1, found"):
        asked_users(tiny, UNIFORM, users)


def test_the_items_shown_are_the_recommenders_first_ones_before_the_last_item():
    world = World.load("tiny:holdout=3")
    users = np.array([0, 7, 150])
    shown = shown_items(world, users, 10)
    for row, user in enumerate(users):
        assert not {*shown[row]} & {*world.history(user)}
    ranked = world.recommender.score(
        users, world.interactions.histories(users, world.interactions.lengths[users] - 1, 50)
    )
    np.testing.assert_array_equal(shown[:, 0], [max({*range(1, 161)} - {*world.history(u)}, key=lambda i: (r[i], -i))
                                                for u, r in zip(users, ranked, strict=True)])  # fmt: skip
    with pytest.raises(EpisodeError, match="knows 5 candidates of some users, 10 are to be shown"):
        shown_items(World.load("tiny:candidates=5"), users, 10)


# What is said


def test_yes_is_a_like_and_what_cannot_be_read_is_nothing():
    judged = Judged(np.array([[True, False, False]]), np.array([[True, True, False]]), None)
    assert read_answers(judged).tolist() == [[LIKE, DISLIKE, UNREADABLE]]


def test_likes_can_be_the_most_probable_items():
    valid = np.array([[True, True, True, False]])
    judged = Judged(valid, valid, np.array([[0.6, 0.9, 0.6, 0.95]]))
    assert read_answers(judged, 1).tolist() == [[DISLIKE, LIKE, DISLIKE, UNREADABLE]]
    assert read_answers(judged, 2).tolist() == [[LIKE, LIKE, DISLIKE, UNREADABLE]]
    assert read_answers(judged, 4).tolist() == [[LIKE, LIKE, LIKE, UNREADABLE]]
    with pytest.raises(OptionError, match="tells no probabilities: leave likes at 0"):
        read_answers(replace(judged, probability=None), 2)


# What is added


def test_answers_become_interactions_in_the_order_of_the_recommender(tiny, answers):
    for variant, wanted in {
        "likes": answers.said == LIKE,
        "dislikes": answers.said == DISLIKE,
        "likes and dislikes": answers.said != UNREADABLE,
        "nothing added": np.zeros_like(answers.said, bool),
    }.items():
        added = additions(tiny, answers, variant)
        for row, user in enumerate(answers.users):
            assert of(added, user) == answers.shown[row][wanted[row]].tolist()


@pytest.mark.parametrize("variant", AS_MANY)
def test_controls_add_as_many_interactions_for_each_user_as_likes(tiny, answers, variant):
    likes, added = additions(tiny, answers, "likes"), additions(tiny, answers, variant)
    np.testing.assert_array_equal(added.users, likes.users)
    for user in answers.users:
        items = of(added, user)
        assert len({*items}) == len(items)
        assert not {*items} & {*tiny.history(user)}
    assert added.hash != likes.hash


def test_controls_are_what_they_are_called(tiny, answers):
    made = {variant: additions(tiny, answers, variant) for variant in VARIANTS}
    for row, user in enumerate(answers.users):
        size, shown = (answers.said[row] == LIKE).sum(), answers.shown[row].tolist()
        assert of(made["first"], user) == shown[:size]
        drawn = of(made["random of shown"], user)
        assert drawn == [item for item in shown if item in drawn]
        unseen = [item for item in range(1, 161) if item not in tiny.history(user)]
        assert of(made["popular"], user) == sorted(unseen, key=lambda item: -tiny.popularity[item])[:size]


@pytest.mark.parametrize("variant", DRAWN)
def test_what_is_drawn_depends_on_the_seed_and_not_on_who_else_is_asked(tiny, answers, variant):
    one = additions(tiny, answers, variant, 3)
    assert one.hash == additions(tiny, answers, variant, 3).hash != additions(tiny, answers, variant, 4).hash
    half = Answers(answers.users[:15], answers.shown[:15], answers.said[:15])
    np.testing.assert_array_equal(
        additions(tiny, half, variant, 3).items, one.items[: len(additions(tiny, half, "likes").items)]
    )


def test_random_items_are_any_that_the_user_has_not_had(tiny, answers):
    everything = replace(answers, said=np.full_like(answers.said, LIKE))
    counts = np.zeros(161)
    for seed in range(40):
        counts += np.bincount(additions(tiny, everything, "random", seed).items, minlength=161)
    assert counts[0] == 0
    assert counts[1:].min() > 0.4 * counts[1:].mean()


# Where it is added


def test_what_is_added_stands_before_the_held_out_interactions():
    interactions = Interactions(np.array([0, 4, 7]), np.array([1, 2, 3, 4, 5, 6, 7], np.int32))
    added = Additions(np.array([0, 1, 1]), np.array([8, 9, 8]))
    longer = with_additions(interactions, 2, added)
    assert longer.of(0).tolist() == [1, 2, 8, 3, 4]
    assert longer.of(1).tolist() == [5, 9, 8, 6, 7]
    assert added.place.tolist() == [0, 0, 1]
    assert with_additions(interactions, 1, Additions.none()).items.tolist() == interactions.items.tolist()


def test_transitions_are_counted_anew_with_what_is_added(tiny):
    users = np.array([3, 4])
    history = tiny.interactions.histories(users, tiny.interactions.lengths[users] - 1, 50)
    base = retrain(tiny, Additions.none(), Retraining()).score(users, history)
    np.testing.assert_array_equal(base, tiny.recommender.score(users, history))
    more = Additions(users, np.array([17, 18]))
    found = retrain(tiny, more, Retraining()).score(users, history)
    longer = with_additions(tiny.interactions, 1, more)
    np.testing.assert_array_equal(found, ItemTransitions(longer, tiny.n_items, 1).score(users, history))
    assert found[0, 17] > base[0, 17] + 0.9  # it followed the last item once more
    assert found[1, 18] > base[1, 18] + 0.9


def test_a_recommender_of_ones_own_cannot_be_trained_again(data, tmp_path):
    class Mine:
        def score(self, users, histories):
            return np.zeros((len(users), 161))

    build(tmp_path / "mine", data, BuildConfig(), recommender=Mine())
    with pytest.raises(WorldError, match="a recommender of your own, which cannot be trained again; build a world"):
        retrain(World.load(tmp_path / "mine"), Additions.none(), Retraining())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be an integer from 1, found 0"),
        ({"epochs": 1.5}, "epochs must be an integer from 1, found 1.5"),
        ({"warm": 1}, "warm must be True or False, found 1"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0 and at most 1, found 0"),
    ],
)
def test_a_training_that_cannot_be_is_refused(options, message):
    with pytest.raises(OptionError, match=message):
        Retraining(**options)
