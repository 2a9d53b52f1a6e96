"""The ladder of recommenders: slates that can be shown, damage that only goes down, worlds that are too small."""

import importlib.util
from itertools import pairwise

import numpy as np
import pytest

from vrsim.building import BuildConfig, make_world
from vrsim.errors import EpisodeError, OptionError, UnknownNameError
from vrsim.fidelity.ladder import DEPTH, ORACLE, make_ladder
from vrsim.last_items import gains, last_ranks
from vrsim.recommender import Popularity
from vrsim.worlds import train_recommender

USERS = np.arange(0, 200, 3)
RECBOLE = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("torch", "recbole", "kmeans_pytorch")),
    reason="the extra vrsim[recbole] is not installed",
)


@pytest.fixture(scope="module")
def ladder(tiny):
    return make_ladder(tiny, USERS, models=())


def hits(ladder, name) -> np.ndarray:
    return (ladder.slates[name] == ladder.targets[:, None]).any(axis=1)


def test_every_slate_has_distinct_items_that_the_user_has_not_had(ladder, tiny):
    assert [*ladder.slates] == [ORACLE, "transitions", "popularity", *ladder.steps[1:-1], "random"]
    for slates in (*ladder.slates.values(), ladder.worse):
        assert slates.shape == (len(USERS), 10)
        for user, slate in zip(USERS, slates, strict=True):
            assert len({*slate} - {*tiny.history(user), 0}) == 10


def test_the_oracle_puts_the_next_item_before_the_recommenders_first(ladder, tiny):
    targets = [tiny.interactions.of(user)[-1] for user in USERS]
    assert (ladder.slates[ORACLE][:, 0] == targets).all()
    own = ladder.slates["transitions"]
    for oracle, slate, target in zip(ladder.slates[ORACLE], own, targets, strict=True):
        assert [*oracle[1:]] == [item for item in slate if item != target][:9]
    assert 0 < hits(ladder, "transitions").mean() < 1


def test_the_slates_are_those_of_the_recommenders(ladder, tiny):
    assert (ladder.slates[ladder.own] == tiny.candidates[USERS, :10]).all()
    assert (ladder.worse == tiny.candidates[USERS, DEPTH - 10 : DEPTH]).all()
    for name, recommender in ((ladder.own, tiny.recommender), ("popularity", Popularity(tiny.popularity))):
        assert (hits(ladder, name) == gains(last_ranks(recommender, tiny, USERS))[0]).all()


def test_each_step_of_damage_fills_more_of_the_same_places_with_random_items(ladder):
    assert ladder.steps == ("transitions", *(f"transitions, {share} % random" for share in (25, 50, 75)), "random")
    slates = [ladder.slates[name] for name in ladder.steps]
    changed = [slate != slates[0] for slate in slates]
    assert [set(step.sum(axis=1)) for step in changed] == [{0}, {3}, {5}, {8}, {10}]
    for earlier, later in pairwise(changed):
        assert (earlier <= later).all()
    for step, slate in zip(changed, slates, strict=True):
        assert (slate[step] == slates[-1][step]).all()
    assert len(np.unique(changed[1], axis=0)) > 30  # other places for other users
    assert ladder.undamaged == ("transitions", "popularity", "random")


def test_a_user_is_shown_the_same_whoever_else_is_asked(ladder, tiny):
    alone = make_ladder(tiny, USERS[7:8], models=())
    for name, slates in alone.slates.items():
        assert (slates == ladder.slates[name][7:8]).all()
    assert (ladder.slates["random"][0] != ladder.slates["random"][1]).any()


@pytest.mark.parametrize("shown", [4, 5, 13])
def test_shorter_and_longer_slates_are_damaged_in_steps_too(shown, tiny):
    ladder = make_ladder(tiny, USERS, shown, models=())
    changed = [(ladder.slates[name] != ladder.slates[ladder.own]).sum(axis=1) for name in ladder.steps]
    for fewer, more in pairwise(changed):
        assert (fewer < more).all()


def test_the_last_of_several_held_out_positions_counts(data):
    world, _ = make_world("own", data, BuildConfig("transitions", holdout=3, candidates=100))
    ladder = make_ladder(world, USERS, models=())
    assert (ladder.targets == [world.interactions.of(user)[-1] for user in USERS]).all()
    assert (hits(ladder, ladder.own) == gains(last_ranks(world.recommender, world, USERS))[0]).all()


def test_without_recbole_its_models_are_left_out(tiny, no_recbole):
    ladder = make_ladder(tiny, USERS, models=("BPR", "transitions"))
    assert {*ladder.left_out} == {"BPR"}
    assert "a trained recommender needs" in ladder.left_out["BPR"]
    assert "BPR" not in ladder.slates


@RECBOLE
def test_models_of_recbole_are_trained_and_ranked(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path))
    ladder = make_ladder(tiny, USERS, models=("ItemKNN", "transitions"), options={"ItemKNN.k": 20})
    assert [*ladder.slates][1:4] == ["transitions", "ItemKNN", "popularity"]
    trained = train_recommender(tiny, "ItemKNN", {"k": 20})
    assert len([*(tmp_path / "recommenders").glob("[!.]*-*")]) == 1  # it was there already
    assert (hits(ladder, "ItemKNN") == gains(last_ranks(trained, tiny, USERS))[0]).all()


@RECBOLE
def test_unknown_models_and_settings_are_found_before_any_training(tiny):
    with pytest.raises(UnknownNameError, match="Did you mean 'ItemKNN'"):
        make_ladder(tiny, USERS, models=("BPR", "ItemKMN"))
    with pytest.raises(UnknownNameError, match="unknown option of BPR 'epoch'"):
        make_ladder(tiny, USERS, models=("BPR",), options={"epoch": 1})


def test_slates_need_items_enough_and_not_too_many(tiny, data, crowd):
    for shown in (3, 51, 10.0):
        with pytest.raises(OptionError, match=f"a slate must have 4 to 50 items, found {shown}"):
            make_ladder(tiny, USERS, shown, models=())
    few, _ = make_world("few", data, BuildConfig("transitions", candidates=99))
    with pytest.raises(EpisodeError, match=r"'few' is too small .* it has 160 items and keeps 99 ranked"):
        make_ladder(few, USERS, models=())
    small, _ = make_world("small", crowd(50), BuildConfig("transitions"))
    with pytest.raises(
        EpisodeError, match="'small' is too small for slates down to rank 100: it has 40 items and keeps 40"
    ):
        make_ladder(small, np.arange(50), models=())
