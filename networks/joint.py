"""The joint network of layer 5: face frames and sound of one clip, held against each other.

    frames → timm backbone → temporal encoder ─┐
    optical flow → a few convolutions ─────────┘─▶ fusion → log odds of fake
    sound  → RawNet2, MelSpecResNet or wav2vec 2.0 ─┘

A stream that is missing is replaced by a token that was learned in its place, and weighs nothing where streams are
weighed. How it is built is a plan; a checkpoint carries its plan, and is refused by a network of another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.nn import functional

from networks import checkpoints, encoders
from networks.attention import Block
from networks.errors import CheckpointError

ARCHITECTURE = "veracity-joint-1"  # changes when a checkpoint of before can no longer be read
_PCM_SCALE = 32_768.0


class NetPlan(BaseModel):
    """How a joint network is built; weights come from files only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str = Field("mobilenetv3_small_050", description="encoder of frames: a name of timm.list_models()")
    backbone_weights: Path | None = Field(None, description="file of its published weights; none begins at random")
    temporal: Literal["average", "convolution", "transformer"] = Field("convolution", description="temporal encoder")
    layers: int = Field(2, gt=0, description="of the temporal encoder, and of cross-modal attention")
    sound: Literal["melspec", "rawnet2", "wav2vec2"] = Field("melspec", description="sound encoder")
    sound_weights: Path | None = Field(
        None, description="file of its weights: a checkpoint of `training audio`, or wav2vec 2.0's .safetensors"
    )
    wav2vec2: dict[str, Any] = Field({}, description="its shape where it is not wav2vec2-base's, as in config.json")
    frozen: int = Field(
        0, ge=0, description="lowest layers of wav2vec 2.0 that are not trained, with everything below them"
    )
    fusion: Literal["concat", "attention", "cross"] = Field(
        "cross", description="concat side by side, attention weighs the streams, cross lets each ask the other"
    )
    flow: bool = Field(False, description="whether optical flow is an input (Farnebäck)")
    width: int = Field(96, gt=0, description="of the tokens that streams are turned into")
    heads: int = Field(4, gt=0, description="of attention; the width is a multiple of it")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout of tokens in training")
    thrifty: bool = Field(False, description="gradient checkpointing: a third more time for much less memory")


class Features(NamedTuple):
    """``frames`` [batch, t, width] and ``sound`` [batch, n, width] as the encoders say them, ``fused`` [batch, …]."""

    frames: Tensor
    sound: Tensor
    fused: Tensor


class JointNet(nn.Module):
    """Frames uint8 RGB [batch, t, 224, 224, 3], sound int16 [batch, n], which of the two are there uint8 [batch, 2],
    and with ``plan.flow`` their motion float32 [batch, t, 56, 56, 2] → log odds of fake [batch, 1].
    """

    def __init__(self, plan: NetPlan) -> None:
        """Weights begin at random. Raises CheckpointError for a plan that cannot be built."""
        super().__init__()
        if plan.width % plan.heads:
            raise CheckpointError(f"net.width is {plan.width}, which net.heads cannot share: they are {plan.heads}")
        self.plan, width = plan, plan.width
        self.see = encoders.FrameEncoder(plan.backbone, width, plan.thrifty)
        self.move = encoders.FlowEncoder(width) if plan.flow else None
        self.order = encoders.temporal(plan.temporal, width, plan.layers, plan.dropout, plan.heads)
        self.hear = encoders.sound_encoder(plan.sound, width, plan.wav2vec2, plan.frozen)
        self.absent = nn.Parameter(torch.randn(2, width) * 0.02)
        self.asks = nn.ModuleList(
            Block(width, plan.heads, plan.dropout) for _ in range(2 * plan.layers if plan.fusion == "cross" else 0)
        )
        self.weigh = nn.Linear(width, 1) if plan.fusion == "attention" else None
        fused = width if plan.fusion == "attention" else 2 * width
        self.head = nn.Sequential(
            nn.LayerNorm(fused), nn.Dropout(plan.dropout), nn.Linear(fused, width), nn.GELU(), nn.Linear(width, 1)
        )

    def with_published(self) -> JointNet:
        """Loads the weights of the plan's files; raises CheckpointError."""
        for path, part in ((self.plan.backbone_weights, self.see), (self.plan.sound_weights, self.hear)):
            if path is not None:
                part.read(path)
        return self

    def forward(self, faces: Tensor, sound: Tensor, present: Tensor, flow: Tensor | None = None) -> Tensor:  # noqa: D102
        logit: Tensor = self.head(self.extract_features(faces, sound, present, flow).fused)
        return logit

    def extract_features(self, faces: Tensor, sound: Tensor, present: Tensor, flow: Tensor | None = None) -> Features:
        """The features of a batch in front of the head."""
        there = present.bool()
        tokens = self.see(faces)
        if self.move is not None:
            if flow is None:
                raise ValueError("this network needs the optical flow")
            tokens = tokens + self.move(flow)
        frames = self._or_absent(self.order(tokens), there, 0)
        heard = self._or_absent(self.hear(sound.float() / _PCM_SCALE), there, 1)
        return Features(frames, heard, self._fused(frames, heard, there))

    def _or_absent(self, tokens: Tensor, there: Tensor, stream: int) -> Tensor:
        return torch.where(there[:, stream, None, None], tokens, self.absent[stream].to(tokens.dtype))

    def _fused(self, frames: Tensor, heard: Tensor, there: Tensor) -> Tensor:
        for of_frames, of_sound in zip(self.asks[::2], self.asks[1::2]):
            frames, heard = of_frames(frames, heard), of_sound(heard, frames)
        streams = torch.stack([frames.mean(1), heard.mean(1)], dim=1)
        if self.weigh is None:
            return streams.flatten(1)
        missing = ~there & there.any(1, keepdim=True)  # if both are missing, both replacement tokens are weighted
        weights = self.weigh(streams).squeeze(2).masked_fill(missing, -1e4).softmax(1)
        return (streams * weights.unsqueeze(2)).sum(1)


def described(net: JointNet) -> dict[str, Any]:
    """The keys of a checkpoint that describe its network."""
    return {"architecture": ARCHITECTURE, "config": net.plan.model_dump(mode="json")}


def load_for_inference(path: Path) -> JointNet:
    """The network of a checkpoint, in eval mode; raises CheckpointError for a file without one."""
    content = checkpoints.read_run(path)
    if (found := content.get("architecture")) != ARCHITECTURE:
        raise CheckpointError(f"{path} holds {found or 'no joint network'}, and not {ARCHITECTURE}")
    try:
        net = JointNet(NetPlan(**content["config"]))
    except ValidationError as error:
        raise CheckpointError(f"{path} was built by another version of the plan: {error}") from error
    encoders.fill(net, content["model"], path)
    net.eval()
    return net


def compute_temporal_consistency_loss(features: Tensor, of: Tensor | None = None) -> Tensor:
    """How far neighbours among ``features`` [batch, t, width] point apart: the mean of 1 − cosine, from 0 to 2.

    ``of`` bool [batch] names the clips that it is asked of; 0 where there are none, or a single frame.
    """
    apart = 1 - functional.cosine_similarity(features[:, 1:].float(), features[:, :-1].float(), dim=2)
    asked = torch.ones(len(features), dtype=torch.bool, device=features.device) if of is None else of
    weights = asked[:, None].expand_as(apart).float()
    return (apart * weights).sum() / weights.sum().clamp(min=1)
