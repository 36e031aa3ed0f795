"""The four layers of evidence, and the numbers that say how a clip is sampled for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from veracity_client.verdict import LayerName

SAMPLE_RATE = 16_000  # Hz, mono
WINDOW_SAMPLES = 64_600  # 4.0375 s: what AASIST and RawNet2 were published with
FPS = 25  # the constant time base of all frame indices

AUDIO_WINDOWS = 8  # a clip at most: 32 s of speech, spread over the clip
FACE_FRAMES = 32  # SelfBlendedImages' and the DFDC winner's number
MOUTH_FRAMES = 25  # consecutive frames a clip: LipForensics' second
MOUTH_CLIPS = 4  # LipForensics read 110 frames of a video at most
MOUTH_SIZE = 96  # pixels; the graph cuts the centre 88 out
LIP_SIZE = 144  # pixels of the aligned face, where eyes lie 53 apart: from above the eyes to below the chin
SEMANTIC_FRAMES = 8  # on 82 held-out videos the AUC is 0.983 with 4 or 8 of them and 0.985 with 16


@dataclass(frozen=True)
class Layer:
    """One kind of evidence."""

    number: int
    name: LayerName
    looks_at: str
    about: Literal["audio", "video"]  # the kind of track it needs
    needs_faces: bool = False

    @property
    def key(self) -> str:
        """The layer's name in a verdict, ``1_audio``."""
        return f"{self.number}_{self.name}"


LAYERS = (
    Layer(1, "audio", "the voice", "audio"),
    Layer(2, "visual", "the faces", "video", needs_faces=True),
    Layer(3, "lipsync", "the mouths", "video", needs_faces=True),
    Layer(4, "semantic", "the whole picture", "video"),
)
