"""Groups of pictures: a key frame and the packets that build on it."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from vrsim.perception.video import Doubt

if TYPE_CHECKING:
    from av import Packet

__all__ = ["Group", "groups"]

MOST_HELD = 2**25  # bytes of one group, compressed


@dataclass(frozen=True, eq=False)
class Group:
    """The packets from a key frame to the next one, in decoding order.

    All its frames are shown before the next group's key frame, but some may be shown before its own: leading
    pictures, which build on the group before as well.
    """

    packets: Sequence["Packet"]

    @property
    def start(self) -> int:
        """The time of the key frame."""
        return self.packets[0].pts

    @cached_property
    def opening(self) -> Sequence["Packet"]:
        """The key frame and its leading pictures; nothing where there are none."""
        last = max((i for i, packet in enumerate(self.packets) if packet.pts < self.start), default=-1)
        return self.packets[: last + 1]

    def needed(self, moments: Sequence[int], following: "Group | None") -> int:
        """How many packets must be decoded for the frames of some moments, all before the following group's start.

        They may run into the following group where its leading pictures are wanted.
        """
        packets = [*self.packets, *(following.opening if following else ())]
        shown = sorted((packet.pts, place) for place, packet in enumerate(packets) if not packet.is_discard)
        if not shown:
            return 0
        places = [shown[max(0, bisect_right(shown, (moment, len(packets))) - 1)][1] for moment in moments]
        return min(max(places) + 2, len(packets))  # one more: the second field of a frame can be a packet of its own


def groups(packets: Iterable["Packet"]) -> Iterator[Group]:
    """Put packets together into groups. Raises Doubt where groups cannot be told apart, or not be held in memory."""
    held, size, latest = [], 0, None
    for packet in packets:
        if packet.is_keyframe and held:
            if packet.pts <= latest:
                raise Doubt("keys", "Times run backwards.")
            yield Group(held)
            held, size, latest = [], 0, None
        held.append(packet)
        size += packet.size
        latest = packet.pts if latest is None else max(latest, packet.pts)
        if size > MOST_HELD:
            raise Doubt("keys", "Key frames are very far apart.")
    if held:
        yield Group(held)
