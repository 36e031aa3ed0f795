"""Layer 1, an alternative: the ASVspoof challenge's RawNet2, straight on the samples."""

from __future__ import annotations

from veracity.catalog.assets import Source
from veracity.catalog.model import FAKE_LOGIT, Model
from veracity.catalog.shared import MEAN_LOGIT, SPEECH_BATCHING, SPEECH_WINDOWS, WAVEFORM

WEIGHTS = Source(
    "rawnet2_asvspoof2021.pt",
    # its README names the member pre_trained_DF_model.pth, people who have it write pre_trained_DF_RawNet2.pth
    "https://www.asvspoof.org/asvspoof2021/pre_trained_DF_RawNet2.zip!*.pth",
    None,
    None,
    "MIT",
    "https://github.com/asvspoof-challenge/2021",
    ("pre_trained_DF_model.pth", "pre_trained_DF_RawNet2.pth", "pre_trained_DF_RawNet2.zip"),
)

MODEL = Model(
    name="audio_rawnet2",
    layer="audio",
    kind=SPEECH_WINDOWS,
    pool=MEAN_LOGIT,
    inputs=(WAVEFORM,),
    outputs=(FAKE_LOGIT,),
    batching=SPEECH_BATCHING,
    licence=WEIGHTS.licence,
    homepage=WEIGHTS.homepage,
    export="export.detectors.rawnet2",
    golden={"rawnet2_asvspoof": "export.detectors.rawnet2"},
    sources=(WEIGHTS,),
)
