"""UniversalFakeDetect: how its head and CLIP's checkpoint are read, served and compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from export.parity import Golden
from export.published import Published
from networks import checkpoints
from networks.published.clip import Network, Served
from networks.published.images import Pixels

# Prefixes of CLIP's text tower in the published file, which is not used.
TEXT = ("transformer.", "token_embedding.", "positional_embedding", "ln_final.", "text_projection", "logit_scale")


def unpack(clip: Any, head: Any) -> Mapping[str, Tensor]:
    """Put the picture tower and the head together; CLIP's text tower alone is left out."""
    tower = checkpoints.tensors(clip, "the CLIP checkpoint")
    kept = {name: value for name, value in tower.items() if not name.startswith(TEXT)}
    return kept | {f"fc.{name}": value for name, value in checkpoints.tensors(head, "the head").items()}


UFD = Published(
    model="semantic_clip_vitl14",
    source="github.com/WisconsinAIVision/UniversalFakeDetect @76a0e3e on OpenAI's CLIP ViT-L/14",
    trained_on=("ProGAN pictures of 20 LSUN classes (the head)", "400 million pictures with captions (CLIP)"),
    network=Network,
    serve=Served,
    unpack=unpack,
)
DETECTORS = {UFD.model: UFD}
CASES = {
    "ufd_clip_vitl14": Golden(
        UFD,
        given=("frames",),
        wanted=("features", "logit"),
        wrap=Pixels,
        weights={"fc.weight": "fc_weight", "fc.bias": "fc_bias"},
    )
}
