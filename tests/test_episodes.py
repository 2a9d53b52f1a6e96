"""Episodes are what their protocol says, show no answer, and never change silently."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vrsim.building import BuildConfig, make_world
from vrsim.episodes import Episodes, make_episodes
from vrsim.errors import EpisodeError, OptionError, UnknownNameError
from vrsim.protocols import PROTOCOLS, TASKS, get_protocol
from vrsim.tiny import tiny_data
from vrsim.world import World

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text(encoding="utf-8"))
MATCHED = ("rank-matched", "popularity-matched")


@cache
def load(name: str) -> World:
    """A world by name; "fans" is the tiny one in which everybody likes everything, which Agent4Rec asks for."""
    if name != "fans":
        return World.load(name)
    data = tiny_data()
    liked = replace(data.interactions, ratings=np.full(len(data.interactions), 5, np.float32))
    return make_world(name, replace(data, interactions=liked), BuildConfig("transitions", holdout=3))[0]


def worlds_of(protocol: str) -> tuple[str, ...]:
    """Worlds in which a protocol finds users to ask."""
    return ("fans",) if protocol.startswith("agent4rec") else ("tiny", "tiny:holdout=2")


def every_question(*tasks: str):
    """Try the rule on a few dozen draws of all arguments, for some tasks or for all."""
    asked = [
        {"world": world, "protocol": name, "task": task}
        for name, protocol in sorted(PROTOCOLS.items())
        for task in protocol.tasks
        if task in (tasks or TASKS)
        for world in worlds_of(name)
    ]
    more = {"m": st.integers(1, 10), "split": st.sampled_from(("train", "test")), "seed": st.integers(0, 2**40)}
    cohort = st.sampled_from(("all", "cold", "warm"))
    arguments = st.tuples(st.sampled_from(asked), st.fixed_dictionaries(more | {"cohort": cohort}))
    arguments = arguments.map(lambda parts: parts[0] | parts[1] | {"world": load(parts[0]["world"])})

    def wrap(rule):
        return settings(max_examples=60, deadline=None)(given(arguments=arguments)(rule))

    return wrap


def ask(arguments: dict) -> Episodes:
    """The episodes; a cohort of which the world has nobody is no example."""
    try:
        return make_episodes(**arguments)
    except EpisodeError as error:
        assume(arguments["cohort"] == "all" or "users in the" not in str(error))
        raise


def targets_of(episodes: Episodes) -> list[int]:
    """The item each position's user really took next, read from the interactions row by row."""
    return [int(episodes.world.interactions.of(user)[t]) for user, t in episodes.positions.tolist()]


def pool_of(episodes: Episodes, user: int, t: int) -> list[int]:
    """The protocol's pool by its definition: places among the candidates the user never takes, now or later."""
    world = episodes.world
    back = int(world.interactions.lengths[user]) - t
    row = world.candidates[user * world.holdout + world.holdout - back].tolist()
    taken = set(world.interactions.of(user).tolist())
    begin, end = episodes.protocol.pool
    return [item for item in row if item and item not in taken][begin - 1 : end]


@every_question("selection")
def test_a_selection_slate_holds_the_target_once_and_where_the_answer_says(arguments):
    episodes = ask(arguments)
    for target, slate, answer in zip(targets_of(episodes), episodes.slates.tolist(), episodes.answers, strict=True):
        assert slate.count(target) == 1
        assert slate[answer] == target


@every_question()
def test_slates_are_distinct_items_that_exist(arguments):
    episodes = ask(arguments)
    width = 1 if arguments["task"] == "judgment" else arguments["m"] + 1
    assert episodes.slates.shape == (len(episodes), width)
    assert episodes.slates.dtype == episodes.answers.dtype == episodes.positions.dtype == np.int64
    assert episodes.slates.min() >= 1
    assert episodes.slates.max() <= episodes.world.n_items
    assert all(len(set(slate)) == len(slate) for slate in episodes.slates.tolist())


@every_question()
def test_negatives_are_items_the_user_never_takes_before_or_after(arguments):
    episodes = ask(arguments)
    assume(episodes.protocol.judgment != "rated")
    for (user, _), slate, answer in zip(episodes.positions.tolist(), episodes.slates, episodes.answers, strict=True):
        shown = slate.tolist()
        negatives = shown[:answer] + shown[answer + 1 :] if episodes.task == "selection" else shown * (1 - answer)
        assert not set(negatives) & set(episodes.world.interactions.of(user).tolist())


@every_question("judgment")
def test_judgments_ask_every_position_once_yes_and_as_often_no_as_the_protocol_says(arguments):
    episodes = ask(arguments)
    assume(episodes.protocol.judgment != "rated")
    asked = {tuple(position): [] for position in episodes.positions.tolist()}
    for position, item, answer in zip(
        episodes.positions.tolist(), episodes.slates[:, 0], episodes.answers, strict=True
    ):
        asked[tuple(position)].append((int(answer), int(item)))
    for (user, t), questions in asked.items():
        assert [item for answer, item in questions if answer] == [episodes.world.interactions.of(user)[t]]
        assert len(set(questions)) == len(questions) == 1 + episodes.protocol.per_positive
    assert episodes.m == episodes.protocol.per_positive


