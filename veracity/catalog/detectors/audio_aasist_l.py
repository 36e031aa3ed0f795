"""Layer 1, an alternative: AASIST-L, the same as AASIST in 85 thousand parameters."""

from __future__ import annotations

from veracity.catalog.assets import Source
from veracity.catalog.model import FAKE_LOGIT, Model
from veracity.catalog.shared import MEAN_LOGIT, SPEECH_BATCHING, SPEECH_WINDOWS, WAVEFORM

WEIGHTS = Source(
    "aasist_l.pt",
    "https://raw.githubusercontent.com/clovaai/aasist/"
    "a04c9863f63d44471dde8a6abcb3b082b07cd1d1/models/weights/AASIST-L.pth",
    "814331d088032bb4c3fa61cc014789eadeed464209dd094ab3a2dd6ffbdce27a",
    426_428,
    "MIT",
    "https://github.com/clovaai/aasist",
    ("AASIST-L.pth",),
)

MODEL = Model(
    name="audio_aasist_l",
    layer="audio",
    kind=SPEECH_WINDOWS,
    pool=MEAN_LOGIT,
    inputs=(WAVEFORM,),
    outputs=(FAKE_LOGIT,),
    batching=SPEECH_BATCHING,
    licence=WEIGHTS.licence,
    homepage=WEIGHTS.homepage,
    export="export.detectors.aasist",
    golden={"aasist_l": "export.detectors.aasist"},
    sources=(WEIGHTS,),
)
