"""Clips made with PyAV, and what decoding everything gives of them."""

from bisect import bisect_right
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vrsim.perception.drawing import Drawer
from vrsim.perception.frames import LONGER_SIDE, sample_frames

__all__ = ["CLIPS", "check", "decode_all", "make_clip", "make_long_clip", "numbered", "one_of_clips", "remux"]

CLOSED = {"preset": "ultrafast", "g": "12", "sc_threshold": "0", "bf": "0"}
BFRAMES = {"preset": "medium", "g": "12", "sc_threshold": "0", "bf": "3"}
X265 = "keyint=12:min-keyint=12:bframes=3:open-gop=1:log-level=none"
ALTREF = {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "10", "deadline": "realtime", "cpu-used": "8"}
UNEVEN = sorted(np.random.default_rng(0).choice(3000, 100, replace=False).tolist())
CLIPS = {  # what it is: file, how it is encoded
    "closed groups": ("clip.mp4", {}),
    "B-frames": ("clip.mp4", {"options": BFRAMES}),
    "open groups": ("clip.mp4", {"options": BFRAMES | {"x264-params": "open-gop=1"}}),
    "open groups of HEVC": ("clip.mp4", {"codec": "libx265", "options": {"preset": "ultrafast", "x265-params": X265}}),
    "gradual refresh": ("clip.mp4", {"options": BFRAMES | {"bf": "0", "x264-params": "intra-refresh=1"}}),
    "one group": ("clip.mp4", {"options": BFRAMES | {"g": "1000"}}),
    "key frames only": ("clip.mp4", {"options": BFRAMES | {"g": "1", "bf": "0"}}),
    "uneven times": ("clip.mp4", {"options": BFRAMES, "times": UNEVEN}),
    "fragments": ("clip.mp4", {"options": BFRAMES, "muxer": {"movflags": "frag_keyframe+empty_moov"}}),
    "VP8 with hidden frames": ("clip.webm", {"codec": "libvpx", "options": ALTREF}),
    "VP9": ("clip.webm", {"codec": "libvpx-vp9", "options": ALTREF}),
    "no index": ("clip.mkv", {"options": BFRAMES, "muxer": {"live": "1"}}),
    "MPEG-2": ("clip.ts", {"codec": "mpeg2video", "options": {"g": "12", "bf": "2"}}),
    "interlaced": ("clip.mpg", {"codec": "mpeg2video", "options": {"g": "12", "bf": "2", "flags": "+ildct+ilme"}}),
    "Flash": ("clip.flv", {"options": BFRAMES}),
    "MPEG-4 in AVI": ("clip.avi", {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}}),
    "false times": ("clip.avi", {"options": BFRAMES}),
    "no times": ("clip.h264", {"options": BFRAMES}),
    "4:4:4, 10 bits": ("clip.mkv", {"pixels": "yuv444p10le", "options": BFRAMES}),
    "grey": ("clip.mkv", {"pixels": "gray", "options": BFRAMES}),
    "FFV1": ("clip.mkv", {"codec": "ffv1", "options": {}}),
    "animation": ("clip.gif", {"codec": "gif", "pixels": "rgb8", "options": {}}),
}  # fmt: skip


def numbered(count: int, width: int = 96, height: int = 64) -> list[np.ndarray]:
    """Pictures, uint8 (height, width, 3), of a bar that moves over noise: no two are alike."""
    noise = np.random.default_rng(0).integers(0, 60, (height, width, 3), np.uint8)
    pictures = np.repeat(noise[None], count, 0)
    for i, picture in enumerate(pictures):
        left = i * 5 % width
        picture[:, left : left + 8] = 255 - i * 7 % 120
        picture[: height // 8, : width * (i + 1) // count] = (200, i % 256, 90)
    return list(pictures)


def make_clip(
    path: Path,
    pictures: list[np.ndarray],
    *,
    codec: str = "libx264",
    options: dict[str, str] = CLOSED,
    pixels: str = "yuv420p",
    rate: int = 24,
    times: list[int] | None = None,
    format: str | None = None,
    muxer: dict[str, str] | None = None,
) -> Path:
    """Encode pictures, on one thread; ``times`` are in units of 1/rate, by default 0, 1, 2, ..."""
    with av.open(str(path), "w", format=format, options=muxer or {}) as target:
        stream = target.add_stream(codec, rate=rate, options=dict(options))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.codec_context.time_base = pixels, Fraction(1, rate)
        stream.codec_context.thread_count = 1
        for at, picture in zip(times or range(len(pictures)), pictures, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, rate)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return path


def one_of_clips(name: str, folder: Path) -> Path:
    """One of CLIPS, 100 pictures; it is made once per folder."""
    file, how = CLIPS[name]
    path = folder / name / file
    if not path.exists():
        path.parent.mkdir()
        make_clip(path, numbered(100), **how)
    return path


def make_long_clip(folder: Path) -> Path:
    """400 s with a frame a second and a key frame every 10 s."""
    return make_clip(folder / "long.mp4", numbered(400, 64, 48), rate=1, options=BFRAMES | {"g": "10"})


def remux(
    source: Path, path: Path, *, shift: int = 0, format: str | None = None, muxer: dict[str, str] | None = None
) -> Path:
    """The same packets in another container, ``shift`` ticks later."""
    with av.open(str(source)) as given, av.open(str(path), "w", format=format, options=muxer or {}) as target:
        stream = target.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.size:
                packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                target.mux(packet)
    return path


def decode_all(path: Path, moments: np.ndarray, size: int = LONGER_SIDE) -> tuple[list[np.ndarray], np.ndarray]:
    """The images and times of the frames of given moments, from decoding every frame of a file and keeping them all."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames, unit, start = [], stream.time_base, stream.start_time or 0
        for packet in container.demux(stream):
            with suppress(av.FFmpegError):  # a damaged one
                frames += packet.decode()
        stamps = [frame.pts for frame in frames]
        if None in stamps or stamps != sorted(stamps):
            stamps, unit, start = list(range(len(frames))), 1 / stream.average_rate, 0
        asked = [start + round(Fraction(moment) / unit) for moment in moments]
        places = sorted({max(0, bisect_right(stamps, moment) - 1) for moment in asked})
        return [Drawer(size)(frames[i]) for i in places], np.array([float((stamps[i] - start) * unit) for i in places])


def check(path: Path, count: int) -> tuple[str, ...]:
    """Compare with decoding everything; the notes."""
    frames = sample_frames(path, count, threads=2)
    images, times = decode_all(path, frames.moments)
    assert len(frames.moments) == count
    assert frames.times == pytest.approx(times)
    assert len(images) == len(frames.images)
    assert all(np.array_equal(a, b) for a, b in zip(images, frames.images, strict=True))
    return frames.notes