@every_question()
def test_training_and_test_users_never_meet(arguments):
    arguments |= {"cohort": "all"}
    parts = [ask(arguments | {"split": split}) for split in ("train", "test")]
    train, test = (set(part.positions[:, 0].tolist()) for part in parts)
    assert not train & test
    if (
        not sum(part.left_out for part in parts)
        and not parts[0].protocol.least_interactions + parts[0].protocol.least_liked
    ):
        assert len(train | test) == arguments["world"].n_users
    assert parts[1].training().hash == parts[0].hash


@every_question()
def test_cold_and_warm_are_the_same_questions_as_all(arguments):
    everyone = ask(arguments | {"cohort": "all"})
    cold, warm = (ask(arguments | {"cohort": cohort}) for cohort in ("cold", "warm"))

    def rows(episodes):
        columns = (episodes.positions, episodes.slates, episodes.answers[:, None])
        return [tuple(row) for row in np.hstack(columns).tolist()]

    assert sorted(rows(cold) + rows(warm)) == sorted(rows(everyone))
    assert cold.left_out + warm.left_out == everyone.left_out
    for part in (cold, warm):  # and in the same order
        kept = set(rows(part))
        assert rows(part) == [row for row in rows(everyone) if row in kept]
    lengths = everyone.world.interactions.lengths
    length = everyone.protocol.cold_length
    if length:
        assert set(lengths[cold.positions[:, 0]].tolist()) == {length}
        assert length not in lengths[warm.positions[:, 0]]
    else:
        assert lengths[cold.positions[:, 0]].max() < lengths[warm.positions[:, 0]].min()


@every_question("selection")
def test_recommended_negatives_come_from_the_pool_of_the_protocol(arguments):
    assume(get_protocol(arguments["protocol"]).selection == "recommended")
    episodes = ask(arguments)
    for (user, t), slate, answer in zip(episodes.positions.tolist(), episodes.slates, episodes.answers, strict=True):
        negatives, pool = set(np.delete(slate, answer).tolist()), pool_of(episodes, user, t)
        assert len(negatives & set(pool)) == min(arguments["m"], len(pool))


def test_the_pools_are_those_of_the_paper_and_of_its_code():
    assert get_protocol("vragent-paper").pool == (1, 10)
    assert get_protocol("vragent-code").pool == (8, 10)


@every_question()
def test_test_users_are_asked_about_their_newest_positions_and_training_users_about_every_held_out_one(arguments):
    holdout = arguments["world"].holdout
    asked = {"test": min(get_protocol(arguments["protocol"]).per_user, holdout), "train": holdout}[arguments["split"]]
    episodes = ask(arguments)
    for user in np.unique(episodes.positions[:, 0]):
        length = int(episodes.world.interactions.lengths[user])
        found = set(episodes.positions[episodes.positions[:, 0] == user, 1].tolist())
        assert found <= set(range(length - asked, length))
        assert episodes.left_out or len(found) == asked


@pytest.mark.parametrize(("protocol", "task"), [(name, task) for name, p in PROTOCOLS.items() for task in p.tasks])
def test_every_position_of_the_users_is_asked_about_or_counted_as_left_out(protocol, task):
    recipe, world = get_protocol(protocol), load(worlds_of(protocol)[0])
    train, test = (make_episodes(world, protocol, task, split=split) for split in ("train", "test"))
    lengths = world.interactions.lengths
    users = int((lengths >= max(recipe.least_interactions, recipe.least_liked)).sum())  # fans like whatever they take
    tested = len(np.unique(test.positions[:, 0])) + (test.left_out if world.holdout == 1 else 0)
    positions = sum(len({tuple(p) for p in part.positions.tolist()}) + part.left_out for part in (train, test))
    assert positions == tested * min(recipe.per_user, world.holdout) + (users - tested) * world.holdout


@every_question()
def test_histories_are_oldest_first_end_before_the_target_and_start_with_zeros(arguments):
    episodes = ask(arguments)
    size, popularity = episodes.protocol.history, episodes.world.popularity
    assert episodes.histories.shape == (len(episodes), size)
    for (user, t), history in zip(episodes.positions.tolist(), episodes.histories.tolist(), strict=True):
        known = episodes.world.interactions.of(user)[:t].tolist()
        if episodes.protocol.shows == "newest":
            known = known[-size:]
        else:  # of equally popular ones the older
            known = sorted(sorted(known, key=lambda item: -popularity[item])[:size], key=known.index)
        assert history == [0] * (size - len(known)) + known


@every_question()
def test_equal_arguments_give_equal_episodes_and_another_seed_gives_others(arguments):
    arguments |= {"cohort": "all"}
    episodes = ask(arguments)
    again = ask(arguments)
    assert episodes.hash == again.hash
    np.testing.assert_array_equal(episodes.slates, again.slates)
    other = ask(arguments | {"seed": arguments["seed"] + 1})
    assert other.hash != episodes.hash
    if arguments["protocol"] not in MATCHED:  # whether a drawn slate is asked is a matter of chance
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


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_episodes_did_not_change(name):
    world, protocol, task, m, split, cohort, seed = name.split("|")
    episodes = make_episodes(load(world), protocol, task, int(m), split, cohort, int(seed))
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
