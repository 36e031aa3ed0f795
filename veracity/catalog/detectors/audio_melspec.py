"""Layer 1, an alternative: a residual network on the mel spectrogram, trained with training/; no weights released."""

from __future__ import annotations

from veracity.catalog.model import FAKE_LOGIT, Model
from veracity.catalog.shared import OURS, SPEECH_BATCHING, WAVEFORM

MODEL = Model(
    name="audio_melspec",
    layer="audio",
    inputs=(WAVEFORM,),
    outputs=(FAKE_LOGIT,),
    batching=SPEECH_BATCHING,
    licence=OURS,
    homepage="networks/melspec.py",
    export="export.audio_melspec",
    released=False,
)
