"""A video file, read packet by packet: nothing else is opened, and time and memory are bounded."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from fractions import Fraction
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, final

from vrsim.errors import DependencyError, VideoError

if TYPE_CHECKING:
    from av import Packet, VideoFrame

__all__ = ["Doubt", "Trust", "Video", "import_av", "reason"]

INDEXED = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}  # they keep the time of every frame, so a seek changes none
FAR, BEFORE = 20.0, 4.0  # seconds: a gap worth a seek, and how much earlier it aims (files seek by decoding times)
MOST_PIXELS = 2**26  # of a frame; the decoder alone would take up to 2**31, 3 GB
USUAL_RATE = Fraction(25)  # frames a second of a stream that says nothing about it, as in ffmpeg


def import_av() -> Any:
    """PyAV. Raises DependencyError where it is missing."""
    try:
        import av
    except ImportError as error:
        raise DependencyError(f"videos need PyAV ({error}); install it with pip install 'vrsim[video]'") from None
    return av


class Doubt(Exception):
    """A file did not do what was expected of it; it is to be read again with less trust."""

    def __init__(self, trust: str, reason: str) -> None:
        """``trust``: the field of Trust that is lost; ``reason``: a sentence."""
        super().__init__(reason)
        self.trust = trust


@dataclass(frozen=True)
class Trust:
    """What is believed of a file."""

    seeks: bool = True  # a seek leads to a key frame before the time asked for
    keys: bool = True  # decoding can begin at every key frame
    stamps: bool = True  # every frame has a time; otherwise frames are counted


@final
class Video(AbstractContextManager):
    """The picture stream of one file, open from its beginning. Times are integers, in ticks of ``unit``.

    The file is read through a handle of our own: its name is no address and no pattern to ffmpeg, and a playlist that
    points to other files is refused.

    Attributes:
        unit: seconds of a tick, a Fraction.
        start: time of the first frame that is shown.
        length: ticks from there to the end, as the file says; None = it does not say.
        damaged: packets that were left out.
        notes: what else was odd while it was read, in sentences.
    """

    def __init__(self, path: Path, trust: Trust, threads: int, until: float) -> None:
        """``threads`` of the decoder, 0 = as many as cores; ``until``: the time.monotonic() at which to give up."""
        self._av = import_av()
        self.path, self.trust, self.notes, self.damaged, self._until = path, trust, [], 0, until
        self._at: int | None = None  # where reading stands
        self._end: int | None = None  # of what was read
        self._shown = 0  # frames that came out
        with ExitStack() as opened:
            file = opened.enter_context(_open(path))
            nameless = FileIO(file.fileno(), closefd=False)  # PyAV would tell ffmpeg the name
            try:
                container = self._av.open(nameless, metadata_errors="replace", io_open=_refuser(path))
            except (self._av.FFmpegError, OSError) as error:
                raise VideoError(f"{path} is no video that can be read: {reason(error)}") from None
            self._container = opened.enter_context(container)
            self._stream = self._find_stream(threads)
            self._opened = opened.pop_all()
        rate = self._stream.average_rate or self._stream.guessed_rate or USUAL_RATE
        if trust.stamps:
            self.unit, self.start = self._stream.time_base, self._stream.start_time or 0
            self.length = self._said()
        else:
            self.unit, self.start, self.length = 1 / rate, 0, None
            self.notes.append(f"Frames have no times of their own; they were counted, {float(rate):g} a second.")
        self._step = max(1, round(1 / rate / self.unit))  # ticks of a frame that says nothing about it

    def __exit__(self, *_) -> None:
        self._opened.close()

    def _find_stream(self, threads: int) -> Any:
        stream = self._container.streams.best("video")
        if stream is None or stream.disposition & self._av.stream.Disposition.attached_pic:
            raise VideoError(f"{self.path} has no video stream")
        if stream.codec_context is None:
            raise VideoError(f"{self.path} has video in a format that PyAV cannot decode")
        for other in self._container.streams:
            if other is not stream:
                other.discard = self._av.stream.Discard.all
        stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        return stream

    def packets(self) -> Iterator["Packet"]:
        """The packets from here on, in decoding order. A file that breaks off ends there, with a note."""
        packets = self._container.demux(self._stream)
        while True:
            self._check()
            try:
                packet = next(packets, None)
            except (self._av.FFmpegError, OSError) as error:
                self.notes.append(f"Reading stopped early: {reason(error)}.")
                return
            if packet is None or packet.size == 0:  # PyAV's own end mark
                return
            if not self.trust.stamps:
                self._end = (self._end or 0) + 1
            elif packet.pts is None:
                raise Doubt("stamps", "There are frames without a time.")
            elif not packet.is_discard:
                self._at = packet.pts
                end = packet.pts + (packet.duration or self._step)
                self._end = end if self._end is None else max(self._end, end)
            yield packet

    def frames(self, packet: "Packet | None") -> Iterator[tuple[int, "VideoFrame"]]:
        """The frames that come out, with their times, when a packet goes in; None = all that are still inside.

        While key frames are trusted, damage raises Doubt; otherwise damaged packets are left out and counted.
        """
        self._check()
        try:
            frames = self._stream.codec_context.decode(packet)
        except self._av.FFmpegError as error:
            if self.trust.keys:
                raise Doubt("keys", f"A packet cannot be decoded: {reason(error)}.") from None
            self.damaged += 1
            return
        for frame in frames:
            if self.trust.keys and frame.is_corrupt:
                raise Doubt("keys", "A frame is damaged.")
            self._shown += 1
            if frame.pts is None and self.trust.stamps:
                raise Doubt("stamps", "There are frames without a time.")
            yield (frame.pts if self.trust.stamps else self._shown - 1), frame

    def forget(self) -> None:
        """Make the decoder ready for a key frame from elsewhere."""
        self._stream.codec_context.flush_buffers()

    def skip_to(self, moment: int) -> bool:
        """Go to a key frame before ``moment`` if it is so far ahead that this pays; says whether it went."""
        far = self._at is not None and (moment - self._at) * self.unit > FAR
        if not far or not self.trust.seeks or self._container.format.name not in INDEXED:
            return False
        try:
            self._container.seek(moment - round(BEFORE / self.unit), stream=self._stream)
        except self._av.FFmpegError as error:
            raise Doubt("seeks", f"A seek failed: {reason(error)}.") from None
        return True

    def end(self) -> int:
        """The time at which the last frame ends, found by reading to the end."""
        skipped = self.length is not None and self.skip_to(self.start + self.length)
        found = sum(1 for _ in self.packets())
        if skipped and not found:
            raise Doubt("seeks", "A seek led to nothing.")
        return self.start if self._end is None else self._end

    def _said(self) -> int | None:
        said = self._stream.duration or (self._container.duration or 0) / 10**6 / self.unit
        return int(said) if said > 0 else None

    def _check(self) -> None:
        if time.monotonic() > self._until:
            raise VideoError(f"{self.path} takes longer than it may; raise the limit or leave it out")


def _refuser(path: Path) -> Callable[..., NoReturn]:
    def refuse(url: str, *_) -> NoReturn:
        raise VideoError(f"{path} is no video but a list of other files ({url[:100]!r} for one)")

    return refuse  # no method: a decoder would live on in a circle of references


def _open(path: Path) -> Any:
    try:
        if not path.is_file():
            found = "a folder or device" if path.exists() else "nothing"
            raise VideoError(f"{path}: expected a video file, found {found}")
        file = path.open("rb", buffering=0)
        if path.stat().st_size:
            return file
        file.close()
    except (OSError, ValueError) as error:  # a name can hold a zero byte
        raise VideoError(f"{path} cannot be opened: {reason(error)}") from None
    raise VideoError(f"{path} is empty")


def reason(error: BaseException) -> str:
    """What an error of PyAV or of the system says, without its number and file."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
