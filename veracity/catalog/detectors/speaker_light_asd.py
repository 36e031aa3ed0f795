"""Says which face speaks: Light-ASD, log odds of *speaks* for each frame of a second. It is evidence for nothing."""

from __future__ import annotations

from veracity.catalog.assets import Source
from veracity.catalog.layers import MOUTH_FRAMES
from veracity.catalog.model import Batching, Model, Tensor

SIDE = 112  # pixels of the face
# the 100 windows of 25 ms every 10 ms of a second, and the sample before them, which pre-emphasis reads
SOUND_SAMPLES = 1 + 99 * 160 + 400

WEIGHTS = Source(
    "light_asd.pt",
    "https://github.com/Junhua-Liao/Light-ASD/raw/"
    "283f9a5bbcd4b15bd8f6bbb940dca499f841c73c/weight/finetuning_TalkSet.model",
    "efc375833887eefa9d209dc92810e18519b04c3c73ea35a549f2a7f40b7d94d5",
    4_175_289,
    "MIT",
    "https://github.com/Junhua-Liao/Light-ASD",
    ("finetuning_TalkSet.model", "light_asd_TalkSet.model"),
)

MODEL = Model(
    name="speaker_light_asd",
    layer=None,
    kind="veracity.evidence.speaking:SpeakingFaces",
    pool="",
    inputs=(
        Tensor("FACES", "UINT8", (MOUTH_FRAMES, SIDE, SIDE)),
        Tensor("SOUND", "INT16", (SOUND_SAMPLES,)),
    ),
    outputs=(Tensor("SPEAKS_LOGIT", "FP32", (MOUTH_FRAMES,)),),
    # A face has at most 4 seconds, 2 to a request; a second is heavy, so large batches only add latency.
    batching=Batching(max_batch=8, request_items=2, preferred=(2, 4), delay_us=5_000),
    licence=WEIGHTS.licence,
    homepage=WEIGHTS.homepage,
    export="export.detectors.light_asd",
    precisions=("fp32",),
    sources=(WEIGHTS,),
)
