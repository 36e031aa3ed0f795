"""Layer 2 where research-only weights may not go: the DFDC winner's EfficientNet-B7, with CAM."""

from __future__ import annotations

from veracity.catalog.assets import Source
from veracity.catalog.model import DFDC_CROP, FAKE_LOGIT, Model
from veracity.catalog.shared import CONFIDENT_FACES, FACE_BATCHING, FACE_CROPS, cam, face

_B7 = "final_111_DeepFakeClassifier_tf_efficientnet_b7_ns_0_36"  # the first of the winner's seven

WEIGHTS = Source(
    "dfdc_b7.pt",
    f"https://github.com/selimsef/dfdc_deepfake_challenge/releases/download/0.0.1/{_B7}",
    None,
    None,
    "MIT",
    "https://github.com/selimsef/dfdc_deepfake_challenge",
    (_B7,),
)

MODEL = Model(
    name="visual_effnet_b7",
    layer="visual",
    kind=FACE_CROPS,
    pool=CONFIDENT_FACES,
    inputs=(face(380),),
    outputs=(FAKE_LOGIT, cam(12)),
    batching=FACE_BATCHING,
    licence=WEIGHTS.licence,
    homepage=WEIGHTS.homepage,
    export="export.detectors.dfdc",
    golden={"dfdc_efficientnet_b7": "export.detectors.dfdc"},
    crop=DFDC_CROP,
    sources=(WEIGHTS,),
)
