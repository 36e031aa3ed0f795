"""Which face speaks when: what the speakers' model is shown, and what its answers say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from veracity.catalog.detectors.lipsync_syncnet import SIDE as WIDER
from veracity.catalog.detectors.speaker_light_asd import SIDE, SOUND_SAMPLES
from veracity.catalog.layers import SAMPLE_RATE
from veracity.evidence import syncnet
from veracity.evidence.crops import Image, interpolate, luma
from veracity.evidence.excerpts import FaceRun
from veracity.evidence.kinds import LogitDetector
from veracity.evidence.requests import ModelOutput, Sample
from veracity_client.errors import InternalError

MIDDLE = slice((WIDER - SIDE) // 2, (WIDER + SIDE) // 2)  # of SyncNet's crop, as its authors cut


class SpeakingFaces(LogitDetector[FaceRun]):
    """Grey faces of 25 consecutive frames, uint8 [25, 112, 112], with the sound of their second.

    ``details`` of its output are the log odds of *speaks* in each frame, [n, 25]; ``logits`` are their means.
    """

    excerpt = FaceRun
    sound: ClassVar[Literal["required"]] = "required"

    def cut(self, excerpt: FaceRun) -> Sequence[Image]:
        """Return the middle of what SyncNet's authors cut, in every frame."""
        boxes = {number: np.array(face.box) for number, face in excerpt.detections.items()}
        crops = syncnet.face_crops([luma(frame) for frame in excerpt.frames], interpolate(boxes, excerpt.run))
        return [np.ascontiguousarray(crops[:, MIDDLE, MIDDLE])]

    def _batch(self, samples: Sequence[Sample], sound: NDArray[np.int16]) -> Mapping[str, NDArray[Any]]:
        faces, heard = (tensor.name for tensor in self.model.inputs)
        return {
            faces: np.stack([sample.tensor for sample in samples]),
            heard: np.stack([sound_from(sample.start, sound) for sample in samples]),
        }

    def read(self, samples: Sequence[Sample], responses: Sequence[Mapping[str, NDArray[Any]]]) -> ModelOutput:
        """Join the log odds of all responses; raises :class:`InternalError` for NaN or infinity."""
        (answer,) = self.model.outputs
        odds = np.concatenate([np.asarray(one[answer.name], np.float64) for one in responses])
        if not np.isfinite(odds).all():
            raise InternalError(f"{self.model.name} returned log odds that are not finite")
        return ModelOutput(self.model.name, tuple(samples), odds.mean(axis=1).astype(np.float32), odds)


def sound_from(start: float, sound: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the sound from ``start`` seconds on and the sample before it, [SOUND_SAMPLES]; silence past the ends."""
    first = round(start * SAMPLE_RATE) - 1
    cut = np.zeros(SOUND_SAMPLES, np.int16)
    part = sound[max(0, first) : max(0, first + SOUND_SAMPLES)]
    skipped = max(0, -first)
    cut[skipped : skipped + len(part)] = part
    return cut


@dataclass(frozen=True, eq=False)
class SpeakingSeconds:
    """What was looked at: ``runs`` are the frames of each second, ``output`` None where no mouth moved in any."""

    runs: tuple[range, ...]
    output: ModelOutput | None
