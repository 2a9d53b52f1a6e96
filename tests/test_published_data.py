"""The published data sets, as they lie in VRSIM_DATA: read and counted."""

import os
from pathlib import Path

import numpy as np
import pytest

from vrsim.data import Data
from vrsim.sources import SOURCES

pytestmark = pytest.mark.vrsim_data


@pytest.fixture
def published(request):
    """Read a source, or say what is missing."""

    def read(name: str) -> Data:
        root = os.environ.get("VRSIM_DATA")
        if not root:
            pytest.skip("VRSIM_DATA is not set: no published data sets here")
        source = SOURCES[name]
        folders = [Path(root).expanduser() / folder for folder in (*source.folders, ".")]
        files = [[folder / file for file in form.files] for form in source.forms for folder in folders]
        if not any(all(f.is_file() or f.with_name(f"{f.name}.gz").is_file() for f in form) for form in files):
            pytest.skip(f"VRSIM_DATA holds no {name}")
        return source.load(3)

    return read


def test_movielens_1m_is_the_one_of_the_papers(published):
    data = published("ml-1m")
    interactions = data.interactions
    assert (interactions.n_users, data.catalog.n_items, len(interactions)) == (6040, 3416, 999_611)
    assert data.skipped["interactions_with_rare_items"] == 598
    assert data.skipped["repeated"] == data.skipped["short_users"] == data.skipped["unordered"] == 0
    assert data.skipped["untitled_items"] == 0
    assert np.bincount(interactions.items)[1:].min() == 5
    assert set(np.unique(interactions.ratings)) == {1, 2, 3, 4, 5}
    assert "Toy Story (1995)" in data.catalog.titles
    assert "Animation" in data.catalog.genres[data.catalog.titles.index("Toy Story (1995)")]


def test_the_first_timestamps_of_movielens_1m_never_fall(published):
    times = published("ml-1m").interactions
    known = np.flatnonzero(np.isfinite(times.times))
    user = np.searchsorted(times.offsets, known, side="right")
    same = user[1:] == user[:-1]
    assert (np.diff(times.times[known])[same] >= 0).all()


def test_steam_has_an_order_for_three_fifths_of_each_user(published):
    data = published("steam")
    interactions = data.interactions
    assert (interactions.n_users, data.catalog.n_items, len(interactions)) == (23_261, 5237, 316_096)
    assert data.skipped["unordered"] == 209_732
    assert data.skipped["short_users"] == 49
    lost = np.bincount(interactions.unordered >> 32, minlength=interactions.n_users)
    share = interactions.lengths / (interactions.lengths + lost)
    assert 0.55 < np.median(share) < 0.65
    ordered = np.repeat(np.arange(interactions.n_users), interactions.lengths) << 32 | interactions.items
    assert not np.isin(ordered, interactions.unordered).any()
    assert "Counter-Strike" in data.catalog.titles


@pytest.mark.parametrize(("name", "n"), [("microlens-50k", (50_000, 19_220, 359_708)), ("microlens-100k", None)])
def test_microlens_is_whole(published, name, n):
    data = published(name)
    n = n or tuple(SOURCES[name].forms[0].counts.values())
    assert (data.interactions.n_users, data.catalog.n_items, len(data.interactions)) == n
    assert data.interactions.lengths.min() >= 5
    assert data.skipped["repeated"] == 0
    assert data.skipped["untitled_items"] <= 3
