"""Excerpts of a clip that a detector may cut its samples from; the fourth kind is ``speech.SpeechWindow``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from veracity.catalog.layers import FPS
from veracity.evidence.crops import Image
from veracity.evidence.faces import Detection


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


@dataclass(frozen=True, eq=False)
class FaceInFrame:
    """A face found in one frame, ``image`` uint8 RGB [H, W, 3]; ``face`` is its track's id."""

    start: float
    end: float
    image: Image
    face: int
    detection: Detection


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
    def end(self) -> float:
        """Seconds at the end of the last frame."""
        return (self.run[-1] + 1) / FPS
