"""The frames of given moments, picked out of a video while as little as possible is decoded."""

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import TYPE_CHECKING, final

import numpy as np

from vrsim.perception.drawing import Drawer
from vrsim.perception.groups import Group, groups
from vrsim.perception.video import Doubt, Video

if TYPE_CHECKING:
    from av import Packet, VideoFrame

__all__ = ["Picker", "pick"]


@final
class Picker:
    """Looks at frames as they pass by and keeps those of the wanted moments: the last ones that begin by then.

    Attributes:
        chosen: time and image, uint8 (height, width, 3), for the first of the moments.
    """

    def __init__(self, moments: Sequence[int], draw: Drawer) -> None:
        """``moments``: in ticks, rising."""
        self.moments, self.draw = moments, draw
        self.chosen: list[tuple[int, np.ndarray]] = []
        self._held: tuple[int, VideoFrame] | None = None  # the latest frame
        self._first: int | None = None  # of the frame that must be next

    def wanted(self, before: int | None = None) -> Sequence[int]:
        """The moments that have no frame yet; with ``before`` only those before it."""
        return [at for at in self.moments[len(self.chosen) :] if before is None or at < before]

    def jump(self, first: int) -> None:
        """What comes now comes from a key frame at ``first``; frames before it lack what they build on."""
        self._held, self._first = None, first

    def see(self, at: int, frame: "VideoFrame") -> None:
        """Take one frame as it comes out of the decoder. Raises Doubt."""
        if self._first is not None:
            if at < self._first:
                return
            if at > self._first:
                raise Doubt("keys", "A key frame does not stand alone.")
            self._first = None
        if self._held is not None and at < self._held[0]:
            raise Doubt("stamps", "Frames come out in another order than their times say.")
        self.settle(at)
        self._held = at, frame

    def settle(self, before: int | None = None) -> None:
        """No frame will begin before ``before`` any more; None = none at all."""
        if self._held is not None and (ready := len(self.wanted(before))):
            self.chosen += [(self._held[0], self.draw(self._held[1]))] * ready


def pick(video: Video, picker: Picker) -> None:
    """Show a picker the frames that it needs: from trusted key frames on, or else all. Raises Doubt, VideoError."""
    if video.trust.keys and video.trust.stamps:
        _pick_from_groups(video, picker)
        return
    for packet in chain(video.packets(), [None]):
        for at, frame in video.frames(packet):
            picker.see(at, frame)
    picker.settle()


def _pick_from_groups(video: Video, picker: Picker) -> None:
    decoding = _Decoding(video, picker)
    sought = None  # the moment of the last seek; there is one for each at most
    while picker.wanted():
        landed = sought is not None
        for group, following in pairwise(chain(groups(video.packets()), [None])):
            if landed and not (group.packets[0].is_keyframe and group.start <= picker.wanted()[0]):
                raise Doubt("seeks", "A seek led astray.")
            landed = False
            moments = [at for at in picker.wanted(following and following.start) if at > decoding.last]
            if moments:
                decoding.take(group, moments, following)
            else:
                decoding.stop(group)
            if not picker.wanted():
                return
            if not moments and picker.wanted()[0] != sought and video.skip_to(picker.wanted()[0]):
                sought = picker.wanted()[0]
                break
        else:
            if landed:
                raise Doubt("seeks", "A seek led to nothing.")
            decoding.stop(None)
            return


@final
class _Decoding:
    """Decodes runs of groups that follow each other."""

    def __init__(self, video: Video, picker: Picker) -> None:
        self.video, self.picker = video, picker
        self.last = -(2**63)  # the last moment for which enough was decoded
        self._runs = True  # the decoder had all packets up to here
        self._owed = 0  # packets of the next group that this run needs

    def take(self, group: Group, moments: Sequence[int], following: Group | None) -> None:
        """Decode a group as far as the frames of these moments need it."""
        if not self._runs:
            self.video.forget()
            self.picker.jump(group.start)
        needed = max(group.needed(moments, following), self._owed)
        self._feed(group.packets[:needed])
        self.last, self._runs, self._owed = moments[-1], True, max(0, needed - len(group.packets))
        if needed < len(group.packets):
            self.stop(following)

    def stop(self, following: Group | None) -> None:
        """End a run before a group, None = at the end: let out the frames that the decoder still holds."""
        if not self._runs:
            return
        self._feed([*(following.packets[: self._owed] if following else ()), None])
        self._runs, self._owed, before = False, 0, following and following.start
        self.picker.settle(before)
        if self.picker.wanted(before):
            raise Doubt("keys", "A wanted frame did not come out.")

    def _feed(self, packets: Sequence["Packet | None"]) -> None:
        for packet in packets:
            for at, frame in self.video.frames(packet):
                self.picker.see(at, frame)
