"""Layer 3: lips and the face round them over 25 frames, and the sound 0.4 s longer on both sides. Our own network."""

from __future__ import annotations

from veracity.catalog.layers import FPS, MOUTH_FRAMES, SAMPLE_RATE
from veracity.catalog.model import FAKE_LOGIT, Model, Tensor
from veracity.catalog.shared import LIP_RUNS, LIPS, MOUTH_BATCHING, OURS, PERSONS

SOUND_SAMPLES = (10 + MOUTH_FRAMES + 10) * SAMPLE_RATE // FPS  # from 10 frames before the clip to 10 after it

MODEL = Model(
    name="lipsync_starter",
    layer="lipsync",
    kind=LIP_RUNS,
    pool=PERSONS,
    inputs=(LIPS, Tensor("SOUND", "INT16", (SOUND_SAMPLES,))),
    outputs=(FAKE_LOGIT,),
    batching=MOUTH_BATCHING,
    licence=OURS,
    homepage="docs/models/lipsync_starter.md",
    export="export.lipsync_starter",
    precisions=("fp32",),
)
