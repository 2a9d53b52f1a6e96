"""Decoded frames as arrays: small enough, RGB, the right way up."""

from typing import TYPE_CHECKING, final

import numpy as np

from vrsim.errors import VideoError

if TYPE_CHECKING:
    from av import VideoFrame

__all__ = ["Drawer", "upright"]


@final
class Drawer:
    """Makes uint8 (height, width, 3) arrays of frames; the longer side has ``size`` pixels at most."""

    def __init__(self, size: int) -> None:
        from av.video.reformatter import VideoReformatter

        self.size = size
        self._reformatter = VideoReformatter()  # one for all frames: it keeps its tables

    def __call__(self, frame: "VideoFrame") -> np.ndarray:
        scale = min(1, self.size / max(frame.width, frame.height))
        width, height = (max(1, round(side * scale)) for side in (frame.width, frame.height))
        try:
            small = self._reformatter.reformat(frame, width, height, "rgb24", interpolation="AREA", threads=1)
        except (ValueError, OSError, RuntimeError) as error:  # what the errors of PyAV are as well
            raise VideoError(f"no picture can be made of frames in the format {frame.format.name}: {error}") from None
        matrix = next((data for data in frame.side_data if data.type.name == "DISPLAYMATRIX"), None)
        image = small.to_ndarray()
        return image if matrix is None else upright(image, np.frombuffer(matrix, np.int32))


def upright(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Turn and mirror an image as a display matrix says, int32 (9,), to the nearest quarter turn.

    x' = (m0 x + m3 y) and y' = (m1 x + m4 y), as in ISO/IEC 14496-12, section 6.2.2.
    """
    across, down = matrix[0], matrix[4]
    if abs(across) < abs(matrix[3]):  # the axes change places
        image, across, down = image.swapaxes(0, 1), matrix[3], matrix[1]
    return np.ascontiguousarray(image[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])
