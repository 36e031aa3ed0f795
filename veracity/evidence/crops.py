"""What is cut out of a picture: faces for the visual layer, aligned mouths for the lip layer, squares for layer 4.

Points and boxes are float pixels, x before y, the origin at the middle of the first pixel. Every function is pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from veracity.catalog import Crop
from veracity.catalog.layers import MOUTH_SIZE
from veracity.catalog.model import SBI_CROP

Points = NDArray[np.floating[Any]]
Image = NDArray[np.uint8]

LANDMARKS = ("right eye", "left eye", "nose", "right mouth corner", "left mouth corner")  # the person's right
FACE_SIDE = 256  # pixels of the aligned face that the mouth is cut from
SMOOTHING = 12  # frames, the present one and the 11 that follow: 0.48 s at 25 fps
LONGEST = 16  # times its shorter side that a picture's longer one counts; films and panoramas are shorter than 8
# LANDMARKS of LipForensics' mean face in the aligned face; an eye is the mean of its corners, the nose its tip.
MEAN_FACE = np.array([[102.65, 94.66], [156.10, 94.05], [128.27, 127.70], [107.17, 157.20], [152.19, 156.99]])


def face_box(shape: Sequence[int], box: Sequence[float], crop: Crop = SBI_CROP) -> tuple[int, int, int, int]:
    """Widen ``box`` by ``crop.margin`` of its own width and height a side, within a picture of ``shape`` (H, W, …).

    Returns whole pixels x0, y0, x1, y1, the end exclusive. They are rounded as the authors round: SelfBlendedImages,
    who stretch, once, with the pixel at the end; the DFDC winner at every step, without it.
    Raises ValueError for a box that has no pixel in the picture.
    """
    if not np.isfinite(box).all():
        raise ValueError(f"box {tuple(box)} has a side that is no number")
    whole, last = (float, 1) if crop.stretch else (int, 0)
    x0, y0, x1, y1 = (whole(v) for v in box)
    dx, dy = whole((x1 - x0) * crop.margin), whole((y1 - y0) * crop.margin)
    left, top = max(0, int(x0 - dx)), max(0, int(y0 - dy))
    right, bottom = min(shape[1], int(x1 + dx) + last), min(shape[0], int(y1 + dy) + last)
    if right <= left or bottom <= top:
        raise ValueError(f"box {tuple(box)} has no pixel in a picture of {shape[1]}x{shape[0]}")
    return left, top, right, bottom


def face_crop(image: Image, box: Sequence[float], size: int, crop: Crop = SBI_CROP) -> Image:
    """Cut a face out of ``image`` uint8 [H, W, 3] and bring it to uint8 [size, size, 3], as ``crop`` says."""
    x0, y0, x1, y1 = face_box(image.shape, box, crop)
    face = image[y0:y1, x0:x1]
    if crop.stretch:
        return _uint8(cv2.resize(face, (size, size), interpolation=cv2.INTER_LINEAR))
    return _on_black(_fitted(face, size), size)


def face_area(shape: Sequence[int], box: Sequence[float], crop: Crop = SBI_CROP) -> tuple[float, float, float, float]:
    """Return what of the picture :func:`face_crop` shows, x0, y0, x1, y1; what is on black is a square round it."""
    x0, y0, x1, y1 = map(float, face_box(shape, box, crop))
    if crop.stretch:
        return x0, y0, x1, y1
    half = max(x1 - x0, y1 - y0) / 2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return x - half, y - half, x + half, y + half


def _fitted(image: Image, size: int) -> Image:
    """Bring the longer side to ``size`` pixels and keep the shape, as the DFDC winner does: cubic up, area down."""
    height, width = image.shape[:2]
    scale = size / max(height, width)
    if scale == 1:
        return image
    sides = [size if side == max(height, width) else max(1, int(side * scale)) for side in (width, height)]
    return _uint8(cv2.resize(image, sides, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA))


def _on_black(image: Image, size: int) -> Image:
    """Put a picture that is no larger into the middle of a black square."""
    out = np.zeros((size, size, 3), np.uint8)
    top, left = ((size - side) // 2 for side in image.shape[:2])
    out[top : top + image.shape[0], left : left + image.shape[1]] = image
    return out


def picture_crops(image: Image, size: int, number: int = 1) -> list[Image]:
    """Cut squares of ``size`` out of RGB [H, W, 3] without scaling: the middle; with ``number`` 5 the corners as well.

    A side that is too small is padded with black, and squares that would show the same are cut once. The middle is
    what UniversalFakeDetect was trained and measured with: scaling would wipe out the traces it looks for.
    """
    down, right = (max(0, side - size) for side in image.shape[:2])
    places = [(round(down / 2), round(right / 2))]  # rounded as torchvision's CenterCrop does
    if number > 1:
        places += [(y, x) for y in (0, down) for x in (0, right)]
    return [_on_black(image[y : y + size, x : x + size], size) for y, x in dict.fromkeys(places)]


def at_least(image: Image, size: int) -> Image:
    """Enlarge RGB [H, W, 3] until its shorter side has ``size`` pixels; one that has them stays, to the bit.

    Of a picture that is longer than ``LONGEST`` to 1 its middle: see :func:`whole_picture`.
    """
    shorter = min(image.shape[:2])
    if shorter >= size:
        return image
    height, width = (max(size, round(side * size / shorter)) for side in _middle(image).shape[:2])
    return _uint8(cv2.resize(_middle(image), (width, height), interpolation=cv2.INTER_CUBIC))


def whole_picture(image: Image, size: int) -> Image:
    """Bring the shorter side of RGB [H, W, 3] to ``size`` and cut the middle square out, as CLIP's authors do.

    Cubic up and area down, which is what their antialiased cubic comes to in OpenCV. Only the middle of a picture that
    is longer than ``LONGEST`` to 1 is scaled: the rest cannot be seen, and a line of 65,535 pixels would take 10 GB.
    """
    image = _middle(image)
    height, width = image.shape[:2]
    scale = size / min(height, width)
    sides = (max(size, round(width * scale)), max(size, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return picture_crops(_uint8(cv2.resize(image, sides, interpolation=way)), size)[0]


def _middle(image: Image) -> Image:
    """Cut a long picture to ``LONGEST`` to 1, about its middle."""
    most = LONGEST * min(image.shape[:2])
    left, top = (max(0, side - most) // 2 for side in (image.shape[1], image.shape[0]))
    return image[top : image.shape[0] - top, left : image.shape[1] - left]


def similarity(source: Points, target: Points) -> Points:
    """Return the turn, scale and shift [2, 3] that brings ``source`` [n, 2] nearest to ``target`` in least squares.

    Raises ValueError where all source points are one.
    """
    a, b = (np.asarray(points, np.float64) @ (1, 1j) for points in (source, target))  # a point is a complex number
    spread = np.vdot(a - a.mean(), a - a.mean()).real
    if not spread > 0:
        raise ValueError("points that all lie in one place cannot be aligned")
    turn = np.vdot(a - a.mean(), b - b.mean()) / spread
    shift = b.mean() - turn * a.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def mouth_crop(image: Image, to_face: Points, mouth: Points) -> Image:
    """Cut the mouth out of ``image`` uint8 [H, W]: grey uint8 [96, 96] round the mean of ``mouth`` [n, 2].

    ``to_face`` [2, 3] leads from the picture to the aligned face, whose edge the crop does not leave.
    """
    half = MOUTH_SIZE // 2
    middle = to_face @ (*np.asarray(mouth, np.float64).mean(axis=0), 1.0)
    corner = [round(float(v)) - half for v in np.clip(middle, half, FACE_SIDE - half)]
    shifted = np.column_stack([to_face[:, :2], to_face[:, 2] - corner])
    return _uint8(cv2.warpAffine(image, shifted, (MOUTH_SIZE, MOUTH_SIZE), flags=cv2.INTER_LINEAR))


def smooth(points: Points, frames: int = SMOOTHING) -> Points:
    """Average ``points`` [n, …] over a queue of ``frames``: each one and those that follow.

    Where fewer follow, the last full queue's mean stands, as in LipForensics' own preparation.
    """
    full = max(1, len(points) - frames + 1)
    means = [np.mean(points[k : k + frames], axis=0) for k in range(full)]
    return np.stack(means + means[-1:] * (len(points) - full))


def mouth_crops(frames: Sequence[Image], landmarks: Points) -> Image:
    """Cut a mouth out of each of ``frames``, uint8 [H, W] grey or [H, W, 3] RGB; returns uint8 [n, 96, 96].

    ``landmarks`` [n, 5, 2] are one face's, in the order of ``LANDMARKS``, in every frame. The alignment follows them
    smoothed, the mouth is centred where it is. Raises ValueError when the numbers of frames and landmarks differ.
    """
    if len(frames) != len(landmarks) or np.shape(landmarks)[1:] != (5, 2):
        raise ValueError(f"{len(frames)} frames want landmarks [{len(frames)}, 5, 2], got {np.shape(landmarks)}")
    if not len(frames):
        return np.empty((0, MOUTH_SIZE, MOUTH_SIZE), np.uint8)
    aligned = [similarity(points, MEAN_FACE) for points in smooth(landmarks)]
    return np.stack([mouth_crop(luma(f), a, p[3:]) for f, a, p in zip(frames, aligned, landmarks)])


def interpolate(known: Mapping[int, Points], wanted: Sequence[int]) -> NDArray[np.float32]:
    """Return landmarks of all ``wanted`` frames, float32 [n, 5, 2], on straight lines between the ``known`` ones.

    Before the first and after the last known frame they stand still. Raises ValueError when none is known.
    """
    if not known:
        raise ValueError("no landmarks to interpolate between")
    at = sorted(known)
    values = np.stack([np.asarray(known[k], np.float64) for k in at])
    lines = [np.interp(wanted, at, column) for column in values.reshape(len(at), -1).T]
    return np.stack(lines, axis=-1).reshape(len(wanted), *values.shape[1:]).astype(np.float32)


def luma(image: Image) -> Image:
    """Return the luma, uint8 [H, W], of RGB [H, W, 3]; a picture that has no colour is returned as it is."""
    return image if image.ndim == 2 else _uint8(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def _uint8(image: Any) -> Image:
    return np.asarray(image, np.uint8)
