"""RecBole's models as recommenders: they learn what they may see, are stored safely, and leave no trace."""

import json
import logging
import random
import sys
from pathlib import Path

import numpy as np
import pytest

from vrsim.errors import OptionError, UnknownNameError, WorldError
from vrsim.interactions import Interactions
from vrsim.tiny import tiny_data
from vrsim.world import World
from vrsim.worlds import train_recommender

torch = pytest.importorskip("torch", reason="the extra vrsim[recbole] is not installed")
pytest.importorskip("recbole", reason="the extra vrsim[recbole] is not installed")

from vrsim.recommender.recbole_models import RecBoleRecommender  # noqa: E402
from vrsim.recommender.recbole_settings import RecBoleConfig, recbole_models  # noqa: E402
from vrsim.recommender.recbole_setup import contained, prepare  # noqa: E402

NAMED = ("SASRec", "GRU4Rec", "NextItNet", "LightGCN", "DeepFM", "DSSM", "BPR", "EASE", "ItemKNN", "Pop")
WINDOWED = ("SASRec", "GRU4Rec", "NextItNet")
DATA = tiny_data()
USERS = np.arange(20)


def train(model, interactions=DATA.interactions, **options):
    config = RecBoleConfig(model, {"epochs": 1} | options)
    return RecBoleRecommender.train(config, interactions, DATA.catalog)


def scores(recommender, interactions=DATA.interactions):
    t = interactions.lengths[USERS] - 1
    return recommender.score(USERS, interactions.histories(USERS, t, 50))


@pytest.fixture(scope="module", params=NAMED)
def trained(request):
    return train(request.param)


def test_every_model_scores_every_item(trained):
    found = scores(trained)
    assert found.shape == (len(USERS), DATA.catalog.n_items + 1)
    assert found.dtype == np.float32
    assert np.isfinite(found[:, 1:]).all()
    assert np.isneginf(found[:, 0]).all()
    assert set(trained.report["test"]) == {"hit@10", "hit@20", "ndcg@10", "ndcg@20"}


def test_a_stored_model_scores_as_before(trained, tmp_path):
    trained.save(tmp_path)
    again = RecBoleRecommender.load(tmp_path, DATA.interactions, DATA.catalog, 1)
    np.testing.assert_allclose(scores(again), scores(trained), atol=1e-6)
    assert again.report == trained.report
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "weights.safetensors"]


def test_a_damaged_weights_file_is_an_error(tmp_path):
    train("Pop").save(tmp_path)
    file = tmp_path / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(WorldError, match="weights"):
        RecBoleRecommender.load(tmp_path, DATA.interactions, DATA.catalog, 1)


@pytest.mark.parametrize("model", ["SASRec", "BPR", "EASE", "DSSM"])
def test_training_does_not_see_the_held_out_item(model):
    items = DATA.interactions.items.copy()
    # RecBole numbers items by first appearance: only the last users may change, or every number does.
    last = DATA.interactions.offsets[151:] - 1
    items[last] = np.roll(items[last], 1)
    assert {*items[last]} <= {*items[: last[0]]}
    changed = Interactions(DATA.interactions.offsets, items)
    np.testing.assert_allclose(scores(train(model)), scores(train(model, changed)), atol=1e-6)


def test_more_held_out_interactions_leave_less_to_learn_from():
    config = RecBoleConfig("Pop", {"epochs": 1})
    popularity = RecBoleRecommender.train(config, DATA.interactions, DATA.catalog, holdout=2)
    seen = DATA.interactions.training_rows(holdout=3)  # RecBole keeps one more back for validation
    counts = np.bincount(DATA.interactions.items[seen], minlength=DATA.catalog.n_items + 1)
    np.testing.assert_allclose(scores(popularity)[0, 1:], counts[1:] / counts.max(), atol=1e-6)


def test_equal_seeds_give_equal_models():
    np.testing.assert_array_equal(scores(train("SASRec")), scores(train("SASRec")))


@pytest.mark.parametrize("model", WINDOWED)
def test_no_state_depends_on_a_later_item(model):
    network = train(model)._model.eval()
    one = torch.arange(1, 51).unsqueeze(0)
    other = one.clone()
    other[0, 30:] = 7
    with torch.no_grad():
        difference = (network.states(one) - network.states(other)).abs().amax(dim=-1)[0]
    assert difference[:30].max() < 1e-5
    assert difference[30:].max() > 1e-3


@pytest.mark.parametrize("model", ["SASRec", "GRU4Rec"])
def test_the_window_loss_is_the_mean_of_recboles_prefix_losses(model):
    from recbole.model import sequential_recommender as original

    network = train(model)._model.eval()
    sequence = torch.zeros(1, 50, dtype=torch.long)
    sequence[0, :12] = torch.arange(3, 15)
    window = {"item_id_list": sequence, "item_length": torch.tensor([12]), "item_id": torch.tensor([40])}
    targets = [*range(4, 15), 40]
    losses = []
    for length, target in enumerate(targets, 1):
        prefix = sequence.clone()
        prefix[0, length:] = 0
        row = {"item_id_list": prefix, "item_length": torch.tensor([length]), "item_id": torch.tensor([target])}
        own = getattr(original, model)
        state = own.forward(network, prefix, torch.tensor([length]))
        losses.append(network.loss_fct(state @ network.item_embedding.weight.T, row["item_id"]).item())
    assert network.calculate_loss(window).item() == pytest.approx(np.mean(losses), abs=1e-5)


