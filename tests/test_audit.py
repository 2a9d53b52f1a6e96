"""The audit plays every shortcut, names the best, and says what an agent has beyond it."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from vrsim import probabilities, registry
from vrsim.ablations import ABLATIONS
from vrsim.agent import Agent, Decisions
from vrsim.audit import AuditConfig, Audited, audit, audit_run, lifts, play_shortcuts
from vrsim.bench import BenchConfig, run_bench
from vrsim.catalog import Catalog
from vrsim.comparisons import compare, holm
from vrsim.episodes import make_episodes
from vrsim.errors import EpisodeError, OptionError, UnknownNameError
from vrsim.loop import play
from vrsim.registry import make_agent, register_agent, shortcuts
from vrsim.runs import Question, read_run
from vrsim.seeding import derive
from vrsim.tables import audit_tables
from vrsim.world import World

READERS = ("content", "content@no-history", "content@shuffled-history", "content@other-history")


class Knowing(Agent):
    """Right without reading anything: in the tiny world the answer is known."""

    def act(self, observations):
        users = observations["position"][:, 0]
        target = World.load("tiny").targets[users][:, None]
        slate = observations["slate"]
        right = slate == target
        return Decisions(right[:, 0].astype(int) if slate.shape[1] == 1 else right.argmax(axis=1))


@pytest.fixture(autouse=True)
def agents(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    register_agent("knowing", f"{__name__}:Knowing")


@pytest.fixture(scope="module", autouse=True)
def few_resamples() -> Iterator[None]:
    """Intervals of an AUC are looked at elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probabilities, "RESAMPLES", 5)
        yield


@pytest.fixture(scope="module")
def world() -> World:
    return World.load("tiny")


@pytest.fixture(scope="module")
def selection(world) -> Audited:
    """An audit of one set of questions with an agent that reads titles and genres."""
    config = AuditConfig(("uniform",), ("selection",), (3,), seeds=2, agent="content")
    [row], impossible = audit(world, config)
    assert impossible == {}
    return row


@pytest.fixture(scope="module")
def tallrec(world) -> Audited:
    [row], _ = audit(world, AuditConfig(("tallrec",), seeds=2, agent="content"))
    return row


def parts(world: World, question: Question, seeds: int = 2):
    asked = (question.protocol, question.task, max(1, question.m))
    return [make_episodes(world, *asked, seed=seed) for seed in range(seeds)]


def parts_of(row: Audited):
    return parts(World.load("tiny"), row.question)


def played(name: str, episodes: list):
    return [play(make_agent(name), part, derive(part.seed, "agent")) for part in episodes]


# Shortcuts


def test_every_shortcut_is_played_on_every_question(world, selection):
    assert list(selection.scores) == shortcuts()
    assert len(shortcuts()) == len(set(shortcuts())) == 14
    assert selection.skipped == {}
    for name in ("recommender:order=lowest", "title:order=longest", "graph"):
        right = np.concatenate([run.correct for run in played(name, parts(world, selection.question))])
        assert selection.scores[name].metrics["accuracy"].value == right.mean()
        assert selection.scores[name].decisions == 200


def test_the_best_is_the_best_by_accuracy(selection):
    accuracy = {name: score.metrics["accuracy"].value for name, score in selection.scores.items()}
    assert accuracy[selection.best] == max(accuracy.values())
    assert sorted(accuracy.values())[-1] > sorted(accuracy.values())[-2]


def test_the_best_is_the_best_by_auc_where_the_protocol_goes_by_it(tallrec):
    known = {name: score.probabilistic["auc"].value for name, score in tallrec.scores.items() if score.probabilistic}
    assert set(shortcuts()) - set(known) == {"constant", "constant:answer=no,place=1"}  # they have no probabilities
    assert known[tallrec.best] == max(known.values())
    accuracy = {name: score.metrics["accuracy"].value for name, score in tallrec.scores.items()}
    assert accuracy[tallrec.best] < max(accuracy.values())  # the two do not agree here
    assert tallrec.scores[tallrec.best].headline.value == known[tallrec.best]


def test_chance_is_that_of_an_answer_at_random(selection, tallrec):
    assert (selection.chance, tallrec.chance) == (0.25, 0.5)


@pytest.mark.parametrize("task", ["judgment", "selection"])
def test_what_is_left_out_is_a_share_of_the_positions(world, task, monkeypatch):
    monkeypatch.setattr("vrsim.audit.shortcuts", lambda: ["graph"])
    [row], _ = audit(world, AuditConfig(("rank-matched",), (task,), (3,), users=40, seeds=2))
    asked = [make_episodes(world, "rank-matched", task, row.question.m, seed=seed, users=40) for seed in (0, 1)]
    positions = sum(len({tuple(position) for position in part.positions.tolist()}) for part in asked)
    assert 0 < positions < 80  # of two seeds with 40 users each, one position per user
    assert row.left_out == pytest.approx(1 - positions / 80)
    assert row.scores["graph"].users < 40


