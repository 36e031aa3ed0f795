"""Layer 3 of the published profile: LipForensics. The graph cuts the centre 88 out and folds the mean over time."""

from __future__ import annotations

from veracity.catalog.assets import Source
from veracity.catalog.model import FAKE_LOGIT, Model
from veracity.catalog.shared import MOUTH_BATCHING, MOUTH_RUNS, MOUTHS, WORST_FACE

WEIGHTS = Source(
    "lipforensics_ff.pt",
    "drive:1wfZnxZpyNd5ouJs0LjVls7zU0N_W73L7",
    None,
    None,
    "MIT",
    "https://github.com/ahaliassos/LipForensics",
    ("lipforensics_ff.pth",),
)

MODEL = Model(
    name="lipsync_lipforensics",
    layer="lipsync",
    kind=MOUTH_RUNS,
    pool=WORST_FACE,
    inputs=(MOUTHS,),
    outputs=(FAKE_LOGIT,),
    batching=MOUTH_BATCHING,
    licence=WEIGHTS.licence,
    homepage=WEIGHTS.homepage,
    export="export.detectors.lipforensics",
    golden={
        "lipforensics": "export.detectors.lipforensics",
        "lipforensics_mouth_crop": "export.detectors.crops",
    },
    sources=(WEIGHTS,),
)
