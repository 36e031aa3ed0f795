"""Layer 4 of the published profile: CLIP ViT-L/14 with UniversalFakeDetect's linear head."""

from __future__ import annotations

from veracity.catalog.assets import Source
from veracity.catalog.model import FAKE_LOGIT, Model
from veracity.catalog.shared import FRAME, MEAN_LOGIT, PICTURE_BATCHING, PICTURE_SQUARES

_CLIP = "hf:timm/vit_large_patch14_clip_224.openai@18d0535469bb561bf468d76c1d73aa35156c922b"
_UFD = (
    "https://raw.githubusercontent.com/WisconsinAIVision/UniversalFakeDetect/76a0e3e60a8a06458707a625d269ba815a2e5919"
)

CLIP = Source(
    "clip_vitl14.safetensors",
    f"{_CLIP}!open_clip_model.safetensors",
    "9ce2e8a8ebfff3793d7d375ad6d3c35cb9aebf3de7ace0fc7308accab7cd207e",
    1_710_517_724,
    "MIT",
    "https://huggingface.co/timm/vit_large_patch14_clip_224.openai",
    ("open_clip_model.safetensors",),
)
HEAD = Source(
    "ufd_head.pt",
    f"{_UFD}/pretrained_weights/fc_weights.pth",
    "477100745713bcc957beb2b40859536859b6483fd6301b3b9293151b194c7847",
    4_083,
    "MIT",
    "https://github.com/WisconsinAIVision/UniversalFakeDetect",
    ("fc_weights.pth", "ufd_fc_weights.pth"),
)

MODEL = Model(
    name="semantic_clip_vitl14",
    layer="semantic",
    kind=PICTURE_SQUARES,
    pool=MEAN_LOGIT,
    inputs=(FRAME,),
    outputs=(FAKE_LOGIT,),
    batching=PICTURE_BATCHING,
    licence=HEAD.licence,
    homepage=HEAD.homepage,
    export="export.detectors.clip",
    golden={"ufd_clip_vitl14": "export.detectors.clip"},
    sources=(CLIP, HEAD),
)
