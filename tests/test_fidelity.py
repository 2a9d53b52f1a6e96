"""Fidelity: simulated users whose worth is known are told apart, and nothing is asked twice."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kendalltau

from tests.judges import JUDGES
from vrsim import estimates, registry
from vrsim.comparisons import holm
from vrsim.episodes import split_users
from vrsim.errors import EpisodeError, OptionError, ResultsError, UnknownNameError
from vrsim.fidelity import suite as fidelity
from vrsim.fidelity.ladder import make_ladder
from vrsim.fidelity.order import tau_b
from vrsim.fidelity.questions import FidelityQuestions, ask_all
from vrsim.fidelity.suite import BESIDE, FidelityConfig, fidelity_json, run_fidelity
from vrsim.protocols import get_protocol
from vrsim.registry import register_agent
from vrsim.simulated_user import SimulatedUser

LOWEST = "recommender:order=lowest"


AGENTS = ("seer", "contrary", "ranked", "terse", "moody", LOWEST)


@pytest.fixture(scope="module", autouse=True)
def judges():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_registered", {})
        patch.setattr(estimates, "RESAMPLES", 100)
        for name, target in JUDGES.items():
            register_agent(name, target)
        yield


@pytest.fixture(scope="module")
def config():
    return FidelityConfig(AGENTS, "tiny", seeds=2, models=())


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("fidelity") / "table"


@pytest.fixture(scope="module")
def result(config, out):
    return run_fidelity(config, out)


@pytest.fixture(scope="module")
def rows(result):
    return {row.agent: row for row in result.rows}


@pytest.fixture(scope="module")
def questions(tiny):
    users = split_users(tiny, get_protocol("uniform"), "test")
    return FidelityQuestions.of(tiny, make_ladder(tiny, users, models=()))


# Tau


def test_tau_is_that_of_scipy_also_where_values_are_equal():
    rng = np.random.default_rng(0)
    one, other = rng.integers(6, size=(2, 50, 7)).astype(float)
    expected = [kendalltau(*pair).statistic for pair in zip(one, other, strict=True)]
    assert tau_b(one, other) == pytest.approx(expected)
    assert np.isnan(tau_b(np.ones(5), np.arange(5.0)))


def test_who_knows_the_future_orders_the_ladder_perfectly_and_who_denies_it_the_other_way_round(rows, result):
    rungs = {rung.name: rung.hits.value for rung in result.rungs}
    assert rows["seer"].ordered.liking["oracle"].value == pytest.approx(0.1)
    for name, hits in rungs.items():
        assert rows["seer"].ordered.liking[name].value == pytest.approx(hits / 10)
        assert rows["seer"].ordered.some[name].value == pytest.approx(hits)
    for kind in ("all", "no oracle", "undamaged"):
        assert rows["seer"].ordered.tau[kind].value == pytest.approx(1)
        assert rows["seer"].ordered.tau[kind].low == pytest.approx(1)  # both are those of the same drawn users
        assert rows["contrary"].ordered.tau[kind].high == pytest.approx(-1)
    assert {"tau (all) not above 0", "tau (undamaged) not above 0"} <= {*rows["contrary"].objections}
    assert "random items not liked less" in rows["contrary"].objections
    assert result.rows[0].agent == "seer"


def test_the_taus_are_of_the_rungs_that_they_name(rows, result):
    liking = {name: value.value for name, value in rows["ranked"].ordered.liking.items()}
    without = [rung for rung in result.rungs if rung.name != "oracle"]
    whole = [rung for rung in without if "%" not in rung.name]
    for kind, rungs, truth in (
        ("all", result.rungs, "hits"), ("no oracle", without, "hits"), ("undamaged", whole, "hits"),
        ("by NDCG", result.rungs, "ndcg"),
    ):  # fmt: skip
        expected = kendalltau([liking[rung.name] for rung in rungs], [getattr(rung, truth).value for rung in rungs])
        assert rows["ranked"].ordered.tau[kind].value == pytest.approx(expected.statistic)


def test_lifts_are_over_the_best_shortcut(rows, result):
    assert {row.agent for row in result.rows if row.shortcut} == {*BESIDE, LOWEST}
    assert result.shortcut == "recommender"
    assert rows["recommender"].ordered.over_shortcut == {}
    best = rows["recommender"].ordered.tau["all"].value
    assert rows["contrary"].ordered.over_shortcut["all"].value == pytest.approx(-1 - best)


# Verdicts


def test_the_recommender_is_useful_and_its_reverse_is_not(rows):
    for name in ("recommender", "ranked"):
        assert (rows[name].useful, rows[name].objections) == (True, ())
        assert all(step.right for step in rows[name].steps.values())
    reverse = rows[LOWEST]
    assert not reverse.useful
    assert "4 of 4 steps of damage not seen" in reverse.objections
    assert not rows["moody"].useful


def test_steps_and_reactions_are_paired_tests_over_users_corrected_together(rows, questions):
    found = rows["ranked"]
    places = {name: questions.places(slate) for name, slate in questions.ladder.slates.items()}
    user = SimulatedUser("ranked", questions.world)
    liking = {name: ask_all(user, questions)["probability"][at].mean(axis=1) for name, at in places.items()}
    first, second = questions.ladder.steps[:2]
    difference = np.round(liking[first] - liking[second], 9)
    step = found.steps[f"{first} > {second}"]
    assert step.lift.difference.value.value == pytest.approx(difference.mean(), abs=1e-6)
    assert (step.lift.difference.better, step.lift.difference.worse) == ((difference > 0).sum(), (difference < 0).sum())
    assert step.share.value == pytest.approx(((difference > 0) + 0.5 * (difference == 0)).mean())
    for group in (found.steps, found.reactions):
        assert [part.lift.p for part in group.values()] == holm([part.lift.difference.p for part in group.values()])


def test_reactions_set_the_first_items_against_worse_ones_and_the_user_against_another(rows):
    deep, _, partner, following = rows["seer"].reactions.values()
    assert following.share.value == following.lift.difference.value.value == 1
    assert deep.share.value > 0.5
    assert partner.lift.difference.value.value == pytest.approx(
        rows["seer"].ordered.liking["transitions"].value, abs=0.02
    )
    assert 0 < rows["seer"].changed.value < 0.1
    assert rows["popularity"].changed.value == 0
    assert rows["popularity"].reactions["by the partner"].share.value == 0.5


# Answers


def test_answers_without_probabilities_are_counted_and_unreadable_ones_are_no(rows, questions):
    found = rows["terse"]
    assert (found.by, rows["seer"].by) == ("yes", "probability")
    assert found.invalid == pytest.approx((questions.items % 3 == 0).mean())
    readable = (questions.ladder.targets % 3 > 0).mean()
    assert found.ordered.liking["oracle"].value == pytest.approx(readable / 10)


def test_seeds_and_agents_are_compared_answer_by_answer(rows, result):
    assert rows["seer"].seeds_alike.same == rows["seer"].seeds_alike.kappa == 1
    assert rows["moody"].seeds_alike.same == pytest.approx(0.5, abs=0.05)
    assert rows["moody"].seeds_alike.kappa == pytest.approx(0, abs=0.05)
    found = {(pair.one, pair.other): pair.agreement for pair in result.alike}
    assert len(found) == 28
    assert found["seer", "contrary"].same == 0
    assert found["seer", "terse"].same > 0.95


def test_only_test_users_are_asked_each_thing_once(questions, tiny):
    positions, items, users = questions.positions, questions.items, questions.ladder.users
    assert {*positions[:, 0]} == {*split_users(tiny, get_protocol("uniform"), "test")}
    assert (positions[:, 1] == tiny.interactions.lengths[positions[:, 0]] - 1).all()
    assert len({*zip(positions[:, 0], items, strict=True)}) == len(questions) == len(items)
    own = questions.ladder.slates["transitions"]
    for places, slates, whom in (
        (questions.places(own), own, users),
        (questions.places(questions.ladder.worse), questions.ladder.worse, users),
        (questions.by_partner, own, users[questions.partner]),
    ):
        assert (items[places] == slates).all()
        assert (positions[places, 0] == whom[:, None]).all()


@pytest.mark.parametrize("users", [2, 3, 100])
def test_a_partner_is_another_user_of_like_activity(users, tiny):
    users = np.arange(users)
    questions = FidelityQuestions.of(tiny, make_ladder(tiny, users, models=()))
    assert (questions.partner != users).all()
    lengths = tiny.interactions.lengths[users]
    assert np.abs(lengths - lengths[questions.partner]).sum() <= 2 * np.ptp(lengths) + np.ptp(lengths)
    following = questions.next_of_partner[:, 0]
    known = tiny.interactions.contains(users, questions.ladder.targets[questions.partner])
    assert (following == np.where(known, 0, questions.ladder.targets[questions.partner])).all()


# Going on


def no_question(*_):
    raise AssertionError("something was asked again")


def test_the_same_again_asks_nothing_and_more_seeds_and_agents_ask_the_rest(config, out, result, monkeypatch):
    before = {file: file.stat().st_mtime_ns for file in (out / "cells").iterdir()}
    assert len(before) == 2 * (len(AGENTS) + len(BESIDE))
    told = json.loads((out / "fidelity.json").read_text())
    assert {name: told[name] for name in fidelity_json(result)} == json.loads(json.dumps(fidelity_json(result)))
    assert {"command", "versions"} <= told.keys()
    with monkeypatch.context() as patch:
        patch.setattr(fidelity, "ask_all", no_question)
        assert fidelity_json(run_fidelity(config, out)) == fidelity_json(result)
    fewer = run_fidelity(replace(config, agents=("seer", "content"), seeds=1), out)
    assert {row.agent for row in fewer.rows} == {"seer", "content", *BESIDE}
    assert fewer.rows[0].seeds_alike is None
    after = {file: file.stat().st_mtime_ns for file in (out / "cells").iterdir()}
    assert after.items() > before.items()
    assert len(after) == len(before) + 1


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def test_a_killed_run_goes_on(config, result, tmp_path):
    def progress(done, total, what):
        if what == "moody, seed 1: asking":
            raise Killed

    with pytest.raises(Killed):
        run_fidelity(config, tmp_path / "run", progress)
    assert len([*(tmp_path / "run" / "cells").iterdir()]) == 9
    assert not (tmp_path / "run" / "fidelity.json").exists()
    assert fidelity_json(run_fidelity(config, tmp_path / "run")) == fidelity_json(result)


def test_a_folder_of_another_table_is_left_alone(config, out, result, tmp_path):
    with pytest.raises(ResultsError, match="already holds another table: users is 0 there and 50 now"):
        run_fidelity(replace(config, users=50), out)
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ResultsError, match=r"holds something else than this suite \(thesis.tex\)"):
        run_fidelity(config, tmp_path)


def test_fewer_users_are_some_of_them(config, tmp_path):
    found = [run_fidelity(replace(config, agents=(), users=users), tmp_path / str(users)) for users in (20, 1000)]
    assert [part.users for part in found] == [20, 100]


# What cannot be asked


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"agents": ("contnet",)}, UnknownNameError, "Did you mean 'content'"),
        ({"agents": ("content", "content")}, OptionError, "agents must name none twice"),
        ({"agents": ("human",)}, OptionError, "human asks a person"),
        ({"world": "tiyn"}, UnknownNameError, "Did you mean 'tiny'"),
        ({"protocol": "unifrom"}, UnknownNameError, "Did you mean 'uniform'"),
        ({"seeds": 0}, OptionError, "seeds must be an integer from 1, found 0"),
        ({"users": -1}, OptionError, "users must be an integer from 0, found -1"),
        ({"users": 1}, EpisodeError, "needs at least 2 test users of 'uniform' in world 'tiny', found 1"),
        ({"shown": 2}, OptionError, "a slate must have 4 to 50 items, found 2"),
        ({"protocol": "agent4rec-1to1"}, EpisodeError, "needs users with at least 20 ratings above 3"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_nothing_written(change, error, message, config, tmp_path):
    with pytest.raises(error, match=message):
        run_fidelity(replace(config, **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()
