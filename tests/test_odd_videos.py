"""Videos that are cut off, turned, wrong about themselves or no videos at all: what can be had, or one clear error."""

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.clips import check, make_clip, make_long_clip, numbered, one_of_clips, remux
from vrsim.errors import DependencyError, OptionError, VideoError
from vrsim.perception.drawing import upright
from vrsim.perception.frames import sample_frames

pytest.importorskip("av", reason="videos need PyAV: pip install 'vrsim[video]'")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The path of one of CLIPS."""
    folder = tmp_path_factory.mktemp("clips")
    return lambda name: one_of_clips(name, folder)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    return make_long_clip(tmp_path_factory.mktemp("long"))


# Odd files


def test_a_file_that_is_cut_off_gives_frames_up_to_the_cut(clip, long_clip, tmp_path):
    for source, share in ((clip("grey"), 0.5), (long_clip, 0.5), (clip("MPEG-2"), 0.33)):
        cut = tmp_path / f"cut{source.suffix}"
        data = faststart(source, tmp_path).read_bytes() if source.suffix == ".mp4" else source.read_bytes()
        cut.write_bytes(data[: round(len(data) * share)])
        frames, whole = sample_frames(cut, 8), sample_frames(source, 8)
        assert len(frames.images) == 8
        assert 0.1 * whole.duration < frames.duration < 0.8 * whole.duration
        assert source.suffix == ".ts" or any("its frames end at" in note for note in frames.notes)


def faststart(source: Path, folder: Path) -> Path:
    return remux(source, folder / "fast.mp4", muxer={"movflags": "faststart"})


@pytest.mark.parametrize("seconds", [1, 3600])
def test_a_wrong_length_is_found_out(seconds, clip, tmp_path):
    data = clip("no index").with_name("n.mkv")
    remux(clip("B-frames"), data)
    content = bytearray(data.read_bytes())
    place = content.index(b"\x44\x89\x88") + 3  # Matroska's Duration, float64 in milliseconds
    content[place : place + 8] = struct.pack(">d", seconds * 1000)
    data.write_bytes(content)
    frames = sample_frames(data, 10)
    assert frames.duration == pytest.approx(100 / 24, abs=0.01)
    assert f"The file says that it is {seconds:.2f} s long, its frames end at 4.17 s." in frames.notes
    assert frames.moments == pytest.approx((np.arange(10) + 0.5) * frames.duration / 10, abs=1e-3)
    check(data, 10)


@pytest.mark.parametrize("turn", [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (-1, 0, 0, 1)])
def test_frames_are_turned_upright(turn, clip, tmp_path):
    content = bytearray(clip("closed groups").read_bytes())
    a, b, c, d = (value << 16 for value in turn)
    place = content.index(b"tkhd") + 4 + 40
    content[place : place + 20] = struct.pack(">5i", a, b, 0, c, d)
    path = tmp_path / "turned.mp4"
    path.write_bytes(content)
    plain, turned = sample_frames(clip("closed groups"), 3).images[1], sample_frames(path, 3).images[1]
    expected = {0: np.rot90(plain, -1), 1: np.rot90(plain, 2), 2: np.rot90(plain, 1), 3: plain[:, ::-1]}
    place = [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (-1, 0, 0, 1)].index(turn)
    assert np.array_equal(turned, expected[place])


def test_display_matrices_are_read_to_the_nearest_quarter():
    image = np.arange(6).reshape(2, 3, 1).repeat(3, 2)
    almost = np.array([3, 65000, 0, -65000, 5, 0, 0, 0, 1 << 30])
    assert np.array_equal(upright(image, almost), np.rot90(image, -1))


def test_frames_are_no_larger_than_asked(clip):
    assert {image.shape for image in sample_frames(clip("closed groups"), 3, size=48).images} == {(32, 48, 3)}
    assert {image.dtype for image in sample_frames(clip("closed groups"), 3, size=10**6).images} == {np.dtype(np.uint8)}


def test_one_frame_and_still_images_are_videos_of_one_frame(tmp_path):
    from PIL import Image

    picture = numbered(3)[1]
    one = make_clip(tmp_path / "one.mp4", [picture])
    Image.fromarray(picture).save(tmp_path / "cover%03d.png")
    Image.fromarray(picture).save(tmp_path / "file:cover.jpg", quality=95)
    for path in (one, tmp_path / "cover%03d.png", tmp_path / "file:cover.jpg"):
        frames = sample_frames(path, 16)
        assert (len(frames.images), frames.times.tolist()) == (1, [0])
        assert np.abs(frames.images[0].astype(int) - picture).mean() < 12
        assert "Only 1 different frames were found." in frames.notes


# What cannot be used


def test_what_is_no_video_is_one_clear_error(tmp_path, clip):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("a text\n" * 1000)
    (tmp_path / "zeros.mp4").write_bytes(bytes(100_000))
    (tmp_path / "list.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:4,\n{clip('B-frames')}\n#EXT-X-ENDLIST\n"
    )
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile '{clip('B-frames')}'\n")
    head = clip("B-frames").read_bytes()[:40]
    (tmp_path / "head.mp4").write_bytes(head)
    os.mkfifo(tmp_path / "pipe.mp4")
    for name in (*(file.name for file in tmp_path.iterdir()), "missing.mp4", "", "zero\0byte.mp4"):
        with pytest.raises(VideoError) as raised:
            sample_frames(tmp_path / name, 4)
        assert str(tmp_path) in str(raised.value)


def test_sound_alone_is_no_video(tmp_path):
    import av

    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as target:
        stream = target.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts = 16000, 0
        target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    with pytest.raises(VideoError, match="has no video stream"):
        sample_frames(path, 4)


def test_time_is_limited(clip):
    with pytest.raises(VideoError, match="takes longer than it may"):
        sample_frames(clip("B-frames"), 4, limit_s=0)
    assert len(sample_frames(clip("B-frames"), 4, limit_s=60).images) == 4


def test_frames_too_large_for_memory_are_refused(clip, monkeypatch):
    monkeypatch.setattr("vrsim.perception.video.MOST_PIXELS", 96 * 64 - 1)
    with pytest.raises(VideoError, match="none of its frames can be decoded"):
        sample_frames(clip("B-frames"), 4)


def test_damage_is_counted_and_the_rest_used(clip, tmp_path):
    content = bytearray(clip("FFV1").read_bytes())
    place = len(content) // 2
    content[place : place + 3000] = bytes(3000)
    path = tmp_path / "damaged.mkv"
    path.write_bytes(content)
    frames = sample_frames(path, 16)
    assert 8 <= len(frames.images) <= 16
    assert frames.notes
    check(path, 16)


def test_ten_gigabytes_are_not_read(long_clip, tmp_path):
    huge = tmp_path / "huge.mp4"
    huge.write_bytes(faststart(long_clip, tmp_path).read_bytes())
    os.truncate(huge, 10 * 2**30)
    began = time.monotonic()
    check(huge, 4)
    assert time.monotonic() - began < 5


def test_counts_and_sizes_begin_at_one(clip):
    for count, size in ((0, 10), (5, 0)):
        with pytest.raises(OptionError, match="from 1"):
            sample_frames(clip("B-frames"), count, size=size)


def test_without_pyav_the_error_says_what_to_install(monkeypatch, clip):
    path = clip("B-frames")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DependencyError, match=r"pip install 'vrsim\[video\]'"):
        sample_frames(path, 4)


def test_nothing_stays_open_or_in_memory(clip):
    path = clip("B-frames")
    code = f"""
import gc, os; gc.disable()
from vrsim.perception.frames import sample_frames
sample_frames({str(path)!r}, 8, threads=1)
import av
before = len(os.listdir("/proc/self/fd"))
for _ in range(3): sample_frames({str(path)!r}, 8, threads=1)
print(len(os.listdir("/proc/self/fd")) - before, sum(isinstance(o, av.container.Container) for o in gc.get_objects()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0 0\n", "")
