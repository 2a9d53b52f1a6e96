"""The published numbers are those of the papers, digit by digit, and belong to protocols that exist."""

import numpy as np
import pytest

from vrsim.protocols import PROTOCOLS
from vrsim.published import ABLATION, PUBLISHED, PublishedRow, published
from vrsim.scoring import implied_base_rate
from vrsim.suites import VARIANTS
from vrsim.tables import published_tables
from vrsim.worlds import BUILT_IN

VRAGENT_TABLE = """
| GPT-4o | .535 | .480 | .533 | .505 | .307 | .269 |
| DeepSeek-R1 | .528 | .556 | .526 | .541 | .264 | .231 |
| Qwen2.5-7B | .491 | .512 | .490 | .500 | .245 | .197 |
| LLM.Simulator | .523 | .539 | .519 | .529 | | |
| Agent4Rec | .528 | .482 | .520 | .501 | | |
| TALLRec (SFT) | .537 | .913 | .521 | .663 | | |
| MLLM-MSR (SFT) | .585 | .882 | .553 | .679 | .442 | .381 |
| VRAgent-R1 | .715 | .760 | .697 | .727 | .641 | .602 |
"""  # simulator, accuracy, recall, precision, F1, accuracy with m = 3 and 4: MicroLens-100K, AAAI 2026

FILMS_AND_GAMES = """
| GPT-4o | .584 / .600 | .634 / .662 |
| RecAgent | .581 / .621 | .627 / .650 |
| Agent4Rec | .691 / .698 | .689 / .679 |
| Qwen2.5 SFT | .743 / .732 | .738 / .745 |
| VRAgent-R1 | .815 / .808 | .803 / .805 |
| AlignUSER | .832 | .827 |
"""  # accuracy / F1 on MovieLens-1M and on Steam

TALLREC = {"TALLRec, 16 examples": 0.672, "TALLRec, 64 examples": 0.675, "TALLRec, 256 examples": 0.720}  # AUC


def lines(table: str) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.strip().splitlines()]
    return {name: cells for name, *cells in rows}


def rows_of(data: str) -> dict[str, PublishedRow]:
    return {row.simulator: row for row in PUBLISHED if row.data == data}


every_row = pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.simulator} on {row.data}")


def test_every_microlens_row_is_that_of_the_paper():
    told, table = rows_of("microlens-100k"), lines(VRAGENT_TABLE)
    assert list(told) == list(table)
    for name, cells in table.items():
        accuracy, recall, precision, f1, *chosen = (float(cell) for cell in cells if cell)
        judgment = {"accuracy": accuracy, "recall": recall, "precision": precision, "f1": f1}
        assert told[name].judgment == judgment, name
        assert told[name].selection == dict(zip((3, 4), chosen, strict=False)), name


@pytest.mark.parametrize(("data", "column"), [("ml-1m", 0), ("steam", 1)])
def test_every_row_on_films_and_games_is_that_of_the_papers(data, column):
    told = {name: row for name, row in rows_of(data).items() if "rerun" not in name}
    table = lines(FILMS_AND_GAMES)
    assert list(told) == list(table)
    for name, cells in table.items():
        values = [float(value) for value in cells[column].split("/")]
        assert told[name].judgment == dict(zip(("accuracy", "f1"), values, strict=False)), name
        assert told[name].selection == {}


def test_the_rows_of_tallrec_are_aucs():
    assert {name: row.judgment for name, row in rows_of("ml-100k").items()} == {
        name: {"auc": value} for name, value in TALLREC.items()
    }


def test_a_users_rerun_of_agent4rec_is_told_from_the_authors_numbers():
    rerun = rows_of("ml-1m")["Agent4Rec, a user's rerun"]
    assert rerun.judgment == {"accuracy": 0.599, "f1": 0.501}
    assert rerun.protocols == ("agent4rec-1to1",)
    assert rerun.source != rows_of("ml-1m")["Agent4Rec"].source


@every_row
def test_every_row_has_numbers_between_0_and_1_and_a_source(row):
    numbers = [*row.judgment.values(), *row.selection.values()]
    assert numbers
    assert all(0 < number < 1 for number in numbers)
    assert row.source
    assert row.data in BUILT_IN