def test_a_shortcut_that_the_world_cannot_serve_is_skipped_with_its_sentence(world):
    table = world.catalog.table.set_column(2, "year", pa.array([0] * world.n_items, pa.int32()))
    timeless = replace(world, catalog=Catalog(table.cast(Catalog.SCHEMA)))
    done, skipped = play_shortcuts(parts(timeless, Question("uniform", "selection", 1, "all"), 1))
    sentence = "agent 'age' needs the years of the items, and the catalog of 'tiny' has none"
    assert skipped == {"age:order=newest": sentence, "age:order=oldest": sentence}
    assert list(done) == [name for name in shortcuts() if name not in skipped]
    [row], _ = audit(timeless, AuditConfig(("uniform",), ("selection",), (1,), seeds=1))
    assert row.skipped == skipped
    lines = [table for table in audit_tables([row], {}, "tiny") if isinstance(table, str)]
    assert f"not played: age:order=oldest: {sentence}\n" in lines


def test_only_what_a_world_cannot_serve_is_skipped(world, monkeypatch):
    monkeypatch.setattr("vrsim.audit.shortcuts", lambda: ["knowing", "no such shortcut"])
    with pytest.raises(UnknownNameError, match="no such shortcut"):
        play_shortcuts(parts(world, Question("uniform", "selection", 1, "all"), 1))


# Questions


def test_without_a_name_every_protocol_is_asked_or_listed_with_the_reason(world, monkeypatch):
    monkeypatch.setattr("vrsim.audit.shortcuts", lambda: ["constant"])
    rows, impossible = audit(world, AuditConfig((), ("judgment",), users=12, seeds=1))
    assert [str(row.question) for row in rows] == [
        "vragent-paper, judgment", "vragent-code, judgment", "tallrec, judgment", "mllm-msr, judgment",
        "uniform, judgment", "popularity-matched, judgment", "rank-matched, judgment",
    ]  # fmt: skip
    reason = "'agent4rec-1to{}' needs users with at least 20 ratings above 3; the most that a user of world 'tiny' has"
    assert list(impossible) == [f"agent4rec-1to{k}, judgment" for k in (1, 2, 3, 9)]
    assert all(why.startswith(reason.format(k)) for k, why in zip((1, 2, 3, 9), impossible.values(), strict=True))


def test_a_protocol_asked_for_by_name_raises_its_reason(world):
    with pytest.raises(EpisodeError, match="'agent4rec-1to3' needs users with at least 20 ratings"):
        audit(world, AuditConfig(("uniform", "agent4rec-1to3"), ("judgment",)))


def test_selections_are_asked_with_every_m_and_judgments_once(world, monkeypatch):
    monkeypatch.setattr("vrsim.audit.shortcuts", lambda: ["constant"])
    rows, _ = audit(world, AuditConfig(("uniform",), m=(1, 4), users=12, seeds=1))
    assert [(row.question.task, row.question.m) for row in rows] == [
        ("judgment", 1), ("selection", 1), ("selection", 4),
    ]  # fmt: skip
    assert [row.chance for row in rows] == [1 / 2, 1 / 2, 1 / 5]


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"seeds": 0}, OptionError, "seeds must be an integer from 1, found 0"),
        ({"tasks": ("judgement",)}, UnknownNameError, "unknown task 'judgement'. Did you mean 'judgment'?"),
        ({"protocols": ("unifrom",)}, UnknownNameError, "Did you mean 'uniform'?"),
        ({"protocols": ("tallrec",), "tasks": ("selection",)}, OptionError, "tallrec asks no selection"),
        ({"cohort": "colt"}, UnknownNameError, "Did you mean 'cold'?"),
        ({"m": (0,)}, OptionError, "m must be an integer from 1, found 0"),
        ({"users": -1}, OptionError, "users must be an integer from 0, found -1"),
        ({"agent": "contents"}, UnknownNameError, "Did you mean 'content'?"),
    ],
    ids=str,
)
def test_what_cannot_be_audited_is_refused_before_anyone_is_asked(world, config, error, message, monkeypatch):
    monkeypatch.setattr("vrsim.audit.shortcuts", lambda: ["never"])
    with pytest.raises(error, match=message.replace("?", r"\?")):
        audit(world, AuditConfig(**config))


