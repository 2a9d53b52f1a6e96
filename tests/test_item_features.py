"""What is known of the items, as vectors and as captions: read, counted, and put into worlds."""

import importlib.util

import numpy as np
import pytest

from vrsim.catalog import Catalog
from vrsim.data import read_data
from vrsim.errors import DataError, DependencyError, OptionError, UnknownNameError, WorldError
from vrsim.features import item_features, item_texts, text_features
from vrsim.item_tables import read_vectors, table_key, with_captions
from vrsim.world import World
from vrsim.worlds import build_named, listing

FILMS = ["A ship in space", "A ship on the sea", "Cooking noodles at home", "Cooking rice at home", "", "!?"]
ONE = "ml-100k:recommender=transitions"


@pytest.fixture
def few(write):
    """Three users and five items, one of them without a title."""
    log = "".join(f"u{u},i{(u + n) % 5},{n}\n" for u in range(3) for n in range(4))
    items = "i0,Star Ship,Space|War\ni1,Noodles,\ni2,,Drama\ni3,,\ni4,Rice.,\n"
    return read_data(write("user,item,time\n" + log), write("item,title,genres\n" + items, "items.csv"))


@pytest.fixture
def captions(write_parquet):
    """Write a table of captions."""
    return lambda ids=("i0", "i1", "i9"), texts=("A ship", None, "Unknown"): write_parquet(
        "captions.parquet", item_id=list(ids), caption=list(texts)
    )


def test_the_text_of_an_item_is_what_is_known_of_it(few, captions):
    assert item_texts(few.catalog) == ["", "Star Ship. Space, War", "Noodles", "Drama", "", "Rice"]
    assert item_texts(with_captions(few, captions()).catalog)[1] == "Star Ship. Space, War. A ship"


def test_texts_become_rows_of_length_one_and_blanks_become_zeros():
    rows = text_features(["", *FILMS])
    assert rows.dtype == np.float32
    assert len(rows) == 7
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [0, 1, 1, 1, 1, 0, 1], atol=1e-6)
    near = rows @ rows.T
    assert near[3, 4] > 0.5 > 0.3 > near[3, 1]
    np.testing.assert_array_equal(rows, text_features(["", *FILMS]))


def test_many_texts_are_reduced_to_256_numbers():
    assert text_features([f"number {square**2}" for square in range(300)]).shape == (300, 256)


def test_without_any_text_there_are_no_features():
    with pytest.raises(DataError, match="expected items with a title, genres or a caption, found none"):
        text_features(["", " "])


def test_an_encoder_of_transformers_gives_the_mean_over_the_tokens(saved):
    torch = pytest.importorskip("torch", reason="the extra vrsim[llm] is not installed")
    from transformers import AutoModel, AutoTokenizer

    folder = saved("qwen2")
    rows = text_features(["", *FILMS], f"hf:{folder}")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    for row, text in zip(rows[1:], FILMS, strict=True):
        if not text:
            assert not row.any()
            continue
        with torch.no_grad():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0).numpy()
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-5)


def test_an_encoder_that_is_unknown_or_not_installed_is_an_error():
    for name in ("word2vec", "hf:", "tfidf:2"):
        with pytest.raises(OptionError, match=f"encoder must be one of tfidf, st:NAME, hf:NAME, found '{name}'"):
            text_features(FILMS, name)
    if importlib.util.find_spec("sentence_transformers"):
        pytest.skip("sentence-transformers is installed")
    with pytest.raises(DependencyError, match="pip install sentence-transformers"):
        text_features(FILMS, "st:all-MiniLM-L6-v2")


def test_captions_take_the_place_of_those_of_the_data(few, captions):
    again = with_captions(with_captions(few, captions()), captions(("i4", "i1"), ("Rice with rice", " Soup ")))
    assert again.catalog.captions == ["", "", "Soup", "", "", "Rice with rice"]
    assert again.catalog.titles == few.catalog.titles
    assert again.catalog.table.schema == Catalog.SCHEMA
    first = with_captions(few, captions())
    assert first.catalog.captions == ["", "A ship", "", "", "", ""]
    assert (first.skipped["captions_of_unknown_items"], first.skipped["items_without_caption"]) == (1, 4)
    assert first.origin["captions"]["file"] == "captions.parquet"
    assert few.catalog.captions == [""] * 6