@every_row
def test_every_row_stands_beside_protocols_that_ask_the_like(row):
    assert row.protocols
    for name in row.protocols:
        protocol = PROTOCOLS[name]
        assert protocol.judgment or not row.judgment
        assert protocol.selection or not row.selection
        assert ("auc" in row.judgment) == (protocol.metric == "auc")
        assert row in published(name)
        assert row in published(name, row.data)


def test_no_row_stands_twice():
    assert len({(row.simulator, row.data, row.source) for row in PUBLISHED}) == len(PUBLISHED)


@pytest.mark.parametrize("row", rows_of("microlens-100k").values(), ids=lambda row: row.simulator)
def test_the_pools_of_microlens_were_balanced(row):
    assert 0.49 <= row.base_rate <= 0.5
    accuracy, precision, recall = (row.judgment[name] for name in ("accuracy", "precision", "recall"))
    said_no_wrongly = (1 - recall) * row.base_rate
    said_yes_wrongly = row.base_rate * recall * (1 / precision - 1)
    assert said_no_wrongly + said_yes_wrongly == pytest.approx(1 - accuracy)
    f1 = 2 * precision * recall / (precision + recall)
    assert f1 == pytest.approx(row.judgment["f1"], abs=0.0011)  # the paper's own numbers agree


def test_without_precision_and_recall_there_is_no_base_rate():
    assert rows_of("ml-1m")["VRAgent-R1"].base_rate is None
    assert rows_of("ml-100k")["TALLRec, 16 examples"].base_rate is None


def test_numbers_that_imply_no_base_rate_have_none():
    perfect = PublishedRow("x", "tiny", "s", ("uniform",), {"accuracy": 1.0, "precision": 1.0, "recall": 1.0})
    assert np.isnan(implied_base_rate(1.0, 1.0, 1.0))
    assert perfect.base_rate is None


def test_rows_are_found_by_protocol_and_data():
    assert {row.data for row in published("vragent-paper")} == {"microlens-100k"}
    assert {row.data for row in published("uniform")} == {"ml-1m", "steam"}
    assert {row.data for row in published("uniform", "steam")} == {"steam"}
    assert published("vragent-paper", "steam") == published("rank-matched") == published("no such protocol") == []


def test_the_tables_have_a_cell_for_every_number_and_a_dash_for_what_is_not_told():
    [table] = published_tables(published("vragent-code"))
    heads = ["simulator", "accuracy", "precision", "recall", "f1", "m = 3", "m = 4", "base rate"]
    assert [column.header for column in table.columns] == heads
    told = [list(column.cells) for column in table.columns]
    rows = {row[0]: row[1:] for row in zip(*told, strict=True)}
    assert rows["VRAgent-R1"][:-1] == (".715", ".697", ".760", ".727", ".641", ".602")
    assert rows["Agent4Rec"][4:6] == ("-", "-")
    assert all(".490" <= row[-1] <= ".500" for row in rows.values())
    assert len(published_tables(published("agent4rec-1to1"))) == 5  # films by three sources, games by two
    assert published_tables([]) == []


ABLATION_TABLE = """
| SFT | .585 | .679 | .442 | .381 |
| GRPO, no CoT | .580 | .592 | .324 | .263 |
| GRPO, no comments | .695 | .705 | .618 | .577 |
| GRPO, no captions | .680 | .686 | .609 | .569 |
| GRPO | .715 | .727 | .646 | .602 |
"""  # accuracy, F1, accuracy with m = 3 and 4: MicroLens-100K, AAAI 2026


def test_the_ablation_is_that_of_the_paper_and_names_variants_of_the_suite():
    told = {row.simulator: row for row in ABLATION}
    assert list(told) == list(lines(ABLATION_TABLE))
    for name, cells in lines(ABLATION_TABLE).items():
        accuracy, f1, *chosen = map(float, cells)
        assert told[name].judgment == {"accuracy": accuracy, "f1": f1}, name
        assert told[name].selection == dict(zip((3, 4), chosen, strict=True)), name
    assert set(told) < {variant.name for variant in VARIANTS}
