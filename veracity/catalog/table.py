"""THE table: one line a detector. Each is declared in its module of ``catalog/detectors/``."""

from __future__ import annotations

from importlib import import_module

from veracity.catalog.assets import PORTRAIT, VAD, Source
from veracity.catalog.model import Model

DETECTORS = (
    "face_detector",
    "speaker_light_asd",
    "audio_starter",
    "audio_wav2vec2",
    "audio_aasist",
    "audio_aasist_l",
    "audio_rawnet2",
    "audio_melspec",
    "visual_starter",
    "visual_sbi_b4",
    "visual_effnet_b7",
    "lipsync_starter",
    "lipsync_lipforensics",
    "lipsync_syncnet",
    "semantic_starter",
    "semantic_texture_starter",
    "semantic_clip_vitl14",
)


def _declared(detector: str) -> Model:
    model: Model = import_module(f"veracity.catalog.detectors.{detector}").MODEL
    return model


MODELS = {name: _declared(name) for name in DETECTORS}
FACE_DETECTOR = MODELS["face_detector"]
SPEAKER = MODELS["speaker_light_asd"]  # asked for an explanation alone


def _assets() -> tuple[Source, ...]:
    """Return every file that can be fetched, once: those of no detector, then each detector's."""
    several = ((*model.sources, *model.optional_sources) for model in MODELS.values())
    return tuple(dict.fromkeys((VAD, PORTRAIT, *(source for sources in several for source in sources))))


ASSETS = _assets()
