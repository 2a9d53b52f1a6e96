"""vrsim.perception.pipeline: who waits for whom, and what happens when something dies."""

import os
import sys
import time
from contextlib import closing

import numpy as np
import pytest

from tests.captioned import jpeg
from vrsim.errors import DependencyError, ModelError, VideoError
from vrsim.models.model import Completion, Model, ignore
from vrsim.perception.config import CaptionConfig, keys_of
from vrsim.perception.items import Item
from vrsim.perception.pipeline import Captioning, caption_items
from vrsim.perception.stages import Stages

pytest.importorskip("PIL", reason="Pillow is not installed")


def test_nobody_waits_for_the_next_items_when_the_model_is_out_of_order(tmp_path):
    items = [Item(f"i{place}", "t", None) for place in range(64 + 128)]
    stages = Stages(tmp_path / "stages.sqlite")
    keys = keys_of(CaptionConfig(), "clip", "broken")
    frames = {item.key: {"times": [0.0], "notes": []} for item in items}
    stages.put("frames", keys["frames"], frames, {item.key: {0: jpeg()} for item in items})
    scorer = SlowScorer()
    with pytest.raises(ModelError, match="out of order"):
        caption_items(items, CaptionConfig(), Captioning(stages, keys), BrokenModel(), scorer)
    assert 32 <= scorer.scored <= 64 + 32
    assert len(stages.has("choice", keys["choice"], [item.key for item in items])) == scorer.scored
    stages.close()


def test_the_model_is_warmed_up_while_the_first_videos_are_decoded(tmp_path):
    with closing(Stages(tmp_path / "stages.sqlite")) as stages:
        keys = keys_of(CaptionConfig(), "clip", "warm")
        model = WarmModel(lambda: stages.has("choice", keys["choice"], [item.key]))
        item = Item("a", "t", None)
        caption_items([item], CaptionConfig(), Captioning(stages, keys), model, SlowScorer())
        assert model.warm
        assert stages.has("caption", keys["caption"], [item.key])


def test_a_decoder_that_is_killed_is_one_clear_error(tmp_path, monkeypatch):
    def die(config, item):
        os.kill(os.getpid(), 9)

    monkeypatch.setattr("vrsim.perception.steps._sample", die)
    with pytest.raises(VideoError, match=r"decodes videos ended.*the same command goes on"):
        caption_one(tmp_path)


def test_captions_without_loky_say_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "loky", None)
    with pytest.raises(DependencyError, match=r"loky.*vrsim\[video\]"):
        caption_one(tmp_path)


def caption_one(folder):
    with closing(Stages(folder / "stages.sqlite")) as stages:
        keys = keys_of(CaptionConfig(), "clip", "broken")
        caption_items([Item("a", "t", None)], CaptionConfig(), Captioning(stages, keys), BrokenModel(), SlowScorer())


class SlowScorer:
    """Takes its time, and counts the items."""

    scored = 0

    def score(self, images, titles):
        time.sleep(0.3)
        self.scored += len(titles)
        return [np.zeros(len(some), np.float32) for some in images]


class WarmModel(Model):
    """Warms up until something is there, and answers the same to all."""

    name, warm = "warm", False

    def __init__(self, there):
        self.there = there

    def warm_up(self):
        deadline = time.monotonic() + 30
        while not self.there() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.warm = bool(self.there())

    def generate(self, prompts, sampling, done=ignore, listen=None):
        return [Completion("A cat.") for _ in prompts]


class BrokenModel(Model):
    """Answers nothing at all."""

    name, context, completes = "broken", None, ""

    def generate(self, prompts, sampling, done=ignore, listen=None):
        raise ModelError("out of order")