def test_a_table_of_captions_that_cannot_be_used_is_one_clear_error(few, captions, write, tmp_path):
    with pytest.raises(DataError, match="expected a column caption or description, found item_id, text"):
        with_captions(few, write("item_id,text\ni0,a\n", "captions.csv"))
    with pytest.raises(DataError, match=r"item 'i1' stands twice, in data rows 1 and 3"):
        with_captions(few, captions(("i1", "i2", "i1")))
    with pytest.raises(DataError, match="1 rows without a item_id"):
        with_captions(few, captions(("i1", "", "i2")))
    with pytest.raises(DataError, match=r"none of its 3 items is in the data; expected ids like 'i0', found .* '7'"):
        with_captions(few, captions((7, 8, 9)))
    with pytest.raises(DataError, match="no such file"):
        with_captions(few, tmp_path / "nothing.parquet")


def test_vectors_have_length_one_and_zeros_where_there_are_none(few, write_parquet):
    columns = {"image": [[3.0, 4.0], None, [0.0, 0.0]], "video": [[1], [2], [-3]]}
    file = write_parquet("vectors.parquet", item_id=["i1", "i0", "i9"], **columns)
    found = read_vectors(file, few.catalog, ["image", "video"])
    assert found["image"].dtype == np.float32
    np.testing.assert_allclose(found["image"][:3], [[0, 0], [0, 0], [0.6, 0.8]])
    np.testing.assert_array_equal(found["video"].ravel(), [0, 1, 1, 0, 0, 0])
    features = item_features(few.catalog, "video+text", "tfidf", file)
    assert list(features) == ["video", "text"]
    assert {len(rows) for rows in features.values()} == {6}


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([[1.0], [1.0, 2.0]], "the rows differ in length"),
        ([1.0, 2.0], "the rows differ in length or are no lists"),
        ([[1.0], [float("nan")]], "one is not finite"),
        ([["a"], ["b"]], "could not convert"),
        ([None, None], "the rows differ in length or are no lists"),
    ],
)
def test_vectors_that_cannot_be_used_are_one_clear_error(few, write_parquet, column, message):
    file = write_parquet(item_id=["i0", "i1"], image=column)
    with pytest.raises(DataError, match=f"expected lists of numbers of one length in column image: .*{message}"):
        read_vectors(file, few.catalog, ["image"])
    with pytest.raises(DataError, match="expected a column video of vectors, found item_id, image"):
        read_vectors(file, few.catalog, ["video"])


def test_the_key_of_a_table_is_that_of_its_content(write):
    key = table_key(write("a", "one.csv"))
    assert key == table_key(write("a", "two.csv")) == table_key(key)
    assert key != table_key(write("b", "one.csv"))
    assert len(key) == 20
    with pytest.raises(DataError, match=r"none\.csv: cannot be read: No such file"):
        table_key("none.csv")


@pytest.mark.ml100k
def test_a_built_in_world_with_captions_is_a_world_of_its_own(vrsim_command, captions, tmp_path):
    file = captions(("1", "2", "none"), ("Toys that talk", "A spy", "x"))
    code, out, _ = vrsim_command("world", "build", ONE, "--captions", file)
    name = f"ml-100k:captions={table_key(file)},recommender=transitions"
    assert code == 0
    assert name in out.replace("\n", "")
    assert "1 captions of unknown items, 1,680 items without caption" in out
    world = World.load(f"{ONE},captions={file}")
    assert world.catalog.captions[:4] == ["", "Toys that talk", "A spy", ""]
    assert world.name == name
    assert world.manifest["data"]["captions"]["file"] == file.name
    plain = World.load(ONE)
    assert plain.hash != world.hash
    assert World.load(name).hash == world.hash
    assert name in [row["name"] for row in listing()]
    moved = file.rename(tmp_path / "moved.parquet")
    assert World.load(f"{ONE},captions={moved}").path == world.path
    other = build_named(ONE, captions=captions(("1",), ("Other words",)))
    assert len({world.hash, plain.hash, other.hash}) == 3


def test_captions_that_are_not_here_are_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path))
    with pytest.raises(WorldError, match=r"sha-0{16} is only the key of its captions: give the file"):
        World.load(f"{ONE},captions=sha-{'0' * 16}")
    with pytest.raises(DataError, match=r"none\.parquet: cannot be read"):
        World.load(f"{ONE},captions=none.parquet")
    with pytest.raises(UnknownNameError, match="'captions'"):
        World.load("tiny:captions=none.parquet")
    with pytest.raises(OptionError, match="takes no other captions"):
        build_named("tiny", captions="none.parquet")


def test_a_world_of_your_own_takes_captions(vrsim_command, few, captions, tmp_path):
    words = ("--interactions", tmp_path / "log.csv", "--items", tmp_path / "items.csv", "--out", tmp_path / "mine")
    option = ("--option", "recommender=transitions")
    code, out, err = vrsim_command("world", "build", *words, *option, "--captions", captions())
    assert code == 0, err
    assert "1 captions of unknown items, 4 items without caption" in out
    assert World.load(tmp_path / "mine").catalog.captions[1] == "A ship"
