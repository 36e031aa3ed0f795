"""Faces in frames: the detector's inputs and outputs, and which detections are one face over time.

The detector itself is reached through the pipeline's ``infer``; every function here is pure. Boxes and landmarks are
float pixels of the decoded picture, x before y.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from veracity.catalog.detectors.face_detector import STRIDE as DETECTOR_STRIDE

Box = tuple[float, float, float, float]
Image = NDArray[np.uint8]

SAME_FACE = 0.3  # IoU from which two boxes in consecutive detection frames are one face
REACH = 1.0  # sides of a face: how far its centre may have gone where boxes no longer overlap
GROWTH = 2.0  # times: how much its side may have changed
MAX_MISSED = (
    3  # consecutive detection frames in which a face may be missing (turned away, hidden) without its track ending
)
MOTION_SECONDS = 1.0  # a face is expected to keep its speed for so long; beyond, to be where it was
CUT = 0.4  # distance of two pictures' colours over which there was a cut: in 65 uncut clips it stayed under 0.25


@dataclass(frozen=True, eq=False)
class Detection:
    """One face in one frame: ``box`` x0, y0, x1, y1, ``landmarks`` float32 [5, 2] in the order of ``crops.LANDMARKS``.

    Both may reach over the picture's edge.
    """

    box: Box
    score: float
    landmarks: NDArray[np.float32]

    @property
    def centre(self) -> NDArray[np.float64]:
        """The middle of the box, [2]."""
        return np.array([self.box[0] + self.box[2], self.box[1] + self.box[3]]) / 2

    @property
    def width(self) -> float:
        """How many pixels the box is wide."""
        return self.box[2] - self.box[0]

    @property
    def side(self) -> float:
        """The side of the square that is as large as the box, in pixels."""
        return float(np.sqrt((self.box[2] - self.box[0]) * (self.box[3] - self.box[1])))


def letterbox(images: Sequence[Image] | Image, long_side: int) -> tuple[Image, float]:
    """Shrink pictures of one size, uint8 [H, W, 3], to ``long_side`` and pad them to what the detector takes.

    Returns the batch, uint8 [n, h, w, 3], h and w multiples of 32 with black to the right and below, and the scale:
    a pixel of the batch is 1/scale pixels of the picture. Small pictures stay as they are. Raises ValueError for
    pictures of other or several shapes.
    """
    shapes = {np.shape(image) for image in images}
    if len(shapes) != 1 or long_side < 1:
        raise ValueError(f"pictures must have one size, and long_side be over 0; got {sorted(shapes)}, {long_side}")
    height, width, *planes = shapes.pop()
    if planes != [3] or not height or not width:
        raise ValueError(f"pictures must be [H, W, 3], got {[height, width, *planes]}")
    scale = min(1.0, long_side / max(height, width))
    h, w = (max(1, round(side * scale)) for side in (height, width))
    batch = np.zeros((len(images), _padded(h), _padded(w), 3), np.uint8)
    for row, image in zip(batch, images):
        row[:h, :w] = image if scale == 1 else cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
    return batch, scale


def _padded(side: int) -> int:
    return -(-side // DETECTOR_STRIDE) * DETECTOR_STRIDE


def detections(outputs: Mapping[str, NDArray[Any]], scale: float) -> list[list[Detection]]:
    """Read the graph's BOXES [n, K, 4], SCORES [n, K], LANDMARKS [n, K, 5, 2]: each picture's faces, best first."""
    pictures = zip(outputs["BOXES"], outputs["SCORES"], outputs["LANDMARKS"])
    return [list(_faces(boxes / scale, scores, points / scale)) for boxes, scores, points in pictures]


def _faces(boxes: NDArray[Any], scores: NDArray[Any], points: NDArray[Any]) -> Iterator[Detection]:
    for box, score, landmarks in zip(boxes, scores, points):
        if score > 0:
            x0, y0, x1, y1 = (float(v) for v in box)
            yield Detection((x0, y0, x1, y1), float(score), landmarks.astype(np.float32))


def is_visible(face: Detection, image: Image) -> bool:
    """Return whether a detection is made of numbers and has a pixel in ``image`` [H, W, 3]."""
    x0, y0, x1, y1 = face.box
    if not (np.isfinite(face.box).all() and np.isfinite(face.landmarks).all()):
        return False
    return min(x1, image.shape[1]) - max(x0, 0) >= 1 and min(y1, image.shape[0]) - max(y0, 0) >= 1


def iou(a: Box, b: Box) -> float:
    """Return the area that two boxes share over the area that they cover."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a, b)]
    return shared / (sum(areas) - shared) if shared else 0.0


