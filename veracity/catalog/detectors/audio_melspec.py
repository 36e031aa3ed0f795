"""Layer 1, an alternative: a residual network on the mel spectrogram, trained with training/; no weights released."""

from __future__ import annotations

from veracity.catalog.model import FAKE_LOGIT, Model
from veracity.catalog.shared import MEAN_LOGIT, OURS, SPEECH_BATCHING, SPEECH_WINDOWS, WAVEFORM

MODEL = Model(
    name="audio_melspec",
    layer="audio",
    kind=SPEECH_WINDOWS,
    pool=MEAN_LOGIT,
    inputs=(WAVEFORM,),
    outputs=(FAKE_LOGIT,),
    batching=SPEECH_BATCHING,
    licence=OURS,
    homepage="networks/melspec.py",
    export="export.audio_melspec",
    released=False,
)
