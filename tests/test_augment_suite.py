"""The suite augment: everybody is asked once, rows are fair, differences are tested, and a killed suite goes on."""

import json
from dataclasses import replace

import numpy as np
import pytest

from vrsim import registry
from vrsim.agent import Agent, Decisions
from vrsim.augmentation import suite as augment_suite
from vrsim.augmentation.asking import VARIANTS, asked_users
from vrsim.augmentation.suite import AugmentConfig, augmentation_json, run_augmentation
from vrsim.comparisons import holm
from vrsim.errors import OptionError, ResultsError, UnknownNameError
from vrsim.last_items import METRICS, gains, last_ranks
from vrsim.protocols import get_protocol
from vrsim.recommender import ItemTransitions
from vrsim.recommender.additions import Additions, with_additions
from vrsim.registry import register_agent
from vrsim.world import World

CONTROLS = ("random", "popular", "first", "random of shown")


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


class Clairvoyant(Agent):
    """Like what the user really takes next, or nothing, or everything; ``silent``: a reply cannot be read."""

    def __init__(self, likes: str = "next", silent: bool = False) -> None:
        self._likes, self._silent = likes, silent

    def fit(self, world, training):
        self._world = world

    def act(self, observations):
        users, items = observations["position"][:, 0], observations["slate"][:, 0]
        taken = items == self._world.targets[users]
        yes = {"next": taken, "all": np.ones_like(taken), "none": np.zeros_like(taken)}[self._likes]
        return Decisions(yes.astype(np.int64), np.array([not self._silent or item % 2 == 0 for item in items]))


@pytest.fixture(autouse=True, scope="module")
def agents():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_registered", {})
        register_agent("clairvoyant", f"{__name__}:Clairvoyant")
        yield


CONFIG = AugmentConfig("tiny", "content", "cold:60", seeds=2)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("suite") / "table"


@pytest.fixture(scope="module")
def result(out):
    return run_augmentation(CONFIG, out)


@pytest.fixture(scope="module")
def rows(result):
    return {row.name: row for row in result.rows}


def run(tmp_path, **changes):
    found = run_augmentation(replace(CONFIG, seeds=1, **changes), tmp_path / "other")
    return found, {row.name: row for row in found.rows}


# The table


def test_the_numbers_are_those_of_the_recommender_with_what_was_added(tiny, out, rows):
    users = asked_users(tiny, get_protocol("uniform"), "cold:60")
    said = np.concatenate([np.fromfile(file, "i1") for file in (out / "cells").glob("answers-*")]).reshape(60, 10)
    row, _ = np.nonzero(said == 1)
    likes = Additions(users[row], tiny.candidates[users, :10][said == 1])
    again = ItemTransitions(with_additions(tiny.interactions, 1, likes), tiny.n_items, 1)
    values = gains(last_ranks(again, tiny, np.arange(200)))
    for group, chosen in {"all": np.arange(200), "asked": users}.items():
        assert [rows["likes"].metrics[group][metric].value for metric in METRICS] == pytest.approx(
            values[:, chosen].mean(axis=1)
        )
    assert rows["likes"].added == pytest.approx(len(row) / 60)
    assert rows["likes"].hits == pytest.approx((likes.items == tiny.targets[likes.users]).mean())


def test_before_is_the_world_as_it_is_also_where_more_is_held_out(tmp_path):
    world = World.load("tiny:holdout=3")
    found, rows = run(tmp_path, world="tiny:holdout=3", rows=("likes",))
    last = world.target_ranks[2::3]
    assert rows["before"].metrics["all"]["HR@10"].value == ((last > 0) & (last <= 10)).mean()
    assert rows["before"].metrics == rows["nothing added"].metrics
    assert (
        found.answers.taken
        == ((last > 0) & (last <= 10))[asked_users(world, get_protocol("uniform"), "cold:60")].mean()
    )


def test_rows_are_as_many_interactions_and_only_the_drawn_ones_depend_on_the_seed(rows, result):
    assert list(rows) == ["before", *VARIANTS]
    assert {rows[name].added for name in CONTROLS} == {rows["likes"].added} == {result.answers.likes}
    assert rows["dislikes"].added == result.answers.dislikes
    assert rows["likes and dislikes"].added == result.answers.shown == 10
    assert rows["before"].metrics == rows["nothing added"].metrics  # transitions, of nothing more
    for name in VARIANTS:
        one, other = rows[name].by_seed["all"]
        assert (one != other) == (name in ("random", "random of shown"))
    assert rows["likes"].published["asked"].metrics == {"HR@10": 0.0678, "NDCG@10": 0.0330}
    assert rows["nothing added"].published["all"].metrics == {"HR@10": 0.0994, "NDCG@10": 0.0548}
    assert rows["random"].published == {}


def test_differences_are_paired_over_users_and_corrected_together(rows):
    for group in ("all", "asked"):
        for place, metric in enumerate(("HR@10", "NDCG@10")):
            lifts = [rows[name].over[group]["nothing added"][place] for name in VARIANTS if name != "nothing added"]
            assert {lift.difference.metric for lift in lifts} == {metric}
            assert [lift.p for lift in lifts] == holm([lift.difference.p for lift in lifts])
            lifts = [rows["likes"].over[group][name][place] for name in CONTROLS]
            assert [lift.p for lift in lifts] == holm([lift.difference.p for lift in lifts])
            for name, lift in zip(CONTROLS, lifts, strict=True):
                expected = rows["likes"].metrics[group][metric].value - rows[name].metrics[group][metric].value
                assert lift.difference.value.value == pytest.approx(expected)
    assert set(rows["dislikes"].over["all"]) == {"nothing added"}  # the controls are as many as likes


