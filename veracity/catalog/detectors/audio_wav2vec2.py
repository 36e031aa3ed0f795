"""Layer 1 of the published profile: wav2vec2 with a classification head, normalised inside the graph."""

from __future__ import annotations

from veracity.catalog.assets import Source
from veracity.catalog.model import FAKE_LOGIT, Model
from veracity.catalog.shared import MEAN_LOGIT, SPEECH_BATCHING, SPEECH_WINDOWS, WAVEFORM

_HOMEPAGE = "https://huggingface.co/MelodyMachine/Deepfake-audio-detection-V2"
# the last commit with weights: "Training in progress, epoch 5", of the five epochs that the model card states
_REVISION = "hf:MelodyMachine/Deepfake-audio-detection-V2@566bf6d81f4eaf2452d1af41da0f59124ab16a59"

WEIGHTS = Source(
    "wav2vec2_melodymachine.safetensors", f"{_REVISION}!model.safetensors", None, None, "Apache-2.0", _HOMEPAGE
)
CONFIG = Source("wav2vec2_melodymachine.json", f"{_REVISION}!config.json", None, None, "Apache-2.0", _HOMEPAGE)

MODEL = Model(
    name="audio_wav2vec2",
    layer="audio",
    kind=SPEECH_WINDOWS,
    pool=MEAN_LOGIT,
    inputs=(WAVEFORM,),
    outputs=(FAKE_LOGIT,),
    batching=SPEECH_BATCHING,
    licence="Apache-2.0",
    homepage=_HOMEPAGE,
    export="export.detectors.wav2vec2",
    sources=(WEIGHTS, CONFIG),
)
