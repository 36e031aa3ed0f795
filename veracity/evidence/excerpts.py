"""Excerpts of a clip that a detector may cut its samples from; the fourth kind is ``speech.SpeechWindow``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from veracity.catalog.layers import FPS
from veracity.evidence.crops import Image, interpolate
from veracity.evidence.faces import Detection

_SOFTEST = 0.1  # of 255, so that one colour has a logarithm


class Excerpt(Protocol):
    """A stretch of a clip, ``start`` to ``end`` in seconds."""

    @property
    def start(self) -> float: ...  # noqa: D102  # the class says it

    @property
    def end(self) -> float: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class WholeFrame:
    """A frame, ``image`` uint8 RGB [H, W, 3]; ``squares`` is how many a detector may cut where it cuts squares."""

    start: float
    end: float
    image: Image
    squares: int = 1

    @property
    def width(self) -> float:
        """Pixels that it is wide."""
        return float(self.image.shape[1])

    @property
    def fineness(self) -> float:
        """How sharp it is."""
        return fineness(self.image)


@dataclass(frozen=True, eq=False)
class FaceInFrame:
    """A face found in one frame, ``image`` uint8 RGB [H, W, 3]; ``face`` is its track's id."""

    start: float
    end: float
    image: Image
    face: int
    detection: Detection

    @property
    def width(self) -> float:
        """Pixels that the face's box is wide."""
        return self.detection.width

    @property
    def fineness(self) -> float | None:
        """How sharp the picture is inside the face's box; None where none of that lies in the picture."""
        x0, y0, x1, y1 = (max(0, round(edge)) for edge in self.detection.box)
        inside = self.image[y0:y1, x0:x1]
        return fineness(inside) if inside.size else None


@dataclass(frozen=True, eq=False)
class FaceRun:
    """A face followed over consecutive frames, numbered ``run``: uint8 [H, W] each, or RGB [H, W, 3].

    ``detections`` are those of the frames, by number, that the face detector was run on, the first and last among them.
    """

    frames: Sequence[Image]
    run: range
    face: int
    detections: Mapping[int, Detection]

    @property
    def start(self) -> float:
        """Seconds at the first frame."""
        return self.run[0] / FPS

    @property
    def width(self) -> float:
        """Pixels that the face's box is wide, on average."""
        return float(np.mean([face.width for face in self.detections.values()]))

    @property
    def end(self) -> float:
        """Seconds at the end of the last frame."""
        return (self.run[-1] + 1) / FPS


def fineness(image: Image) -> float:
    """Return the logarithm of the mean size of the brightness's Laplacian, of RGB [H, W, 3]: low where it is soft."""
    brightness = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    edges = cv2.norm(cv2.Laplacian(brightness, cv2.CV_16S), cv2.NORM_L1) / brightness.size
    return round(float(np.log(edges + _SOFTEST)), 3)


def run_landmarks(face: FaceRun) -> NDArray[np.float32]:
    """Return a run's landmarks in every frame, [frames, 5, 2], interpolated between those that were searched."""
    return interpolate({number: found.landmarks for number, found in face.detections.items()}, face.run)
