"""The rows of the suites of recommenders: published numbers, what they need, how they are trained and how they rank."""

import numpy as np
import pytest

from tests.about_items import write_tables
from vrsim.captioned import captioned
from vrsim.errors import OptionError
from vrsim.last_items import METRICS, gains, last_ranks
from vrsim.published import RANKINGS
from vrsim.recommender import ItemTransitions, Popularity, rank_targets, rank_unseen
from vrsim.recommender_options import row_options
from vrsim.recommender_rows import RANKING_SUITES, allowed_rows

# VRAgent-R1: HR@10, NDCG@10, HR@20, NDCG@20 on MicroLens-100K; the ablation tells those at 10.
TABLE = """
| DSSM | .0394 | .0193 | .0654 | .0258 |
| LightGCN | .0372 | .0177 | .0618 | .0239 |
| DeepFM | .0350 | .0170 | .0571 | .0225 |
| NextItNet | .0805 | .0442 | .1175 | .0535 |
| NextItNet + V | .0862 | .0466 | .1246 | .0562 |
| GRU4Rec | .0782 | .0432 | .1147 | .0515 |
| MMGCN | .0778 | .0423 | .1138 | .0513 |
| SASRec | .0909 | .0517 | .1278 | .0610 |
| SASRec T | .0916 | .0490 | .1343 | .0598 |
| SASRec I | .0942 | .0511 | .1358 | .0613 |
| SASRec V | .0948 | .0515 | .1364 | .0619 |
| SASRec F | .0953 | .0517 | .1362 | .0623 |
| SASRec + MLLM-MSR | .0606 | .0351 | .0911 | .0446 |
| NextItNet + IP | .0884 | .0478 | .1278 | .0583 |
| SASRec + IP | .0994 | .0548 | .1418 | .0655 |
| SASRec + IP, no-kfr | .0980 | .0542 |
| SASRec + IP, no-cmp | .0960 | .0519 |
| SASRec + IP, no-rra | .0816 | .0466 |
"""


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return write_tables(tmp_path_factory.mktemp("tables"))


# Ranking


def test_ranks_are_those_of_a_plain_loop(tiny):
    users = np.arange(40)
    found = last_ranks(Popularity(tiny.popularity), tiny, users)
    for user in users:
        *history, target = tiny.interactions.of(user).tolist()
        unseen = [item for item in range(1, 161) if item not in history]
        ordered = sorted(unseen, key=lambda item: (-tiny.popularity[item], item))
        assert found[user] == 1 + ordered.index(target)


def test_ranks_are_those_of_the_world(tiny):
    users, t = tiny.held_out
    recommender = ItemTransitions(tiny.interactions, tiny.n_items, 1)
    ranks = rank_unseen(recommender, tiny.interactions, tiny.n_items, users, t, 5)[1]
    np.testing.assert_array_equal(rank_targets(recommender, tiny.interactions, tiny.n_items, users, t), ranks)
    np.testing.assert_array_equal(last_ranks(recommender, tiny, users), tiny.target_ranks)


def test_gains_are_hits_and_discounted_gains():
    expected = [[1, 1, 0, 0], [1, 0.5, 0, 0], [1, 1, 1, 0], [1, 0.5, 1 / np.log2(12), 0]]
    np.testing.assert_allclose(gains(np.array([1, 3, 11, 21])), expected)


# Rows


def test_the_published_table_is_that_of_the_paper_and_stands_beside():
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.strip().splitlines()]
    expected = {name: dict(zip(METRICS, map(float, cells), strict=False)) for name, *cells in lines}
    assert {row.recommender: row.metrics for row in RANKINGS} == expected
    known = [row.beside for suite in RANKING_SUITES.values() for row in suite.rows]
    assert set(expected) <= set(known)
    ablation = {row.name: row.beside for row in RANKING_SUITES["ip-ablation"].rows}
    assert (ablation["full"], ablation["ids alone"]) == ("SASRec + IP", "SASRec")


def test_what_the_data_do_not_allow_is_left_out_with_the_reason(tiny, tables):
    suite = RANKING_SUITES["recommenders"]
    bare = allowed_rows(tiny, suite, {}, None)
    assert set(bare.left_out) | {row.name for row in bare.rows} == {row.name for row in suite.rows}
    assert bare.left_out["SASRec V"] == "it reads video vectors: --vectors FILE with the columns item_id, video"
    assert bare.left_out["SASRec + MLLM-MSR"] == "it reads the captions of MLLM-MSR: --captions mllm-msr=FILE"
    assert [row.reads for row in bare.rows if row.name == "MMGCN"] == [("text",)]
    images = allowed_rows(tiny, suite, {"ip": tables / "full.parquet"}, tables / "images.parquet")
    assert set(images.left_out) == {"NextItNet + V", "SASRec V", "SASRec F", "SASRec + MLLM-MSR"}
    assert images.notes == ["captions ip: 2 of 160 items have none and are read by their titles"]
    own = allowed_rows(captioned(tiny, tables / "full.parquet"), suite, {}, None)
    assert {"SASRec + IP", "NextItNet + IP"} <= {row.name for row in own.rows}
    assert own.worlds[""].catalog.captions == tiny.catalog.captions  # its other rows read no caption


def test_other_captions_make_another_world(tiny, tables):
    told = captioned(tiny, tables / "full.parquet")
    assert told.catalog.captions[:3] == ["", "", ""]
    assert told.catalog.captions[3] == f"about {' and '.join(tiny.catalog.genres[3])}"
    assert len({tiny.hash, told.hash, captioned(tiny, tables / "same.parquet").hash}) == 3
    assert captioned(tiny, tables / "full.parquet").hash == told.hash
    assert captioned(tiny, None) is tiny
    assert captioned(told, None).catalog.captions == tiny.catalog.captions


def test_a_setting_goes_to_the_models_that_have_it():
    pytest.importorskip("recbole", reason="the extra vrsim[recbole] is not installed")
    rows = [row for row in RANKING_SUITES["recommenders"].rows if row.name in ("LightGCN", "SASRec", "NextItNet")]
    found = row_options(
        rows, {"MAX_ITEM_LIST_LENGTH": 20}, {"preset": "microlens", "SASRec.epochs": 3, "epochs": 2}, None
    )
    assert found == {
        "LightGCN": {"epochs": 2},
        "NextItNet": {"preset": "microlens", "epochs": 2},
        "SASRec": {"preset": "microlens", "epochs": 3},
    }
    assert row_options(rows, {"MAX_ITEM_LIST_LENGTH": 20}, {}, None)["SASRec"] == {"MAX_ITEM_LIST_LENGTH": 20}


def test_rows_that_cannot_be_made_are_an_error_if_no_other_is_left(tiny, tables):
    with pytest.raises(OptionError, match="no row is left; SASRec I is not there because it reads image vectors"):
        allowed_rows(tiny, RANKING_SUITES["recommenders"], {}, None).only(["SASRec I"])
