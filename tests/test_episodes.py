"""Episodes are what their protocol says, show no answer, and never change silently."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, chisquare

from vrsim.episodes import Episodes, make_episodes
from vrsim.errors import EpisodeError, OptionError, UnknownNameError
from vrsim.protocols import PROTOCOLS, get_protocol
from vrsim.world import World

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text(encoding="utf-8"))
WORLDS = ("tiny", "tiny:holdout=2")
UNLIKELY = 1e-4  # a p-value below it is no accident; the seeds are fixed, so it cannot come and go

questions = st.fixed_dictionaries(
    {
        "world": st.sampled_from(WORLDS).map(World.load),
        "protocol": st.sampled_from(sorted(PROTOCOLS)),
        "task": st.sampled_from(("judgment", "selection")),
        "m": st.integers(1, 10),
        "split": st.sampled_from(("train", "test")),
        "cohort": st.sampled_from(("all", "cold", "warm")),
        "seed": st.integers(0, 2**40),
    }
)


def every_question(rule):
    """Try the rule on a few dozen draws of all arguments."""
    return settings(max_examples=40, deadline=None)(given(arguments=questions)(rule))


def targets_of(episodes: Episodes) -> list[int]:
    """The item each position's user really took next, read from the interactions row by row."""
    return [int(episodes.world.interactions.of(user)[t]) for user, t in episodes.positions.tolist()]


def first_candidates(episodes: Episodes, user: int, t: int) -> list[int]:
    """The protocol's pool by its definition: first candidates the user never takes, neither now nor later."""
    world = episodes.world
    back = int(world.interactions.lengths[user]) - t
    row = world.candidates[user * world.holdout + world.holdout - back].tolist()
    taken = set(world.interactions.of(user).tolist())
    return [item for item in row if item and item not in taken][: episodes.protocol.pool[1]]


@every_question
def test_a_selection_slate_holds_the_target_once_and_where_the_answer_says(arguments):
    episodes = make_episodes(**arguments | {"task": "selection"})
    for target, slate, answer in zip(targets_of(episodes), episodes.slates.tolist(), episodes.answers, strict=True):
        assert slate.count(target) == 1
        assert slate[answer] == target


@every_question
def test_slates_are_distinct_items_that_exist(arguments):
    episodes = make_episodes(**arguments)
    width = 1 if arguments["task"] == "judgment" else arguments["m"] + 1
    assert episodes.slates.shape == (len(episodes), width)
    assert episodes.slates.dtype == episodes.answers.dtype == episodes.positions.dtype == np.int64
    assert episodes.slates.min() >= 1
    assert episodes.slates.max() <= episodes.world.n_items
    assert all(len(set(slate)) == len(slate) for slate in episodes.slates.tolist())


@every_question
def test_negatives_are_items_the_user_never_takes_before_or_after(arguments):
    episodes = make_episodes(**arguments)
    for (user, _), slate, answer in zip(episodes.positions.tolist(), episodes.slates, episodes.answers, strict=True):
        shown = slate.tolist()
        negatives = shown[:answer] + shown[answer + 1 :] if episodes.task == "selection" else shown * (1 - answer)
        assert not set(negatives) & set(episodes.world.interactions.of(user).tolist())


@every_question
def test_judgments_ask_every_position_once_yes_and_once_no(arguments):
    episodes = make_episodes(**arguments | {"task": "judgment"})
    for answer in (0, 1):
        asked = [tuple(p) for p in episodes.positions[episodes.answers == answer].tolist()]
        assert len(set(asked)) == len(asked) == len(episodes) / 2
    assert {tuple(p) for p in episodes.positions.tolist()} == set(asked)
    yes = episodes.answers == 1
    assert episodes.slates[yes, 0].tolist() == np.array(targets_of(episodes))[yes].tolist()


@every_question
def test_training_and_test_users_never_meet(arguments):
    parts = [make_episodes(**arguments | {"split": split, "cohort": "all"}) for split in ("train", "test")]
    train, test = (set(part.positions[:, 0].tolist()) for part in parts)
    assert not train & test
    assert len(train | test) == arguments["world"].n_users
    assert make_episodes(**arguments | {"split": "test", "cohort": "all"}).training().hash == parts[0].hash