def test_progress_goes_from_nothing_to_all(world):
    told = []
    audit(world, AuditConfig(("uniform",), ("selection",), (1, 3), users=5, seeds=1), lambda *step: told.append(step))
    assert told == [(0, 2, "uniform, selection, m = 1"), (1, 2, "uniform, selection, m = 3"), (2, 2, "done")]


# Lifts


def test_an_agent_is_played_with_and_without_its_history(selection):
    assert tuple(selection.agents) == tuple(selection.lifts) == READERS
    whole, without, shuffled, other = (selection.agents[name].metrics["accuracy"].value for name in READERS)
    assert whole == shuffled == selection.scores["content"].metrics["accuracy"].value
    assert max(without, other) < whole - 0.1
    assert selection.lifts["content"].changed is None
    assert selection.lifts["content@shuffled-history"].changed == 0  # it does not mind the order
    assert min(selection.lifts[f"content@{name}-history"].changed for name in ("no", "other")) > 0.3


def test_an_agent_that_ignores_the_history_changes_nothing(world):
    [row], _ = audit(world, AuditConfig(("uniform",), ("selection",), (3,), seeds=1, agent="title"))
    assert [row.lifts[f"title@{ablation}"].changed for ablation in ABLATIONS] == [0, 0, 0]
    assert len({row.lifts[name].difference for name in row.lifts}) == 1


def test_a_lift_is_the_difference_to_the_best_shortcut_corrected_by_holm(selection):
    episodes = parts_of(selection)
    reference = played(selection.best, episodes)
    differences = [compare(played(name, episodes), reference) for name in READERS]
    assert [selection.lifts[name].difference for name in READERS] == differences
    assert [selection.lifts[name].p for name in READERS] == holm([difference.p for difference in differences])
    assert all(lift.p >= lift.difference.p for lift in selection.lifts.values())
    assert any(lift.p > lift.difference.p for lift in selection.lifts.values())
    assert selection.lifts["content@no-history"].difference.value.high < 0  # worse than the best shortcut


def test_who_knows_the_answer_has_a_lift_above_0(world):
    [row], _ = audit(world, AuditConfig(("rank-matched",), ("selection",), (3,), seeds=1, agent="knowing"))
    lift = row.lifts["knowing"]
    assert lift.difference.value.value == pytest.approx(1 - row.scores[row.best].metrics["accuracy"].value)
    assert lift.difference.value.low > 0
    assert lift.p < 0.001
    assert (lift.difference.worse, lift.changed) == (0, None)


def test_by_auc_a_lift_is_a_difference_of_aucs(tallrec):
    best = tallrec.scores[tallrec.best].probabilistic["auc"].value
    for name in READERS:
        difference = tallrec.lifts[name].difference
        assert difference.metric == "auc"
        assert difference.value.value == pytest.approx(tallrec.agents[name].probabilistic["auc"].value - best)


def test_by_auc_an_agent_without_probabilities_has_no_lift(world):
    episodes = parts(world, Question("tallrec", "judgment", 0, "all"), 1)
    found = lifts({name: played(name, episodes) for name in ("constant", "content")}, played("graph", episodes))
    assert np.isnan([found["constant"].p, found["constant"].difference.value.value]).all()
    assert found["content"].p == found["content"].difference.p  # the only one that there is to correct


# Recorded runs


def test_a_recorded_run_is_audited_on_its_own_episodes(world, selection, tmp_path, monkeypatch):
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path / "home"))
    config = BenchConfig("tiny", READERS, ("uniform",), ("selection",), (3,), seeds=2)
    run_bench(config, tmp_path / "run")
    told = []
    [row] = audit_run(read_run(tmp_path / "run"), lambda *step: told.append(step))
    assert told == [(0, 1, "uniform, selection, m = 3"), (1, 1, "done")]
    assert (row.question, row.best, row.left_out) == (selection.question, selection.best, selection.left_out)
    assert row.lifts == selection.lifts
    for name in shortcuts():
        assert row.scores[name].metrics == selection.scores[name].metrics
    for name in READERS:
        assert row.agents[name].metrics == selection.agents[name].metrics


def test_an_audit_gives_an_agent_the_random_numbers_that_a_bench_gives_it(world, tmp_path, monkeypatch):
    monkeypatch.setattr("vrsim.audit.shortcuts", lambda: ["constant"])
    [row], _ = audit(world, AuditConfig(("uniform",), ("selection",), (4,), seeds=2, agent="uniform"))
    [benched] = run_bench(BenchConfig("tiny", ("uniform",), ("uniform",), ("selection",), (4,), seeds=2), tmp_path)
    assert row.agents["uniform"].by_seed == benched.score.by_seed
    assert row.agents["uniform"].by_seed == row.agents["uniform@no-history"].by_seed