@pytest.mark.parametrize("longest", [4, 50])
def test_windows_cover_every_training_target_once(longest, tmp_path):
    with contained():
        config = RecBoleConfig("SASRec", {"MAX_ITEM_LIST_LENGTH": longest})
        _, dataset = prepare(config, DATA.interactions, DATA.catalog, 1, tmp_path)
        ours = dict(zip(dataset.token2id("item_id", np.arange(1, 161).astype(str)), range(1, 161), strict=True))
        train_part, valid, test = dataset.build()
    whose = {int(dataset.token2id("user_id", str(user))): user for user in range(DATA.interactions.n_users)}
    seen = {user: [] for user in whose.values()}
    for row in range(len(train_part)):
        columns = train_part.inter_feat
        length = int(columns["item_length"][row])
        window = [ours[i] for i in columns["item_id_list"][row, :length].tolist()]
        assert length <= longest
        seen[whose[int(columns["user_id"][row])]].append([*window, ours[int(columns["item_id"][row])]])
    for user, windows in seen.items():
        history = DATA.interactions.of(user).tolist()
        assert [item for window in windows for item in window[1:]] == history[1:-2]
        assert all(" ".join(map(str, w)) in " ".join(map(str, history)) for w in windows)
    assert len(valid) == len(test) == DATA.interactions.n_users


def test_unknown_models_and_options_name_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'SASRec'"):
        train("SASRek")
    with pytest.raises(UnknownNameError, match="Did you mean 'epochs'"):
        train("BPR", epoch=3)
    assert {*NAMED} <= {*recbole_models()}


def test_an_option_that_recbole_refuses_is_an_option_error():
    with pytest.raises(OptionError, match="nonsense"):
        train("BPR", train_neg_sample_args={"distribution": "nonsense"})


def test_an_option_of_the_wrong_kind_is_an_option_error():
    with pytest.raises(OptionError, match="epochs of BPR must be a number like 100, found 'many'"):
        train("BPR", epochs="many")


def test_recbole_leaves_no_trace(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["somebody's script", "--seed=77", "--epochs=3", "--model=Pop"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    states = random.getstate(), np.random.get_state()[1].copy(), torch.random.get_rng_state()
    handlers, level = list(logging.root.handlers), logging.root.manager.disable
    recommender = train("BPR")
    assert recommender.report["epochs"] == 1
    assert recommender._settings["seed"] == 2020
    assert recommender._settings["model"] == "BPR"
    assert list(tmp_path.iterdir()) == []
    assert random.getstate() == states[0]
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])
    assert torch.equal(torch.random.get_rng_state(), states[2])
    assert (list(logging.root.handlers), logging.root.manager.disable) == (handlers, level)
    assert not torch.is_anomaly_enabled()
    assert "float" not in np.__dict__


def test_a_second_model_on_a_world_is_trained_once(monkeypatch, tmp_path):
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path))
    world = World.load("tiny")
    first = train_recommender(world, "ItemKNN", {"k": 5})
    monkeypatch.setattr(RecBoleRecommender, "train", None)  # a second training would fail
    again = train_recommender(world, "ItemKNN", {"k": 5})
    np.testing.assert_allclose(scores(again), scores(first), atol=1e-6)


@pytest.fixture(scope="module")
def movielens(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VRSIM_HOME", str(home))
        yield World.load("ml-100k:recommender=EASE")


@pytest.mark.ml100k
def test_movielens_100k_is_whole(movielens):
    assert movielens.manifest["counts"] == {"users": 943, "items": 1682, "interactions": 100_000}
    assert movielens.catalog.label(1) == "Toy Story (1995)"
    assert movielens.catalog.genres[1] == ["Animation", "Children's", "Comedy"]
    assert not any(movielens.manifest["skipped"].values())
    times = movielens.interactions.times
    inside = np.ones(len(times) - 1, bool)
    inside[movielens.interactions.offsets[1:-1] - 1] = False
    assert (np.diff(times)[inside] >= 0).all()


@pytest.mark.ml100k
def test_recbole_and_the_candidates_agree(movielens):
    """RecBole's evaluator and our ranking are independent; for EASE both leave the history out."""
    assert movielens.hits(10) == pytest.approx(movielens.manifest["recommender"]["test"]["hit@10"], abs=1e-6)
    assert movielens.hits(10) > 0.12
    files = {Path(name).suffix for name in movielens.manifest["files"]}
    assert files == {".npy", ".parquet", ".safetensors", ".json"}


@pytest.mark.ml100k
def test_the_stored_recommender_ranks_as_the_candidates_say(movielens):
    users, t = movielens.held_out
    histories = movielens.interactions.histories(users[:50], t[:50], 50)
    found = movielens.recommender.score(users[:50], histories)
    best = np.take_along_axis(found, movielens.candidates[:50].astype(int), axis=1)
    assert (np.diff(best, axis=1) <= 1e-6).all()


@pytest.mark.ml100k
def test_sasrec_learns_on_movielens_within_an_epoch(movielens):
    config = RecBoleConfig("SASRec", {"epochs": 1})
    trained = RecBoleRecommender.train(config, movielens.interactions, movielens.catalog)
    assert trained.report["test"]["hit@10"] > 0.05  # popularity reaches .055, chance .006
    assert json.dumps(trained.report)
