"""Layer 2 of the published profile: SelfBlendedImages' EfficientNet-B4. CAM is where in the face its evidence lies."""

from __future__ import annotations

from veracity.catalog.assets import Source
from veracity.catalog.model import FAKE_LOGIT, SBI_CROP, Model
from veracity.catalog.shared import FACE_BATCHING, FACE_CROPS, WORST_FACE_PER_FRAME, cam, face

WEIGHTS = Source(
    "sbi_ffc23.pt",
    "drive:1X0-NYT8KPursLZZdxduRQju6E52hauV0",
    None,
    None,
    "research only, no redistribution",
    "https://github.com/mapooon/SelfBlendedImages",
    ("FFc23.tar",),
    commercial=False,
)

MODEL = Model(
    name="visual_sbi_b4",
    layer="visual",
    kind=FACE_CROPS,
    pool=WORST_FACE_PER_FRAME,
    inputs=(face(380),),
    outputs=(FAKE_LOGIT, cam(12)),
    batching=FACE_BATCHING,
    licence=WEIGHTS.licence,
    homepage=WEIGHTS.homepage,
    commercial=False,
    export="export.detectors.sbi",
    golden={"sbi_efficientnet_b4": "export.detectors.sbi", "sbi_face_crop": "export.detectors.crops"},
    crop=SBI_CROP,
    sources=(WEIGHTS,),
)
