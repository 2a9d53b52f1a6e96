"""Fewer users are asked the same questions, and always the same fewer users."""

import numpy as np
import pytest

from vrsim.episodes import make_episodes
from vrsim.errors import OptionError
from vrsim.protocols import PROTOCOLS
from vrsim.world import World

WORLD = "tiny:holdout=2"

every_question = pytest.mark.parametrize(
    ("protocol", "task"), [(name, task) for name, p in PROTOCOLS.items() for task in p.tasks if not p.least_liked]
)


def rows(episodes) -> list[tuple[int, ...]]:
    columns = (episodes.positions, episodes.slates, episodes.answers[:, None])
    return [tuple(row) for row in np.hstack(columns).tolist()]


@every_question
@pytest.mark.parametrize("cohort", ["all", "warm"])
def test_fewer_users_are_asked_the_same_questions_in_the_same_order(protocol, task, cohort):
    world = World.load(WORLD)
    everyone = make_episodes(world, protocol, task, split="train", cohort=cohort)
    before: set[int] = set()
    for users in (10, 25, 40):
        some = make_episodes(world, protocol, task, split="train", cohort=cohort, users=users)
        asked = set(some.positions[:, 0].tolist())
        assert rows(some) == [row for row in rows(everyone) if row[0] in asked]
        assert before < asked
        assert some.left_out or len(asked) == users
        assert len(asked) <= users
        before = asked


@every_question
def test_no_number_and_a_large_one_ask_everybody(protocol, task):
    world = World.load(WORLD)
    for users in (0, 10_000):
        assert make_episodes(world, protocol, task, users=users).hash == make_episodes(world, protocol, task).hash


def test_the_users_that_are_asked_depend_on_neither_seed_nor_task():
    world = World.load(WORLD)
    asked = [
        set(make_episodes(world, "uniform", task, m, seed=seed, users=7).positions[:, 0].tolist())
        for task, m, seed in (("judgment", 1, 0), ("judgment", 1, 5), ("selection", 3, 0), ("selection", 4, 1))
    ]
    assert all(one == asked[0] for one in asked)
    assert len(asked[0]) == 7


@pytest.mark.parametrize("users", [-1, True, 1.5, "3", None])
def test_the_number_of_users_is_an_integer_from_zero(users):
    with pytest.raises(OptionError, match="users must be an integer from 0, found"):
        make_episodes(World.load(WORLD), "uniform", "selection", users=users)
