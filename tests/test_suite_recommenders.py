"""The suites recommenders and ip-ablation: fair rankings, rows that the data allow, published numbers, going on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.about_items import write_tables
from vrsim import recommender_suite
from vrsim.comparisons import holm
from vrsim.errors import ResultsError
from vrsim.last_items import METRICS, gains, last_ranks
from vrsim.recommender import Popularity
from vrsim.world import World

pytest.importorskip("torch", reason="the extra vrsim[recbole] is not installed")
pytest.importorskip("recbole", reason="the extra vrsim[recbole] is not installed")

from vrsim.recommender_suite import RankingConfig, ranking_json, run_ranking
from vrsim.worlds import train_recommender

ROWS = ("popularity", "LightGCN", "MMGCN", "SASRec", "SASRec T", "SASRec F", "SASRec + IP")

pytestmark = pytest.mark.usefixtures("home")


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return write_tables(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def config(tables):
    captions = {"ip": tables / "full.parquet"}
    options = {"epochs": 2, "LightGCN.epochs": 1, "hidden_size": 16}
    return RankingConfig("recommenders", "tiny", captions, tables / "vectors.parquet", options, ROWS, seeds=2)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("suite") / "table"


@pytest.fixture(scope="module")
def result(config, out):
    return run_ranking(config, out)


@pytest.fixture(scope="module")
def rows(result):
    return {row.row.name: row for row in result.rows}


def both(result) -> dict[str, np.ndarray]:
    """HR@10 of every user by row, the mean of the seeds, from the models in the cache."""
    world, users, found = World.load("tiny"), np.arange(200), {}
    for row in (row for row in result.rows if row.row.model == "SASRec"):
        models = [train_recommender(world, "SASRec", {**row.settings, "seed": seed}) for seed in range(2)]
        found[row.row.name] = np.mean([gains(last_ranks(model, world, users))[0] for model in models], axis=0)
    found["popularity"] = gains(last_ranks(Popularity(world.popularity), world, users))[0]
    return found


# The table


def test_the_metrics_of_a_model_are_those_of_recbole(rows):
    world = World.load("tiny")
    for name in ("LightGCN", "SASRec"):
        row = rows[name]
        for seed, found in enumerate(row.by_seed):
            test = train_recommender(world, row.row.model, {**row.settings, "seed": seed}).report["test"]
            assert list(found.values()) == pytest.approx(
                [test[key] for key in ("hit@10", "ndcg@10", "hit@20", "ndcg@20")], abs=1e-5
            )
        mean = np.mean([list(found.values()) for found in row.by_seed], axis=0)
        assert [row.metrics[metric].value for metric in METRICS] == pytest.approx(mean)
        assert all(value.low < value.value < value.high for value in row.metrics.values())


def test_differences_are_paired_over_users_and_corrected_together(rows, result):
    values = both(result)
    difference = rows["SASRec"].over["popularity"].difference
    expected = values["SASRec"] - values["popularity"]
    assert difference.value.value == pytest.approx(expected.mean())
    assert (difference.better, difference.worse) == ((expected > 0).sum(), (expected < 0).sum())
    assert difference.metric == "HR@10"
    for reference in ("popularity", "SASRec"):
        lifts = [row.over[reference] for name, row in rows.items() if name != reference]
        assert [lift.p for lift in lifts] == holm([lift.difference.p for lift in lifts])
    assert "SASRec" not in rows["SASRec"].over


def test_rows_read_what_their_names_say(rows):
    assert list(rows) == list(ROWS)
    assert rows["SASRec"].settings == {"epochs": 2, "hidden_size": 16}
    assert rows["LightGCN"].settings == {"epochs": 1}
    assert rows["SASRec T"].settings | {"features": "text", "ids": False} == rows["SASRec T"].settings
    assert rows["SASRec F"].settings["features"] == rows["MMGCN"].settings["features"] == "text+image+video"
    assert rows["SASRec + IP"].settings == rows["SASRec T"].settings
    assert rows["SASRec + IP"].by_seed != rows["SASRec T"].by_seed  # the text is another one
    assert len(rows["popularity"].by_seed) == 1
    assert rows["SASRec"].published.metrics["HR@10"] == 0.0909
    assert rows["popularity"].published is None


# Going on


def test_the_same_again_trains_and_ranks_nothing(config, out, result, monkeypatch):
    before = {file: file.stat().st_mtime_ns for file in (out / "cells").iterdir()}
    assert len(before) == 2 * (len(ROWS) - 1)
    monkeypatch.setattr(recommender_suite, "train_recommender", None)  # a call would fail
    assert run_ranking(config, out) == result
    assert {file: file.stat().st_mtime_ns for file in (out / "cells").iterdir()} == before
    assert json.loads((out / "ranking.json").read_text()) == json.loads(json.dumps(ranking_json(result)))
    fewer = run_ranking(replace(config, seeds=1, rows=("SASRec",)), out)
    assert [row.by_seed for row in fewer.rows] == [row.by_seed[:1] for row in result.rows if row.row.name == "SASRec"]
    run_ranking(config, out)


def test_a_killed_suite_goes_on(config, result, tmp_path):
    config, killed = replace(config, rows=("SASRec", "GRU4Rec")), tmp_path / "killed"

    def progress(done, total, what):
        if done > 2.4:  # in the first training of the second row
            raise Killed

    with pytest.raises(Killed):
        run_ranking(config, killed, progress)
    assert sorted(file.name.rsplit("-", 1)[0] for file in (killed / "cells").iterdir()) == ["gru4rec-0", "gru4rec-1"]
    assert not (killed / "ranking.json").exists()
    again = run_ranking(config, killed)
    assert [row.by_seed for row in again.rows][1:] == [row.by_seed for row in result.rows if row.row.name == "SASRec"]


def test_a_folder_of_another_table_is_left_alone(config, out, result, tables, tmp_path):
    for change in ({"users": 5}, {"options": {"epochs": 3}}, {"captions": {"ip": tables / "same.parquet"}}):
        with pytest.raises(ResultsError, match=f"already holds another table: {next(iter(change))} is .* there and"):
            run_ranking(replace(config, **change), out)
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ResultsError, match=r"holds something else than this suite \(thesis.tex\)"):
        run_ranking(config, tmp_path)
    first = sorted((out / "cells").iterdir())[0]
    content = first.read_bytes()
    first.write_bytes(content[:-1])
    with pytest.raises(ResultsError, match="is damaged: expected 800 bytes, found 799; delete it"):
        run_ranking(config, out)
    first.write_bytes(content)


# The commands


@pytest.fixture
def command(vrsim_command):
    """The command line on the tiny world."""
    return lambda *words: vrsim_command("bench", "--world", "tiny", *words)


def test_the_ablation_of_captions_prints_tables_that_fit_a_terminal(command, tables):
    given = ("--captions", tables / "full.parquet", "--captions", f"no-rra={tables / 'same.parquet'}")
    words = ("--suite", "ip-ablation", *given, "--option", "epochs=1", "--seeds", 1, "--users", 50, "--out", "run")
    code, text, err = command(*words)
    assert code == 0, err
    for word in ("ids alone", "titles alone", "full", ".0994", ".0980", "over full", "50 users, 1 seed", "popularity"):
        assert word in text
    assert "left out: no-kfr: it reads captions with random frames: --captions no-kfr=FILE" in text
    assert "captions full: 2 of 160 items have none" in text
    assert max(len(line) for line in text.splitlines() if line.startswith((" ", "─"))) <= 80
    code, text, _ = command(*words, "--json")
    told = json.loads(text)
    assert code == 0
    assert told == {"out": "run", **json.loads(Path("run/ranking.json").read_text())}
    assert [row["name"] for row in told["rows"]] == ["popularity", "ids alone", "titles alone", "full", "no-rra"]
    assert [row["published"] and row["published"]["metrics"]["HR@10"] for row in told["rows"]][1:] == [
        0.0909, 0.0916, 0.0994, 0.0816,
    ]  # fmt: skip
    assert len({row["by_seed"][0]["NDCG@20"] for row in told["rows"]}) == 5
    assert "no-cmp" in told["left_out"]


def test_an_interrupted_command_says_how_to_go_on(command, monkeypatch):
    def interrupted(*anything):
        raise KeyboardInterrupt

    monkeypatch.setattr(recommender_suite, "train_recommender", interrupted)
    code, _, err = command("--suite", "recommenders", "--row", "SASRec", "--out", "run")
    assert code == 130
    assert "stopped; the same command goes on where it stopped" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--suite recommender", "unknown suite 'recommender'. Did you mean 'recommenders'"),
        ("--suite recommenders --model pocket", "--model does not go with --suite recommenders"),
        ("--suite recommenders --protocol uniform", "--protocol does not go with --suite recommenders"),
        ("--suite recommenders --m 2", "--m does not go with --suite recommenders"),
        ("--suite ip-ablation --vectors v.parquet", "--vectors does not go with --suite ip-ablation"),
        ("--captions a.parquet", "--captions belongs to --suite recommenders or ip-ablation"),
        ("--suite us-ablation --row SFT", "--row does not go with --suite us-ablation"),
        ("--suite recommenders --row SASRek", "unknown row of recommenders 'SASRek'. Did you mean 'SASRec'"),
        ("--suite recommenders --captions ipp=a.parquet", "unknown captions of recommenders 'ipp'. Did you mean 'ip'"),
        ("--suite recommenders --captions a --captions ip=b", "the captions ip are given twice: a and b"),
        ("--suite recommenders --captions none.parquet", "none.parquet"),
        (
            "--suite recommenders --vectors none.parquet",
            "none.parquet: expected a parquet file with the columns item_id",
        ),
        ("--suite ip-ablation", "no captions to compare: give --captions NAME=FILE, the names are full, no-kfr"),
        ("--suite recommenders --row SASRec+IP --row SASRec", "unknown row of recommenders 'SASRec+IP'"),
        ("--suite recommenders --option epoch=2", "'epoch'. Did you mean 'epochs'"),
        ("--suite recommenders --option epochs=0", "option epochs of DSSM must be an integer from 1, found 0"),
        ("--suite recommenders --option BPR.epochs=2", "unknown model of the rows 'BPR'"),
        ("--suite recommenders --option DSSM.preset=microlens", "unknown option of DSSM 'preset'"),
        ("--suite recommenders --option preset=microlen", "unknown preset 'microlen'. Did you mean 'microlens'"),
        ("--suite recommenders --option seed=1", "give their number as --seeds"),
        ("--suite recommenders --option vectors=v.parquet", "give the table of vectors as --vectors"),
        ("--suite recommenders --seeds 0", "seeds must be an integer from 1, found 0"),
        ("--suite recommenders --users -1", "users must be an integer from 0, found -1"),
    ],
)
def test_wrong_input_is_one_clear_error_before_anything_is_trained(words, message, command, tmp_path):
    code, out, err = command(*words.split())
    assert (code, out) == (1, "")
    assert message in " ".join(err.split())
    assert not (tmp_path / "runs").exists()
