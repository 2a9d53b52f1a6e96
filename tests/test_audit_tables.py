"""An audit in the terminal: signs, dashes, and one line for every set of questions."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from vrsim import probabilities
from vrsim.audit import AuditConfig, Audited, audit, lifts
from vrsim.comparisons import compare
from vrsim.episodes import make_episodes
from vrsim.loop import Played, play
from vrsim.registry import make_agent, shortcuts
from vrsim.tables import audit_tables
from vrsim.world import World


@pytest.fixture(scope="module", autouse=True)
def few_resamples() -> Iterator[None]:
    """Intervals of an AUC are looked at elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probabilities, "RESAMPLES", 5)
        yield


def audited(protocol: str, task: str) -> Audited:
    [row], _ = audit(World.load("tiny"), AuditConfig((protocol,), (task,), (3,), seeds=1, agent="content"))
    return row


@pytest.fixture(scope="module")
def selection() -> Audited:
    return audited("uniform", "selection")


@pytest.fixture(scope="module")
def tallrec() -> Audited:
    return audited("tallrec", "judgment")


def played(name: str, row: Audited) -> list[Played]:
    question = row.question
    return [play(make_agent(name), make_episodes(World.load("tiny"), question.protocol, question.task))]


def cells(rows: list[Audited], title: str) -> dict[str, list[str]]:
    [table] = [table for table in audit_tables(rows, {}, "tiny") if getattr(table, "title", "") == title]
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    return {name: list(rest) for name, *rest in zip(*columns, strict=True)}


def test_the_table_of_the_best_has_a_line_per_question(selection, tallrec):
    told = cells([selection, tallrec], "tiny: the best shortcut")
    assert list(told) == ["uniform, selection, m = 3", "tallrec, judgment"]
    for row, (chance, best, score, left_out, users) in zip((selection, tallrec), told.values(), strict=True):
        assert (best, left_out) == (row.best, f"{row.left_out:.1%}")
        assert float(chance) == row.chance
        assert score.startswith(f"{row.scores[best].headline.value:.3f}"[1:])
        assert int(users) == row.scores[best].users


def test_a_lift_is_shown_with_its_sign_and_a_missing_one_as_a_dash(selection, tallrec):
    told = cells([selection], f"uniform, selection, m = 3: lift over {selection.best}")
    lift, users, p, changed = told["content@no-history"][1:]
    difference = selection.lifts["content@no-history"].difference
    assert lift.startswith(f"-{abs(difference.value.value):.3f}".replace("0.", ".", 1))
    assert users == f"{difference.better} : {difference.worse}"
    assert (p, changed) == ("< .001", f"{selection.lifts['content@no-history'].changed:.1%}")
    assert told["content"][4] == ""
    equal = replace(selection.lifts["content"], difference=compare(*2 * [played("graph", selection)]))
    nothing = lifts({"constant": played("constant", tallrec)}, played("graph", tallrec))
    row = replace(tallrec, lifts={"graph": equal, **nothing}, agents=tallrec.scores)
    told = cells([row], f"tallrec, judgment: lift over {tallrec.best}")
    assert told["graph"][1] == ".000\n[dim].000 to .000[/dim]"
    assert [told["constant"][i] for i in (0, 1, 3)] == ["-", "-", "-"]


def test_every_shortcut_is_shown_where_there_is_one_protocol(selection, tallrec):
    assert list(cells([selection], "uniform, selection, m = 3")) == shortcuts()
    auc = [cell[-1] for cell in cells([tallrec], "tallrec, judgment").values()]
    assert auc[:2] == ["-", "-"]  # constants
    assert all(cell.startswith((".", "[bold].")) for cell in auc[2:])
    with pytest.raises(ValueError, match="not enough values"):  # two protocols: the best only
        cells([selection, tallrec], "tallrec, judgment")
