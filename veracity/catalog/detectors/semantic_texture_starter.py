"""Layer 4 of still pictures: five squares of the picture, pixel by pixel. The lower blocks of the faces, our head."""

from __future__ import annotations

from veracity.catalog.model import FAKE_LOGIT, Model
from veracity.catalog.shared import FRAME, MEAN_LOGIT, NATIVE_SQUARES, OURS, PICTURE_BATCHING

MODEL = Model(
    name="semantic_texture_starter",
    layer="semantic",
    kind=NATIVE_SQUARES,
    pool=MEAN_LOGIT,
    inputs=(FRAME,),
    outputs=(FAKE_LOGIT,),
    batching=PICTURE_BATCHING,
    licence=OURS,
    homepage="docs/models/semantic_texture_starter.md",
    export="export.semantic_texture_starter",
    precisions=("fp32",),
    file_kinds=("still",),  # coded as a film, a picture keeps too little of what it reacts to
)
