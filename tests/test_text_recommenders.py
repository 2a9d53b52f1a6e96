"""Recommenders that read what is known of the items: what they learn, store and refuse; MicroLens's way to train."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vrsim.catalog import Catalog
from vrsim.errors import DataError, OptionError, UnknownNameError
from vrsim.interactions import Interactions
from vrsim.seeding import generator
from vrsim.tiny import tiny_data
from vrsim.world import World
from vrsim.worlds import train_recommender

torch = pytest.importorskip("torch", reason="the extra vrsim[recbole] is not installed")
pytest.importorskip("recbole", reason="the extra vrsim[recbole] is not installed")

from vrsim.recommender.recbole_models import RecBoleRecommender  # noqa: E402
from vrsim.recommender.recbole_settings import RecBoleConfig, recbole_models, resolved_options  # noqa: E402
from vrsim.recommender.recbole_setup import contained, prepare  # noqa: E402

DATA = tiny_data()
USERS = np.arange(20)
MICROLENS = {"preset": "microlens", "hidden_size": 16}


def train(model, data=DATA, **options):
    return RecBoleRecommender.train(RecBoleConfig(model, {"epochs": 1} | options), data.interactions, data.catalog)


def scores(recommender, data=DATA, users=USERS):
    return recommender.score(users, data.interactions.histories(users, data.interactions.lengths[users] - 1, 50))


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """A table of vectors of images, which the last item lacks, and of videos."""
    file = tmp_path_factory.mktemp("vectors") / "vectors.parquet"
    rng = generator(0, "vectors")
    images, videos = rng.normal(size=(160, 8)).tolist(), rng.normal(size=(160, 5)).tolist()
    images[-1] = None
    pq.write_table(pa.table({"item_id": DATA.catalog.ids[1:], "image": images, "video": videos}), file)
    return file


def cold_world():
    """20 topics of 8 known and 4 new items, with four words in common each; all read one topic, a new item last."""
    rng = generator(0, "cold")
    words = ["".join(rng.choice(list("abcdefghiklmnoprstuvw"), 6)) for _ in range(20 * 4 + 240)]
    titles = [" ".join([*words[240 + i // 12 * 4 :][:4], words[i]]) for i in range(240)]
    rows = []
    for user in range(240):
        first = user % 20 * 12 + 1
        rows.append([*(first + rng.permutation(8)), first + 8 + user // 20 % 4])
    columns = {"item_id": list(map(str, range(240))), "title": titles, "year": [0] * 240}
    table = pa.table(columns | {"genres": [[]] * 240, "caption": [""] * 240}, schema=Catalog.SCHEMA)
    interactions = Interactions(np.arange(241) * 9, np.concatenate(rows).astype(np.int32))
    return type(DATA)(interactions, Catalog(table), pa.array(map(str, range(240)), pa.string()), {})


def test_text_finds_items_that_nobody_has_taken_yet_and_ids_do_not():
    data = cold_world()
    read = train("SASRecText", data, ids=False, epochs=4)
    blind = train("SASRec", data, epochs=6)
    assert read.report["test"]["hit@10"] > 0.8
    assert blind.report["valid"]["hit@10"] > 0.8  # it has learned as much of the items that it knows
    assert blind.report["test"]["hit@10"] < 0.05  # 10 of 232 unseen items are .043


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("SASRecText", {}),
        ("SASRecText", {"ids": False, "layers": 2}),
        ("GRU4RecText", {}),
        ("NextItNetText", {"ids": False}),
        ("MMGCN", {}),
        ("SASRecText", MICROLENS),
    ],
)
def test_every_variant_scores_every_item_and_is_stored_whole(model, options, tmp_path):
    trained = train(model, **options)
    found = scores(trained)
    assert np.isfinite(found[:, 1:]).all()
    assert trained.report["features"] == {"text": {"dimensions": 160, "items_without": 0}}
    trained.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "features.safetensors", "weights.safetensors"]
    again = RecBoleRecommender.load(tmp_path, DATA.interactions, DATA.catalog, 1)
    np.testing.assert_allclose(scores(again), found, atol=1e-6)
    assert again.report == trained.report


def test_the_features_of_an_item_stay_with_it_and_stay_as_they_are():
    from vrsim.features import item_texts, text_features

    trained = train("SASRecText", ids=False)
    given = text_features(item_texts(DATA.catalog))
    held = trained._model.item_embedding.get_buffer("features_text").numpy()
    np.testing.assert_array_equal(held[trained._recbole_items], given)
    projected = held @ trained._model.item_embedding.projections[0][0].weight.detach().numpy().T
    np.testing.assert_allclose(trained._model.item_embedding.weight.detach().numpy(), projected, atol=1e-5)
    assert not any("features" in name for name in trained._model.state_dict())


def test_several_features_are_pooled_and_what_an_item_lacks_is_zeros(vectors):
    trained = train("SASRecFused", vectors=str(vectors), ids=False)
    table = trained._model.item_embedding
    assert table.names == ("text", "image", "video")
    shares = table.shares.softmax(dim=0)
    assert (shares != 1 / 3).all()  # they were learned
    parts = [project(rows) for project, rows in zip(table.projections, table._features(), strict=True)]
    expected = sum(share * part for share, part in zip(shares, parts, strict=True))
    torch.testing.assert_close(table.weight, expected)
    torch.testing.assert_close(table(torch.tensor([[3, 0]])), expected[[3, 0]].unsqueeze(0))
    last = trained._recbole_items[160]
    assert not parts[1][last].any()
    assert trained.report["features"]["image"] == {"dimensions": 8, "items_without": 1}


def test_a_stored_model_needs_its_table_no_more(vectors, tmp_path, monkeypatch):
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path))
    world = World.load("tiny")
    file = tmp_path / "vectors.parquet"
    file.write_bytes(vectors.read_bytes())
    options = {"vectors": str(file), "epochs": 1}
    first = train_recommender(world, "GRU4RecImage", options)
    key = resolved_options(RecBoleConfig("GRU4RecImage", options))["vectors"]
    monkeypatch.setattr(RecBoleRecommender, "train", None)  # a second training would fail
    file.unlink()
    again = train_recommender(world, "GRU4RecImage", options | {"vectors": key})
    np.testing.assert_allclose(scores(again), scores(first), atol=1e-6)


def test_mmgcn_gathers_the_mean_of_the_neighbours():
    network = train("MMGCN", n_layers=1)._model.eval()
    graph, users = network.graphs[0], network.n_users
    nodes = torch.nn.functional.normalize(torch.cat([graph.preferences, graph.project(graph.features)]))
    linked = [set() for _ in range(len(nodes))]
    index = network.neighbours.indices().T.tolist()
    for one, other in index:
        linked[one].add(other)
    assert all((one < users) != (other < users) for one, other in index)
    leaky = torch.nn.functional.leaky_relu
    for node in (1, 7, users + 1, users + 40):
        near = [graph.gather[0](nodes[other]) for other in linked[node]]
        around = torch.stack(near).mean(dim=0) if near else torch.zeros(64)
        joined = graph.join[0](leaky(around)) + leaky(graph.keep[0](nodes[node])) + network.ids[node]
        torch.testing.assert_close(network.forward()[node], leaky(joined))


def test_mmgcn_learns():
    first, later = (train("MMGCN", epochs=epochs).report["test"]["ndcg@20"] for epochs in (1, 15))
    assert later > 1.3 * first


def test_the_in_batch_loss_is_that_of_a_plain_loop():
    network = train("SASRec", **MICROLENS)._model.eval()
    items = torch.tensor([[3, 4, 5, 6], [4, 7, 8, 0], [9, 3, 0, 0]])  # windows and their last targets
    sequence = torch.tensor([[3, 4, 5], [4, 7, 0], [9, 0, 0]])
    batch = {"item_id_list": sequence, "item_length": torch.tensor([3, 2, 1]), "item_id": torch.tensor([6, 8, 3])}
    states = network.states(sequence)
    table, share = network.item_embedding.weight, network.log_popularity.exp()
    losses = []
    for user, row in enumerate(items.tolist()):
        for place, target in enumerate(row[1:]):
            if target:
                wrong = [item for other in items.tolist() for item in other if item and item not in row]
                odds = [(states[user, place] @ table[item]).exp() / share[item] for item in [target, *wrong]]
                losses.append(-math.log((odds[0] / sum(odds)).item()))
    assert len(losses) == 6
    assert network.calculate_loss(batch).item() == pytest.approx(np.mean(losses), abs=1e-4)


def test_microlens_keeps_the_last_13_and_reads_10(tmp_path):
    config = RecBoleConfig("SASRecText", MICROLENS)
    options = resolved_options(config)
    assert (options["softmax"], options["learner"], options["weight_decay"]) == ("in-batch", "adamw", 0.1)
    assert (options["valid_metric"], options["eval_step"], options["train_neg_sample_args"]) == ("Hit@10", 1, None)
    assert resolved_options(RecBoleConfig("SASRec", {"preset": "microlens"}))["hidden_size"] == 1024
    assert resolved_options(RecBoleConfig("GRU4RecText", {"preset": "microlens"}))["embedding_size"] == 512
    with contained():
        _, dataset = prepare(config, DATA.interactions, DATA.catalog, 1, tmp_path)
        ours = dict(zip(dataset.token2id("item_id", np.arange(1, 161).astype(str)), range(1, 161), strict=True))
        parts = dataset.build()
    whose = {int(dataset.token2id("user_id", str(user))): user for user in range(200)}
    assert [len(part) for part in parts] == [200, 200, 200]  # one window for each user
    for part, end in zip(parts, (-2, -1, None), strict=True):
        columns = part.inter_feat
        for row in range(200):
            length = int(columns["item_length"][row])
            found = [ours[i] for i in columns["item_id_list"][row, :length].tolist()]
            kept = DATA.interactions.of(whose[int(columns["user_id"][row])])[-13:][:end]
            assert [*found, ours[int(columns["item_id"][row])]] == kept[-11:].tolist()


def test_the_settings_of_models_that_read_nothing_are_as_they_were():
    own = {"features", "encoder", "vectors", "ids", "layers", "preset", "softmax", "last", "shortest"}
    for model in ("SASRec", "GRU4Rec", "BPR"):
        assert not own & {*resolved_options(RecBoleConfig(model))}
    assert {"SASRecText", "NextItNetVideo", "GRU4RecFused", "MMGCN"} <= {*recbole_models()}


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("SASRecImage", {}, "expects vectors=FILE, a parquet file with the columns item_id, image"),
        ("SASRecText", {"vectors": "a.parquet"}, "reads no table of vectors, found vectors=a.parquet"),
        ("SASRecText", {"features": "text+text"}, r"must be names like text\+image"),
        ("SASRecText", {"ids": 1}, "ids of SASRecText must be True or False, found 1"),
        ("SASRecText", {"layers": 3}, "layers of SASRecText must be 1 or 2, found 3"),
        ("SASRecText", {"loss_type": "BPR"}, "is trained with loss_type CE, found 'BPR'"),
        ("SASRec", {"softmax": "sampled"}, "must be full or in-batch, found 'sampled'"),
        ("SASRec", {"last": 2}, "last of SASRec must be 0 or an integer from 4, found 2"),
    ],
)
def test_options_that_do_not_fit_are_refused(model, options, message):
    with pytest.raises(OptionError, match=message):
        resolved_options(RecBoleConfig(model, options))


def test_unknown_names_give_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'SASRecText'"):
        train("SASRecTest")
    with pytest.raises(UnknownNameError, match=r"unknown preset 'microlen'\. Did you mean 'microlens'"):
        train("SASRec", preset="microlen")
    with pytest.raises(UnknownNameError, match="unknown option of BPR 'preset'"):
        train("BPR", preset="microlens")
    with pytest.raises(DataError, match="expects users with 30 interactions or more, one has 5; leave such users"):
        train("SASRec", shortest=30)


@pytest.mark.ml100k
def test_on_movielens_text_gains_within_two_epochs(tmp_path, monkeypatch):
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path))
    world = World.load("ml-100k:recommender=transitions")
    read = train_recommender(world, "SASRecText", {"epochs": 2})
    assert read.report["features"]["text"] == {"dimensions": 256, "items_without": 0}
    assert read.report["test"]["hit@10"] > 0.09  # popularity reaches .055