def test_likes_that_are_true_help_and_are_found_out(tmp_path):
    found, rows = run(tmp_path, agent="clairvoyant", users="all:100")
    assert found.answers.likes == pytest.approx(found.answers.taken)
    assert rows["likes"].hits == 1.0
    assert rows["dislikes"].hits == 0.0
    hits, ranks = rows["likes"].over["asked"]["random of shown"]
    assert hits.difference.value.value >= 0  # they were among the first ten before
    assert ranks.difference.value.low > 0
    assert ranks.difference.better > 5 * ranks.difference.worse


def test_what_cannot_be_read_is_neither_liked_nor_disliked(tmp_path):
    found, rows = run(tmp_path, agent="clairvoyant:likes=all,silent=True")
    assert found.answers.likes + found.answers.unreadable == 10
    assert found.answers.likes == rows["likes"].added == rows["likes and dislikes"].added > 0
    assert found.answers.unreadable > 0
    assert rows["dislikes"].added == 0


def test_likes_can_be_as_many_for_every_user(tmp_path):
    found, _ = run(tmp_path, agent="content", likes=3)
    assert (found.answers.likes, found.answers.dislikes) == (3, 7)
    with pytest.raises(OptionError, match="tells no probabilities"):
        run(tmp_path / "none", agent="clairvoyant", likes=3)


@pytest.mark.parametrize(
    ("likes", "same", "note"),
    [
        ("none", ("likes", *CONTROLS, "nothing added"), "nothing is liked: likes and the controls that go by them"),
        (
            "all",
            ("likes", "first", "random of shown", "likes and dislikes"),
            "100.0% of the items are liked: likes, first",
        ),
    ],
)
def test_a_user_agent_that_always_says_the_same_is_told_apart(likes, same, note, tmp_path):
    found, rows = run(tmp_path, agent=f"clairvoyant:likes={likes}")
    assert [note in line for line in found.notes] == [True]
    assert len({json.dumps(rows[name].by_seed) for name in same}) == 1
    assert rows["likes"].over["all"]["random of shown"][0].p == 1


def test_more_users_than_there_are_all_of_them_and_says_so(result, tmp_path):
    found, _ = run(tmp_path, users="cold:8000", rows=("likes",))
    assert found.asked == 100
    assert found.notes == ["8,000 users were to be asked; uniform has 100 test users here"]
    assert result.notes == []


# Going on


def test_the_same_again_asks_and_trains_nothing(out, result, monkeypatch):
    before = {file: file.stat().st_mtime_ns for file in (out / "cells").iterdir()}
    monkeypatch.setattr(augment_suite, "retrain", None)  # a call would fail
    monkeypatch.setattr(augment_suite.SimulatedUser, "judge", None)
    assert run_augmentation(CONFIG, out) == result
    assert {file: file.stat().st_mtime_ns for file in (out / "cells").iterdir()} == before
    assert json.loads((out / "augmentation.json").read_text()) == json.loads(json.dumps(augmentation_json(result)))
    fewer = run_augmentation(replace(CONFIG, rows=("likes", "first"), seeds=1), out)
    assert [row.name for row in fewer.rows] == ["before", "nothing added", "likes", "first"]


@pytest.mark.parametrize("killed_at", [0.5, 6.5])
def test_a_killed_suite_goes_on(result, tmp_path, killed_at, monkeypatch):
    monkeypatch.setattr(augment_suite, "BLOCK", 25)

    def progress(done, total, what):
        if done >= killed_at or (done > 0 and killed_at < 1):
            raise Killed

    with pytest.raises(Killed):
        run_augmentation(CONFIG, tmp_path / "killed", progress)
    kept = {file.name.split("-")[0] for file in (tmp_path / "killed" / "cells").iterdir()}
    assert kept == ({"answers"} if killed_at < 1 else {"answers", "before", "nothing", "likes", "dislikes"})
    assert not (tmp_path / "killed" / "augmentation.json").exists()
    assert run_augmentation(CONFIG, tmp_path / "killed") == result


def test_a_folder_of_another_question_is_left_alone(out, result, tmp_path):
    for change in ({"agent": "popularity"}, {"users": "cold:50"}, {"shown": 5}, {"options": {"epochs": 3}}):
        with pytest.raises(ResultsError, match=f"already holds another table: {next(iter(change))} is .* there and"):
            run_augmentation(replace(CONFIG, **change), out)
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ResultsError, match=r"holds something else than this suite \(thesis.tex\)"):
        run_augmentation(CONFIG, tmp_path)


# What is refused


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"shown": 0}, OptionError, "shown must be an integer from 1, found 0"),
        ({"likes": -1}, OptionError, "likes must be an integer from 0, found -1"),
        ({"likes": 11}, OptionError, "11 of 10 items shown cannot be likes"),
        ({"seeds": 0}, OptionError, "seeds must be an integer from 1, found 0"),
        ({"users": "cold:0"}, OptionError, "users must be cold:N, all:N or N, with N from 1, found 'cold:0'"),
        ({"rows": ("like",)}, UnknownNameError, "unknown row of augment 'like'. Did you mean 'likes'"),
        ({"options": {"epoch": 2}}, UnknownNameError, "unknown option of the training 'epoch'. Did you mean 'epochs'"),
        ({"options": {"epochs": 0}}, OptionError, "epochs must be an integer from 1, found 0"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        replace(CONFIG, **change)


def test_an_unknown_agent_or_protocol_leaves_no_folder(tmp_path):
    for change in ({"agent": "kontent"}, {"protocol": "unifrom"}):
        with pytest.raises(UnknownNameError, match="Did you mean"):
            run_augmentation(replace(CONFIG, **change), tmp_path / "none")
    assert not (tmp_path / "none").exists()