@every_question
def test_cold_and_warm_are_the_same_questions_as_all(arguments):
    everyone, cold, warm = (make_episodes(**arguments | {"cohort": cohort}) for cohort in ("all", "cold", "warm"))

    def rows(episodes):
        columns = (episodes.positions, episodes.slates, episodes.answers[:, None])
        return [tuple(row) for row in np.hstack(columns).tolist()]

    assert sorted(rows(cold) + rows(warm)) == sorted(rows(everyone))
    for part in (cold, warm):  # and in the same order
        kept = set(rows(part))
        assert rows(part) == [row for row in rows(everyone) if row in kept]
    lengths = everyone.world.interactions.lengths
    assert lengths[cold.positions[:, 0]].max() < lengths[warm.positions[:, 0]].min()


@every_question
def test_the_papers_negatives_come_from_the_ten_first_candidates(arguments):
    episodes = make_episodes(**arguments | {"protocol": "vragent-paper", "task": "selection"})
    assert episodes.protocol.pool == (1, 10)
    for (user, t), slate, answer in zip(episodes.positions.tolist(), episodes.slates, episodes.answers, strict=True):
        assert set(np.delete(slate, answer).tolist()) <= set(first_candidates(episodes, user, t))


@every_question
def test_test_users_are_asked_about_their_last_position_and_training_users_about_every_held_out_one(arguments):
    world = arguments["world"]
    for split, asked in (("test", 1), ("train", world.holdout)):
        episodes = make_episodes(**arguments | {"split": split})
        for user in np.unique(episodes.positions[:, 0]):
            length = int(world.interactions.lengths[user])
            found = set(episodes.positions[episodes.positions[:, 0] == user, 1].tolist())
            assert found == set(range(length - asked, length))


@every_question
def test_histories_are_oldest_first_end_before_the_target_and_start_with_zeros(arguments):
    episodes = make_episodes(**arguments)
    size = episodes.protocol.history
    assert episodes.histories.shape == (len(episodes), size)
    for (user, t), history in zip(episodes.positions.tolist(), episodes.histories.tolist(), strict=True):
        known = episodes.world.interactions.of(user)[:t].tolist()[-size:]
        assert history == [0] * (size - len(known)) + known


@every_question
def test_equal_arguments_give_equal_episodes_and_another_seed_gives_others(arguments):
    episodes = make_episodes(**arguments)
    again = make_episodes(**arguments)
    assert episodes.hash == again.hash
    np.testing.assert_array_equal(episodes.slates, again.slates)
    other = make_episodes(**arguments | {"seed": arguments["seed"] + 1})
    assert other.hash != episodes.hash
    assert set(map(tuple, other.positions.tolist())) == set(map(tuple, episodes.positions.tolist()))


def test_observations_are_the_rows_asked_for_and_fresh():
    episodes = make_episodes(World.load("tiny"), "uniform", "selection")
    index = np.array([3, 0, 3])
    before = episodes.hash
    observations = episodes.observe(index)
    np.testing.assert_array_equal(observations["slate"], episodes.slates[index])
    for array in observations.values():
        array[...] = 0
    assert episodes.observe(index)["slate"].min() > 0
    assert make_episodes(World.load("tiny"), "uniform", "selection").hash == before


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@pytest.mark.parametrize("m", [1, 3, 4])
def test_the_target_stands_at_every_place_equally_often(protocol, m):
    world = World.load("tiny")
    answers = [make_episodes(world, protocol, "selection", m, seed=seed).answers for seed in range(100)]
    assert chisquare(np.bincount(np.concatenate(answers), minlength=m + 1)).pvalue > UNLIKELY


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_the_place_in_the_slate_says_nothing_about_the_popularity_of_a_negative(protocol):
    world = World.load("tiny")
    first = []
    for seed in range(100):
        episodes = make_episodes(world, protocol, "selection", 3, seed=seed)
        popularity = world.popularity[episodes.slates] + episodes.slates / 1000  # no two items are equal
        popularity[np.arange(len(episodes)), episodes.answers] = -1
        first.append(popularity.argmax(axis=1))
    assert chisquare(np.bincount(np.concatenate(first), minlength=4)).pvalue > UNLIKELY


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_yes_cannot_be_told_from_the_row_number(protocol):
    world = World.load("tiny")
    seeds = 200
    episodes = [make_episodes(world, protocol, "judgment", seed=seed) for seed in range(seeds)]
    yes = np.stack([part.answers for part in episodes])  # (seeds, rows)
    rows = yes.shape[1]
    z = (yes.sum(axis=0) - seeds / 2) / np.sqrt(seeds / 4)
    assert chi2.sf((z**2).sum(), rows - 1) > UNLIKELY  # each row is Yes half the time
    assert chisquare([yes[:, ::2].sum(), yes[:, 1::2].sum()]).pvalue > UNLIKELY
    # Wald and Wolfowitz: the number of runs in a random order of n Yes and n No
    n = rows / 2
    runs = 1 + (yes[:, 1:] != yes[:, :-1]).sum(axis=1)
    spread = np.sqrt(n * (n - 1) / (2 * n - 1) / seeds)
    assert abs(runs.mean() - (n + 1)) < 4 * spread


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_the_two_judgments_of_a_user_stand_apart(protocol):
    world = World.load("tiny")
    neighbours, first_yes = 0, []
    for seed in range(100):
        episodes = make_episodes(world, protocol, "judgment", seed=seed)
        users = episodes.positions[:, 0]
        neighbours += (users[1:] == users[:-1]).sum()
        first_yes.append(episodes.answers[np.unique(users, return_index=True)[1]].mean())
    assert neighbours < 200  # by chance 1 per order of 200 rows
    assert abs(np.mean(first_yes) - 0.5) < 0.02


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_episodes_did_not_change(name):
    world, protocol, task, m, split, cohort, seed = name.split("|")
    episodes = make_episodes(World.load(world), protocol, task, int(m), split, cohort, int(seed))
    assert episodes.hash == GOLDEN[name], "numbers changed: move Protocol.version or the world, never golden.json alone"


