"""Frames of videos: those that decoding everything gives, whatever the container, and clear errors otherwise."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.clips import CLIPS, check, make_long_clip, numbered, one_of_clips, remux
from vrsim.perception.frames import sample_frames
from vrsim.perception.groups import groups
from vrsim.perception.video import Trust, Video

pytest.importorskip("av", reason="videos need PyAV: pip install 'vrsim[video]'")

WHOLE = {  # why everything was decoded
    "gradual refresh": "A key frame does not stand alone.",
    "false times": "Frames come out in another order than their times say.",
    "no times": "There are frames without a time.",
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The path of one of CLIPS."""
    folder = tmp_path_factory.mktemp("clips")
    return lambda name: one_of_clips(name, folder)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    return make_long_clip(tmp_path_factory.mktemp("long"))


@pytest.fixture
def decoded(monkeypatch):
    """How many packets went into decoders."""
    counts, bare = [0], Video.frames
    monkeypatch.setattr(
        Video, "frames", lambda self, packet: counts.__setitem__(0, counts[0] + 1) or bare(self, packet)
    )
    return counts


# The right frames


@pytest.mark.parametrize("name", CLIPS)
def test_frames_are_those_that_decoding_everything_gives(name, clip):
    for count in (1, 2, 5, 16, 40, 300):
        notes = check(clip(name), count)
    assert "Only 100 different frames were found." in notes or name == "uneven times"
    notes = check(clip(name), 5)
    assert WHOLE[name] in notes if name in WHOLE else not any("frame" in note and "say" not in note for note in notes)


@pytest.mark.parametrize("shift", [500_000, 2**33 - 100_000])
def test_a_clip_need_not_begin_at_zero(shift, clip, tmp_path):
    later = remux(clip("B-frames"), tmp_path / "later.mkv", shift=shift)
    check(later, 16)
    frames, first = sample_frames(later, 100), sample_frames(clip("B-frames"), 100)
    assert frames.times == pytest.approx(first.times, abs=2e-3)
    assert all(map(np.array_equal, frames.images, first.images))


def test_pictures_show_what_was_encoded(clip):
    frames, given = sample_frames(clip("B-frames"), 5), np.stack(numbered(100)).astype(int)
    nearest = [np.abs(given - image).mean((1, 2, 3)).argmin() for image in frames.images]
    assert nearest == [10, 30, 50, 70, 90]  # the middles of fifths of 100 frames


def test_one_count_is_the_middle(clip):
    frames = sample_frames(clip("closed groups"), 1)
    assert (frames.moments.tolist(), frames.duration) == (pytest.approx([2.083], abs=1e-3), pytest.approx(100 / 24))


# Little work


def test_groups_without_a_wanted_frame_are_not_decoded(long_clip, decoded):
    assert check(long_clip, 4) == ()
    assert decoded[0] < 60


def test_only_what_is_needed_of_a_long_file_is_read(long_clip, monkeypatch):
    read, bare = [0], Video.packets

    def packets(self):
        for packet in bare(self):
            read[0] += 1
            yield packet

    monkeypatch.setattr(Video, "packets", packets)
    assert check(long_clip, 3) == ()
    assert read[0] < 200


def test_a_file_whose_seeks_lead_astray_is_read_through(long_clip, monkeypatch):
    bare = Video.skip_to
    monkeypatch.setattr(Video, "skip_to", lambda self, at: bare(self, at + 30 * round(1 / self.unit)))
    assert check(long_clip, 4) == ("A seek led astray.",)


def test_a_group_larger_than_memory_is_decoded_as_it_comes(clip, monkeypatch):
    monkeypatch.setattr("vrsim.perception.groups.MOST_HELD", 1000)
    assert check(clip("one group"), 5) == ("Key frames are very far apart.",)


def test_leading_pictures_belong_to_two_groups(clip):
    with Video(clip("open groups of HEVC"), Trust(), 1, float("inf")) as video:
        found = list(groups(video.packets()))
    assert len(found) == 9
    assert not found[0].opening
    assert all(group.opening[0].is_keyframe and len(group.opening) > 1 for group in found[1:])


@pytest.mark.vrsim_data
def test_published_clips(request):
    root = os.environ.get("VRSIM_DATA")
    files = [*Path(root, "videos").glob("*"), *Path(root, "microlens", "sample_media").glob("*")] if root else []
    if not files:
        pytest.skip("VRSIM_DATA is not set or holds no videos")
    for file in sorted(files):
        if file.stat().st_size < 1_500_000:
            assert check(file, 16) == (() if file.suffix != ".jpg" else ("Only 1 different frames were found.",))
