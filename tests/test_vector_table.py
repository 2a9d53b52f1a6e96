"""vrsim.perception.vector_table: vectors of covers and key frames, as recommenders read them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.captioned import make_folder, run_of
from vrsim.catalog import Catalog
from vrsim.errors import ResultsError
from vrsim.item_tables import read_vectors
from vrsim.perception.captioning import caption_folder
from vrsim.perception.vector_table import SCALE, write_vectors

pytest.importorskip("av", reason="PyAV is not installed")


class Colours:
    """A stand-in for open_clip: the mean colour of each picture, of length 1."""

    def images(self, images):
        found = np.array([image.reshape(-1, 3).mean(axis=0) for image in images], np.float32).reshape(-1, 3)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture
def done(tmp_path):
    folder = make_folder(tmp_path / "videos")
    Image.new("RGB", (40, 60), (0, 200, 0)).save(folder / "e.png")
    return caption_folder(run_of(folder, "http://localhost:1", tmp_path / "out.parquet"), until="choice")


def rows_of(path):
    return {row["item_id"]: row for row in pq.read_table(path).to_pylist()}


def test_items_have_the_vectors_of_what_they_have(done, tmp_path):
    write_vectors(tmp_path / "vectors.parquet", done, Colours())
    rows = rows_of(tmp_path / "vectors.parquet")
    assert list(rows) == list("abcde")
    assert [rows[item]["video"] is not None for item in "abcde"] == [True, True, True, False, False]
    assert [rows[item]["image"] is not None for item in "abcde"] == [False, False, False, False, True]
    np.testing.assert_allclose(rows["e"]["image"], [0, 1, 0], atol=1e-3)
    assert np.linalg.norm(rows["a"]["video"]) == pytest.approx(1, abs=1e-5)


def test_recommenders_read_them(done, tmp_path):
    write_vectors(tmp_path / "vectors.parquet", done, Colours())
    row = {"title": "", "year": 0, "genres": [], "caption": ""}
    rows = [row | {"item_id": item} for item in "abcde"]
    catalog = Catalog(pa.Table.from_pylist(rows, Catalog.SCHEMA))
    found = read_vectors(tmp_path / "vectors.parquet", catalog, ["image", "video"])
    np.testing.assert_allclose(np.linalg.norm(found["video"], axis=1), [0, 1, 1, 1, 0, 0], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found["image"], axis=1), [0, 0, 0, 0, 0, 1], atol=1e-5)


def test_key_frames_weigh_as_much_as_they_fit(done, tmp_path):
    write_vectors(tmp_path / "alike.parquet", done, Colours())
    choice = done.outputs["choice"]["a"]
    choice["scores"] = [0.0] * 8
    choice["scores"][choice["places"][1]] = 50 / SCALE
    write_vectors(tmp_path / "one.parquet", done, Colours())
    choice["places"] = choice["places"][1:2]
    write_vectors(tmp_path / "alone.parquet", done, Colours())
    alike, one, alone = (rows_of(tmp_path / f"{name}.parquet")["a"]["video"] for name in ("alike", "one", "alone"))
    np.testing.assert_allclose(one, alone, atol=1e-6)
    assert np.abs(np.subtract(alike, one)).max() > 1e-4


def test_a_place_that_cannot_be_written_is_said(done, tmp_path):
    with pytest.raises(ResultsError, match="could not be written"):
        write_vectors(tmp_path / "none" / "vectors.parquet", done, Colours())
