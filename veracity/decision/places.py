"""Where something is in the upright picture: frames of more than full HD were examined smaller."""

from __future__ import annotations

from collections.abc import Sequence

from veracity.media.decoding import shown_size
from veracity_client.verdict import InputInfo

Box = tuple[float, float, float, float]


def frame_size(info: InputInfo | None) -> tuple[int, int] | None:
    """Return width and height of the frames that were examined; None where the file has no picture."""
    size = picture_size(info)
    return shown_size(*size) if size else None


def picture_size(info: InputInfo | None) -> tuple[int, int] | None:
    """Return width and height of the upright picture; None where the file has none."""
    if info is None or info.resolution is None:
        return None
    width, height = map(int, info.resolution.split("x"))
    return width, height


def in_picture(box: Sequence[float], info: InputInfo | None) -> Box:
    """Return a box of the frames in pixels of the picture."""
    picture, frame = picture_size(info), frame_size(info)
    across, down = (picture[0] / frame[0], picture[1] / frame[1]) if picture and frame else (1.0, 1.0)
    x0, y0, x1, y1 = (round(float(v) * scale, 1) for v, scale in zip(box, (across, down, across, down)))
    return x0, y0, x1, y1