def colours(image: Image) -> NDArray[np.float64]:
    """Return a picture's colour histogram, [512], sum 1: 8 steps of each of red, green and blue."""
    small = np.asarray(cv2.resize(image, (64, 36), interpolation=cv2.INTER_AREA), np.uint8)
    bins = (small // 32).astype(np.int64) @ np.array([64, 8, 1])
    counts: NDArray[np.float64] = np.bincount(bins.ravel(), minlength=512) / bins.size
    return counts


@dataclass(frozen=True, eq=False)
class Track:
    """One face over time: frame numbers, seconds and detections, side by side. ``id`` counts from 1."""

    id: int
    frames: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    detections: list[Detection] = field(default_factory=list)

    @property
    def weight(self) -> float:
        """How much of the clip this face is: its mean area times its seconds (a single frame counts as 1/25 s)."""
        area = sum(d.side**2 for d in self.detections) / len(self.detections)
        return area * (self.times[-1] - self.times[0] + 0.04)

    def expected(self, time: float) -> Box:
        """Return where the face is at ``time`` if it goes on as it went."""
        last, since = self.detections[-1], time - self.times[-1]
        if len(self.times) < 2 or since > MOTION_SECONDS or self.times[-1] - self.times[-2] > MOTION_SECONDS:
            return last.box
        speed = (last.centre - self.detections[-2].centre) / (self.times[-1] - self.times[-2])
        dx, dy = (float(v) for v in speed * since)
        x0, y0, x1, y1 = last.box
        return x0 + dx, y0 + dy, x1 + dx, y1 + dy


@dataclass(eq=False)
class Tracker:
    """Follows faces from one detection frame to the next, in the order of time.

    A detection goes on with the track whose expected box overlaps it most (IoU 0.3 or more); what is left over goes
    on with the nearest track of like size whose centre is within one side of the face, since samples of a long clip
    lie seconds apart; the rest begins new tracks. A track that is missing in more than three detection
    frames, and every track at a scene cut, has ended. The same detections give the same tracks.
    """

    _all: list[Track] = field(default_factory=list)
    _missed: dict[int, int] = field(default_factory=dict)  # track id -> consecutive frames without it; live tracks only
    _colours: NDArray[np.float64] | None = None

    @property
    def tracks(self) -> list[Track]:
        """Every track so far, the one that is most of the clip first."""
        return sorted(self._all, key=lambda track: (-track.weight, track.id))

    def update(
        self, index: int, time: float, found: Sequence[Detection], image: Image | None = None
    ) -> list[tuple[Track, Detection]]:
        """Take the detections of the next frame and return each with its track; ``image`` [H, W, 3] shows scene cuts.

        Raises ValueError when time does not go forward.
        """
        going = [track for track in self._all if track.id in self._missed]
        if any(track.times[-1] >= time for track in going):
            raise ValueError(f"detections must be given in the order of time, and these are at {time} s")
        if image is not None and self._is_cut(image):
            going = []
        followed = self._match(going, found, time)
        self._missed = {track.id: self._missed[track.id] + 1 for track in going if self._missed[track.id] < MAX_MISSED}
        for track, detection in followed:
            track.frames.append(index)
            track.times.append(time)
            track.detections.append(detection)
            self._missed[track.id] = 0
        return followed

    def _is_cut(self, image: Image) -> bool:
        before, self._colours = self._colours, colours(image)
        return before is not None and float(np.abs(before - self._colours).sum()) / 2 > CUT

    def _match(self, going: Sequence[Track], found: Sequence[Detection], time: float) -> list[tuple[Track, Detection]]:
        boxes = {track.id: track.expected(time) for track in going}
        overlaps = ((-iou(boxes[t.id], d.box), t, k) for t in going for k, d in enumerate(found))
        pairs = _best_first(o for o in overlaps if o[0] <= -SAME_FACE)
        free = [track for track in going if track not in pairs.values()]
        distances = (
            (_distance(t.detections[-1], d), t, k) for t in free for k, d in enumerate(found) if k not in pairs
        )
        pairs |= _best_first(d for d in distances if d[0] <= REACH)
        return [(pairs.get(k) or self._begin(), detection) for k, detection in enumerate(found)]

    def _begin(self) -> Track:
        self._all.append(Track(len(self._all) + 1))
        return self._all[-1]


def _best_first(costs: Iterable[tuple[float, Track, int]]) -> dict[int, Track]:
    """Pair each detection (a number) with at most one track, the cheapest pair first."""
    pairs: dict[int, Track] = {}
    for _, track, k in sorted(costs, key=lambda cost: (cost[0], cost[1].id, cost[2])):
        if k not in pairs and track not in pairs.values():
            pairs[k] = track
    return pairs


def _distance(a: Detection, b: Detection) -> float:
    """Return the way between two faces in sides of the larger; infinite where their sizes differ too much."""
    small, large = sorted((a.side, b.side))
    if not 0 < large <= GROWTH * small:
        return float("inf")
    return float(np.hypot(*(a.centre - b.centre))) / large
