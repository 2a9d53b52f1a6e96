"""Frames of a video at even distances, exactly those that decoding everything would give."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vrsim.errors import OptionError, VideoError
from vrsim.perception.drawing import Drawer
from vrsim.perception.picking import Picker, pick
from vrsim.perception.video import Doubt, Trust, Video

__all__ = ["LONGER_SIDE", "Frames", "sample_frames"]

LONGER_SIDE = 448  # pixels: twice what CLIP looks at, and a bound for memory


@dataclass(frozen=True, eq=False)
class Frames:
    """Different frames in time order, fewer than asked for where a clip has no more."""

    images: tuple[np.ndarray, ...]  # uint8 (height, width, 3) each, RGB, turned upright
    times: np.ndarray  # float64 (n,), seconds after the clip's start, rising
    moments: np.ndarray  # float64 (count,), seconds: the middles of the parts, where frames were looked for
    duration: float  # seconds, as found by reading, whatever the file says
    notes: tuple[str, ...] = ()  # what was odd, in sentences


def sample_frames(
    path: Path | str, count: int, *, size: int = LONGER_SIDE, threads: int = 0, limit_s: float | None = None
) -> Frames:
    """The frames shown in the middles of ``count`` equal parts of a video; a still image is a video of one frame.

    The frame of a moment is the last one that begins at or before it. One forward pass decodes the groups of pictures
    that hold a wanted moment, each up to its last wanted frame. A file that gives reason for doubt (no times, damage,
    a key frame that does not stand alone) is decoded as a whole; one whose length is missing or turns out to be wrong
    is read twice. Memory does not grow with the length of a video. Pixels are taken as square.

    Args:
        path: the file as it is; it is never an address or a pattern, and nothing else is opened.
        size: pixels of the longer side at most; larger frames are scaled down one by one.
        threads: of the decoder, 0 = as many as cores.
        limit_s: seconds after which to give up, None = never.

    Raises:
        VideoError, where no frame can be had or time is up; DependencyError without PyAV.
    """
    if count < 1 or size < 1:
        raise OptionError(f"expected a count and a size from 1, found {count} and {size}")
    path, until = Path(path), float("inf") if limit_s is None else time.monotonic() + limit_s
    trust, length, remarks = Trust(), None, []
    while True:
        with Video(path, trust, threads, until) as video:
            assumed = length or video.length
            try:
                picker = None
                if assumed:
                    moments = [video.start + (2 * part + 1) * assumed // (2 * count) for part in range(count)]
                    picker = Picker(moments, Drawer(size))
                    pick(video, picker)
                found = length or video.end() - video.start
            except Doubt as doubt:  # each costs one kind of trust, so there are three at most
                trust, length = replace(trust, **{doubt.trust: False}), None
                remarks.append(str(doubt))
                continue
            if picker and abs(found - assumed) * 2 * count <= assumed:  # no moment lies beyond the end
                return _frames(video, picker, found, remarks)
            if found <= 0:
                raise VideoError(f"{path} has no frames")
            if picker:
                said, true = float(assumed * video.unit), float(found * video.unit)
                remarks.append(f"The file says that it is {said:.2f} s long, its frames end at {true:.2f} s.")
            length = found


def _frames(video: Video, picker: Picker, length: int, remarks: list[str]) -> Frames:
    if not picker.chosen:
        raise VideoError(f"{video.path}: none of its frames can be decoded")
    images = dict(picker.chosen)
    times, moments = (
        np.array([float((at - video.start) * video.unit) for at in some]) for some in (images, picker.moments)
    )
    if len(images) < len(picker.moments):
        remarks.append(f"Only {len(images)} different frames were found.")
    if video.damaged:
        remarks.append(f"{video.damaged} damaged packets were left out.")
    return Frames(
        tuple(images.values()),
        times,
        moments,
        float(length * video.unit),
        tuple(dict.fromkeys([*remarks, *video.notes])),
    )
