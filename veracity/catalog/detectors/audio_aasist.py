"""Layer 1, an alternative: AASIST, graph attention over the samples' spectral and temporal maps."""

from __future__ import annotations

from veracity.catalog.assets import Source
from veracity.catalog.model import FAKE_LOGIT, Model
from veracity.catalog.shared import MEAN_LOGIT, SPEECH_BATCHING, SPEECH_WINDOWS, WAVEFORM

WEIGHTS = Source(
    "aasist.pt",
    "https://raw.githubusercontent.com/clovaai/aasist/"
    "a04c9863f63d44471dde8a6abcb3b082b07cd1d1/models/weights/AASIST.pth",
    "51d2d9cf0738172f61e2a384ec50a54a55363240f67c971ed55a92435bc1a1c0",
    1_281_532,
    "MIT",
    "https://github.com/clovaai/aasist",
    ("AASIST.pth",),
)

MODEL = Model(
    name="audio_aasist",
    layer="audio",
    kind=SPEECH_WINDOWS,
    pool=MEAN_LOGIT,
    inputs=(WAVEFORM,),
    outputs=(FAKE_LOGIT,),
    batching=SPEECH_BATCHING,
    licence=WEIGHTS.licence,
    homepage=WEIGHTS.homepage,
    export="export.detectors.aasist",
    golden={"aasist": "export.detectors.aasist"},
    sources=(WEIGHTS,),
)