def test_the_largest_m_works_and_one_more_names_it():
    world = World.load("tiny")
    unseen = world.n_items - int(world.interactions.lengths.max())
    for protocol, largest in (("vragent-paper", 10), ("uniform", unseen)):
        assert make_episodes(world, protocol, "selection", largest).slates.shape[1] == largest + 1
        with pytest.raises(EpisodeError, match=f"m = {largest + 1} .*the largest m is {largest}$"):
            make_episodes(world, protocol, "selection", largest + 1)


@pytest.mark.parametrize("task", ["judgment", "selection"])
def test_a_position_with_fewer_candidates_than_the_pool_is_refused(task):
    world = World.load("tiny:candidates=9")
    with pytest.raises(EpisodeError, match=r"first 10 candidates of a position, and a position of .* has [0-9];"):
        make_episodes(world, "vragent-paper", task, 1)
    assert len(make_episodes(world, "uniform", task, 1))


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ({"protocol": "vragent_paper"}, "vragent-paper"),
        ({"task": "judgement"}, "judgment"),
        ({"split": "tset"}, "test"),
        ({"cohort": "colt"}, "cold"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(wrong, nearest):
    arguments = {"world": World.load("tiny"), "protocol": "uniform", "task": "selection"}
    with pytest.raises(UnknownNameError, match=f"Did you mean '{nearest}'"):
        make_episodes(**arguments | wrong)


@pytest.mark.parametrize("task", ["judgment", "selection"])
@pytest.mark.parametrize("wrong", [{"m": 0}, {"m": -1}, {"m": True}, {"m": "3"}, {"m": 3.0}, {"m": None}])
def test_m_is_an_integer_from_one(task, wrong):
    with pytest.raises(OptionError, match="m must be an integer from 1, found"):
        make_episodes(World.load("tiny"), "uniform", task, **wrong)


@pytest.mark.parametrize("seed", [-1, True, "0", 0.0, None])
def test_the_seed_is_an_integer_from_zero(seed):
    with pytest.raises(OptionError, match="seed must be an integer from 0, found"):
        make_episodes(World.load("tiny"), "uniform", "selection", seed=seed)


def test_numpy_integers_are_integers():
    world = World.load("tiny")
    own = make_episodes(world, "uniform", "selection", np.int64(3), seed=np.uint8(7))
    assert own.hash == make_episodes(world, "uniform", "selection", 3, seed=7).hash


def test_a_protocol_hash_covers_the_recipe_and_not_the_words():
    protocol = get_protocol("uniform")
    assert replace(protocol, measures="other words").hash == protocol.hash
    for change in ({"pool": 3}, {"history": 5}, {"split_seed": 1}, {"version": 2}, {"negatives": "recommended"}):
        assert replace(protocol, **change).hash != protocol.hash
