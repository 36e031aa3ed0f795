"""The four layers of evidence, and the numbers that say how a clip is sampled for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
SEMANTIC_FRAMES = 4  # of a clip up to 20 s: on 160 films that did not teach AUC 0.73, and 0.72 with 8
SEMANTIC_SECONDS = 5.0  # between them in a longer clip
MOST_SEMANTIC_FRAMES = 8

Track = Literal["audio", "video", "motion"]  # motion: pictures for at least MOUTH_FRAMES, as no still picture has

FileKind = Literal["sound", "still", "film"]


@dataclass(frozen=True)
class Layer:
    """One kind of evidence."""

    number: int
    name: LayerName
    looks_at: str
    about: Track  # the kind of track it needs
    needs_faces: bool = False

    @property
    def key(self) -> str:
        """The layer's name in a verdict, ``1_audio``."""
        return f"{self.number}_{self.name}"


def tracks_of(audio: bool, video_seconds: float | None) -> tuple[Track, ...]:
    """Return the kinds of track of a file with sound or without, whose pictures last so long; None: it has none."""
    moves = video_seconds is not None and int(video_seconds * FPS) >= MOUTH_FRAMES
    has: Mapping[Track, bool] = {"audio": audio, "video": video_seconds is not None, "motion": moves}
    return tuple(track for track, there in has.items() if there)


LAYERS = (
    Layer(1, "audio", "the voice", "audio"),
    Layer(2, "visual", "the faces", "video", needs_faces=True),
    Layer(3, "lipsync", "the mouths", "motion", needs_faces=True),
    Layer(4, "semantic", "the whole picture", "video"),
)


def kind_of_file(tracks: Collection[str]) -> FileKind:
    """Return what a file is by its tracks: a film moves, of a still picture no layer that needs motion can tell."""
    if "motion" in tracks:
        return "film"
    return "still" if "video" in tracks else "sound"
