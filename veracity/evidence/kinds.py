"""The shared kinds of detectors, whose graph returns FAKE_LOGIT for each sample; they differ in what they cut."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from veracity.catalog import Model
from veracity.evidence.crops import Image, face_crop, mouth_crops, picture_crops, whole_picture
from veracity.evidence.excerpts import Excerpt, FaceInFrame, FaceRun, WholeFrame, run_landmarks
from veracity.evidence.lips import MOUTH_COLUMNS, MOUTH_ROWS, lip_crops
from veracity.evidence.pooling import Pooling
from veracity.evidence.requests import ModelOutput, Sample, sound_around
from veracity.evidence.speech import SpeechWindow
from veracity_client.errors import InternalError

E = TypeVar("E", bound=Excerpt)


@dataclass(frozen=True)
class LogitDetector(ABC, Generic[E]):
    """A detector with one logit a sample; its inputs beyond the first take the sound of the sample's moment."""

    model: Model
    excerpt: ClassVar[type[Excerpt]]
    colour: ClassVar[bool] = False
    mouth: ClassVar[tuple[slice, slice]] = (slice(None), slice(None))

    @property
    def sound(self) -> Literal["none", "optional", "required"]:
        """A graph with an input for the sound takes silence where there is none."""
        return "optional" if self.model.more_inputs else "none"

    @property
    def pool(self) -> Pooling:
        """The pooling that the model declares."""
        declared: Pooling = resolve_name(self.model.pool)
        return declared

    @abstractmethod
    def cut(self, excerpt: E) -> Sequence[NDArray[Any]]:
        """Return the samples of an excerpt, without batch dimension."""

    def requests(self, samples: Sequence[Sample], sound: NDArray[np.int16]) -> list[Mapping[str, NDArray[Any]]]:
        """Stack samples to batches of at most ``model.request_items``, with the sound round the middle of each."""
        size = self.model.request_items
        return [self._batch(samples[first : first + size], sound) for first in range(0, len(samples), size)]

    def _batch(self, samples: Sequence[Sample], sound: NDArray[np.int16]) -> Mapping[str, NDArray[Any]]:
        batch = {self.model.input.name: np.stack([sample.tensor for sample in samples])}
        for tensor in self.model.more_inputs:
            batch[tensor.name] = np.stack([sound_around(sample, sound, tensor) for sample in samples])
        return batch

    def read(self, samples: Sequence[Sample], responses: Sequence[Mapping[str, NDArray[Any]]]) -> ModelOutput:
        """Join FAKE_LOGIT of all responses; raises :class:`InternalError` for one that is NaN or infinite."""
        logits = np.concatenate([np.asarray(one["FAKE_LOGIT"], np.float32).reshape(-1) for one in responses])
        if not np.isfinite(logits).all():
            raise InternalError(f"{self.model.name} returned a logit that is not finite")
        return ModelOutput(self.model.name, tuple(samples), logits)

    def explain(self, output: ModelOutput) -> str:  # noqa: ARG002  the protocol's signature
        """P(fake) says all."""
        return ""


class SpeechWindows(LogitDetector[SpeechWindow]):
    """Windows of speech, int16 [WINDOW_SAMPLES]."""

    excerpt = SpeechWindow

    def cut(self, excerpt: SpeechWindow) -> Sequence[NDArray[np.int16]]:
        """Return the window's sound."""
        return [excerpt.samples]


class FaceCrops(LogitDetector[FaceInFrame]):
    """Faces of single frames, uint8 RGB [size, size, 3], cut as ``model.crop`` says."""

    excerpt = FaceInFrame

    def cut(self, excerpt: FaceInFrame) -> Sequence[Image]:
        """Return the face."""
        return [face_crop(excerpt.image, excerpt.detection.box, self.model.size, self.model.crop)]


class MouthRuns(LogitDetector[FaceRun]):
    """Aligned mouths of 25 consecutive frames, uint8 grey [25, 96, 96]."""

    excerpt = FaceRun

    def cut(self, excerpt: FaceRun) -> Sequence[Image]:
        """Return the mouth in every frame, landmarks interpolated between the frames that were searched."""
        return [mouth_crops(excerpt.frames, run_landmarks(excerpt))]


class LipRuns(LogitDetector[FaceRun]):
    """Aligned lips with the face round them, of 25 consecutive frames: uint8 grey [25, 144, 144]."""

    excerpt = FaceRun
    mouth = (MOUTH_ROWS, MOUTH_COLUMNS)

    def cut(self, excerpt: FaceRun) -> Sequence[Image]:
        """Return the lips in every frame, landmarks interpolated between the frames that were searched."""
        return [lip_crops(excerpt.frames, run_landmarks(excerpt))]


class WholePictures(LogitDetector[WholeFrame]):
    """The whole picture made small, its middle square: uint8 RGB [size, size, 3]."""

    excerpt = WholeFrame

    def cut(self, excerpt: WholeFrame) -> Sequence[Image]:
        """Return the picture."""
        return [whole_picture(excerpt.image, self.model.size)]


class NativeSquares(LogitDetector[WholeFrame]):
    """Five squares of a picture pixel by pixel: uint8 RGB [size, size, 3] each."""

    excerpt = WholeFrame

    def cut(self, excerpt: WholeFrame) -> Sequence[Image]:
        """Return the middle and the corners; of a picture that is smaller than a square none, since none is whole."""
        if min(excerpt.image.shape[:2]) < self.model.size:
            return []
        return picture_crops(excerpt.image, self.model.size, 5)


class PictureSquares(LogitDetector[WholeFrame]):
    """The middle of a picture pixel by pixel, or five squares of it: uint8 RGB [size, size, 3] each."""

    excerpt = WholeFrame

    def cut(self, excerpt: WholeFrame) -> Sequence[Image]:
        """Return as many squares as the excerpt asks for."""
        return picture_crops(excerpt.image, self.model.size, excerpt.squares)
