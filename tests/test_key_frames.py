"""Key frames: a model that knows shapes by name finds the frames that show them, and the ways to do without."""

import sys

import numpy as np
import pytest

from tests.clips import make_clip
from tests.shapes import SHAPES, draw_clip, draw_shape, train_clip
from vrsim.errors import DependencyError, ModelError, OptionError, UnknownNameError
from vrsim.perception.clip import ClipConfig, OpenClip
from vrsim.perception.frames import sample_frames
from vrsim.perception.key_frames import WAYS, Candidates, adjacent, best, evenly, key_frames
from vrsim.seeding import generator

for library in ("av", "open_clip"):
    pytest.importorskip(library, reason="key frames need the extra video: pip install 'vrsim[video]'")

SHARP = {"preset": "ultrafast", "crf": "8", "g": "10"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a model that was trained on shapes and their names."""
    return train_clip(tmp_path_factory.mktemp("clip") / "shapes")


@pytest.fixture(scope="module")
def scorer(folder):
    return OpenClip(ClipConfig(str(folder), device="cpu"))


class Brightness:
    """Scores images by their mean, whatever the title; remembers the titles."""

    def __init__(self):
        self.titles = []

    def score(self, images, titles):
        self.titles += titles
        return [np.array([image.mean() for image in some], np.float32) for some in images]


def item(name="a", title="a title", n=8):
    images = [np.full((4, 6, 3), value, np.uint8) for value in np.random.default_rng(len(name)).permutation(n)]
    return Candidates(name, title, images)


# The bar


def test_the_named_shape_is_found_in_clips(scorer, tmp_path):
    rng, items, places = generator(0, "clips"), [], []
    for i in range(100):
        name = SHAPES[i % len(SHAPES)]
        pictures, shown = draw_clip(name, rng)
        frames = sample_frames(make_clip(tmp_path / f"{i}.mp4", pictures, options=SHARP), len(pictures), threads=1)
        assert len(frames.images) == len(pictures) == 40
        items.append(Candidates(str(i), name, frames.images))
        places.append(shown)
    found = {
        way: np.array(
            [
                len({*chosen.places} & {*shown})
                for chosen, shown in zip(key_frames(items, way, scorer=scorer), places, strict=True)
            ]
        )
        for way in ("clip", "uniform", "random")
    }
    assert (found["clip"] >= 4).mean() >= 0.95
    assert (found["uniform"] >= 4).mean() <= 0.05
    assert (found["random"] >= 4).mean() <= 0.05
    assert found["clip"].mean() > 4 > 2 > max(found["uniform"].mean(), found["random"].mean())


# Scores of open_clip


def test_scores_are_cosines_and_do_not_depend_on_the_batch(scorer, folder):
    rng = generator(0, "pictures")
    images = [[draw_shape(name, rng) for _ in range(n)] for name, n in (("ring", 3), ("cross", 0), ("bars", 7))]
    titles = ["ring", "cross", "a ring, or bars"]
    together = scorer.score(images, titles)
    assert [len(scores) for scores in together] == [3, 0, 7]
    for some, title, scores in zip(images, titles, together, strict=True):
        assert scores.dtype == np.float32
        assert np.abs(scores).max(initial=0) <= 1 + 1e-6
        assert scores == pytest.approx(scorer.score([some], [title])[0] if some else [], abs=1e-5)
    small = OpenClip(ClipConfig(str(folder), device="cpu", batch=2))
    assert np.concatenate(small.score(images, titles)) == pytest.approx(np.concatenate(together), abs=1e-5)
    assert np.linalg.norm(scorer.images(images[0]), axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert scorer.texts(titles).shape == (3, 32)


def test_titles_in_any_script_and_of_any_length_are_scored(scorer):
    titles = ["圆形和方形的故事", "Дракон 🐉", "قصة", "word " * 500, "\0", "<end_of_text>"]
    picture = draw_shape("ring", generator(0, "picture"))
    scores = np.concatenate(scorer.score([[picture]] * len(titles), titles))
    assert np.isfinite(scores).all()
    assert len({*np.round(scores[:3], 6)}) == 3


def test_a_model_can_be_a_config_and_a_checkpoint_file(folder, tmp_path):
    import json

    import open_clip

    config = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    (tmp_path / "small-shapes.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "small-shapes.json")
    weights = folder / "open_clip_model.safetensors"
    model = OpenClip(ClipConfig("small-shapes", str(weights), device="cpu"))
    same = OpenClip(ClipConfig(str(folder), device="cpu"))
    assert np.array_equal(model.texts(["ring"]), same.texts(["ring"]))


def test_models_that_cannot_be_had_are_one_clear_error(tmp_path, folder):
    with pytest.raises(UnknownNameError, match=r"unknown open_clip model 'ViT-B-23'\. Did you mean 'ViT-B-32'"):
        OpenClip(ClipConfig("ViT-B-23"))
    with pytest.raises(UnknownNameError, match="unknown weights of ViT-B-32 'laion2b'"):
        OpenClip(ClipConfig("ViT-B-32", "laion2b"))
    with pytest.raises(ModelError, match="cannot be loaded by open_clip"):
        OpenClip(ClipConfig(str(tmp_path)))
    (tmp_path / "open_clip_config.json").write_bytes((folder / "open_clip_config.json").read_bytes())
    with pytest.raises(ModelError, match="cannot be loaded by open_clip"):  # no weights: random ones are refused
        OpenClip(ClipConfig(str(tmp_path)))
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"no weights at all")
    with pytest.raises(ModelError, match="cannot be loaded by open_clip"):
        OpenClip(ClipConfig(str(tmp_path)))


def test_without_open_clip_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(DependencyError, match=r"pip install 'vrsim\[video\]'"):
        OpenClip()


# Ways to choose


def test_the_best_are_chosen_in_time_order():
    assert best(np.float32([0.1, 0.9, 0.3, 0.9, 0.2, 0.5]), 3).tolist() == [1, 3, 5]
    assert best(np.zeros(7, np.float32)).tolist() == [0, 1, 2, 3, 4]
    assert best(np.float32([2, 1]), 5).tolist() == [0, 1]
    assert best(np.zeros(0, np.float32)).tolist() == []


def test_uniform_ones_lie_in_the_middles_of_equal_parts():
    assert evenly(16, 5).tolist() == [1, 4, 8, 11, 14]
    assert evenly(10, 5).tolist() == [1, 3, 5, 7, 9]
    assert evenly(3, 5).tolist() == [0, 1, 2]
    assert evenly(0, 5).tolist() == []


def test_random_ones_are_neighbours_anywhere():
    starts = {adjacent(8, 5, generator(seed, "x"))[0] for seed in range(60)}
    assert starts == {0, 1, 2, 3}
    assert np.diff(adjacent(8, 5, generator(0, "x"))).tolist() == [1] * 4
    assert adjacent(3, 5, generator(0, "x")).tolist() == [0, 1, 2]
    assert adjacent(0, 5, generator(0, "x")).tolist() == []


def test_random_choices_depend_on_seed_and_item_alone():
    items = [item(name, n=40) for name in ("a", "b", "c", "d", "e", "f")]
    chosen = [frames.places[0] for frames in key_frames(items, "random")]
    assert [frames.places[0] for frames in key_frames(items[::-1], "random")] == chosen[::-1]
    assert len({*chosen}) > 2
    assert [frames.places[0] for frames in key_frames(items, "random", seed=1)] != chosen


def test_scores_are_kept_with_the_places():
    chosen = key_frames([item()], count=3, scorer=Brightness())[0]
    assert (chosen.way, chosen.scores.tolist()) == ("clip", [image.mean() for image in item().images])
    assert sorted(chosen.scores[chosen.places], reverse=True) == [7, 6, 5]
    assert (np.diff(chosen.places) > 0).all()


def test_items_without_a_title_get_uniform_frames_and_say_so():
    scorer, items = Brightness(), [item("a", ""), item("b", "named"), item("c", " \n"), item("d", "empty", 0)]
    chosen = key_frames(items, scorer=scorer)
    assert [frames.way for frames in chosen] == ["uniform", "clip", "uniform", "uniform"]
    assert chosen[0].places.tolist() == chosen[2].places.tolist() == evenly(8, 5).tolist()
    assert chosen[0].scores is None
    assert chosen[3].places.tolist() == []
    assert scorer.titles == ["named"]
    assert key_frames([], scorer=scorer) == []


def test_every_way_gives_rising_places_of_what_there_is():
    for way in WAYS:
        for n in (0, 1, 4, 40):
            chosen = key_frames([item(n=n)], way, scorer=Brightness())[0]
            assert len(chosen.places) == min(n, 1 if way == "cover" else 5)
            assert (np.diff(chosen.places) > 0).all()
            assert set(chosen.places) <= {*range(n)}
            assert chosen.places.dtype == np.int64


def test_misuse_is_one_clear_error():
    with pytest.raises(UnknownNameError, match=r"unknown way to choose key frames 'clips'\. Did you mean 'clip'"):
        key_frames([item()], "clips")
    with pytest.raises(OptionError, match="from 1"):
        key_frames([item()], "uniform", count=0)
    with pytest.raises(OptionError, match="needs a scorer"):
        key_frames([item()])
    with pytest.raises(OptionError, match="batch must be"):
        ClipConfig(batch=0)

    class Short:
        def score(self, images, titles):
            return [np.zeros(1, np.float32)]

    with pytest.raises(ModelError, match="one number per image"):
        key_frames([item()], scorer=Short())
