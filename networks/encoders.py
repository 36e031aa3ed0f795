"""Encoders of the joint network: frames, motion, temporal order and sound, as tokens.

Each encoder returns tokens [batch, n, width]. Nothing here fetches weights: published ones come from a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from networks import checkpoints
from networks.attention import Block
from networks.errors import CheckpointError
from networks.melspec import MelSpecResNet
from networks.rawnet2 import RawNet2
from patches import torchvision

SOUND_TOKENS = 25  # at least, of a window: one every 0.16 s
MOST_FRAMES = 64
_BATCH_NORM = nn.modules.batchnorm._BatchNorm


class FrameEncoder(nn.Module):
    """Frames uint8 RGB [batch, t, 224, 224, 3] → tokens [batch, t, width], by a network of timm's.

    ``thrifty`` keeps no activations of the backbone for the way back, but computes them anew: the same gradients for
    less memory and a third more time.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, backbone: str, width: int, thrifty: bool = False) -> None:
        """Raises CheckpointError for a backbone that timm does not know."""
        super().__init__()
        torchvision.ensure()
        import timm

        if not timm.is_model(backbone):
            raise CheckpointError(f"timm knows no backbone {backbone!r}; see timm.list_models()")
        self.backbone = timm.create_model(backbone, pretrained=False, num_classes=0)
        self.thrifty = thrifty
        for name, key in (("mean", "mean"), ("spread", "std")):
            numbers = 255 * torch.tensor(self.backbone.default_cfg[key])
            self.register_buffer(name, numbers.reshape(3, 1, 1), persistent=False)
        self.project = nn.Linear(self.backbone.head_hidden_size, width)

    def forward(self, frames: Tensor) -> Tensor:  # noqa: D102  # the class says it
        pictures = (frames.flatten(0, 1).permute(0, 3, 1, 2).float() - self.mean) / self.spread
        if self.thrifty and self.training:
            seen = checkpoint(self.backbone, pictures, use_reentrant=False, context_fn=self._contexts)
        else:
            seen = self.backbone(pictures)
        tokens: Tensor = self.project(seen).unflatten(0, frames.shape[:2])
        return tokens

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), steady(self.backbone)

    def read(self, path: Path) -> None:
        """Takes the backbone's weights out of a file; raises CheckpointError where they are another's."""
        head = tuple(f"{name}." for name in _names(self.backbone.default_cfg.get("classifier")))
        state = {key: value for key, value in weights(path).items() if not key.startswith(head)}
        fill(self.backbone, state, path)


@contextmanager
def steady(net: nn.Module) -> Iterator[None]:
    """Within it, batch norms do not update their statistics: for a second pass of the same batch."""
    norms = [module for module in net.modules() if isinstance(module, _BATCH_NORM)]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, kept):
            norm.momentum, norm.num_batches_tracked = momentum, count


class FlowEncoder(nn.Module):
    """Optical flow float32 [batch, t, 56, 56, 2], in sides of the face → tokens [batch, t, width]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = (2, 16, 32, 64)
        layers = [
            layer
            for narrow, wide in pairwise(sizes)
            for layer in (nn.Conv2d(narrow, wide, 3, 2, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU())
        ]
        self.maps, self.project = nn.Sequential(*layers), nn.Linear(sizes[-1], width)

    def forward(self, flow: Tensor) -> Tensor:  # noqa: D102  # the class says it
        maps = self.maps(flow.flatten(0, 1).permute(0, 3, 1, 2) * 20)  # a few percent of a face a frame
        tokens: Tensor = self.project(maps.mean((2, 3))).unflatten(0, flow.shape[:2])
        return tokens


class Convolutions(nn.Module):
    """Tokens [batch, t, width] → the same, each with its neighbours in time in view."""

    def __init__(self, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:  # noqa: D102  # the class says it
        for layer, norm in zip(self.layers, self.norms):
            near = layer(norm(tokens).transpose(1, 2)).transpose(1, 2)
            tokens = tokens + self.dropout(functional.gelu(near))
        return tokens


class Transformer(nn.Module):
    """Tokens [batch, t, width], t at most 64 → the same, each with all others in view."""

    def __init__(self, width: int, layers: int, dropout: float, heads: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(MOST_FRAMES, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))

    def forward(self, tokens: Tensor) -> Tensor:  # noqa: D102  # the class says it
        tokens = tokens + self.positions[: tokens.shape[1]]
        for block in self.blocks:
            tokens = block(tokens)
        return tokens


def temporal(kind: str, width: int, layers: int, dropout: float, heads: int) -> nn.Module:
    """The temporal encoder; ``average`` does nothing, as a mean follows."""
    if kind == "average":
        return nn.Identity()
    if kind == "convolution":
        return Convolutions(width, layers, dropout)
    return Transformer(width, layers, dropout, heads)


class SoundEncoder(nn.Module):
    """Sound within ±1, float32 [batch, n] → tokens [batch, 25 or some more, width], by RawNet2 or MelSpecResNet."""

    def __init__(self, net: RawNet2 | MelSpecResNet, width: int) -> None:
        super().__init__()
        self.net = net
        self.net.head = nn.Identity()  # not used
        self.project = nn.Linear(256, width)

    def forward(self, sound: Tensor) -> Tensor:  # noqa: D102  # the class says it
        heard = self.net.features(sound)
        heard = heard.mean(2) if heard.ndim == 4 else heard  # the bands of a spectrum
        tokens: Tensor = self.project(_fewer(heard).transpose(1, 2))
        return tokens

    def read(self, path: Path) -> None:
        """Takes the weights of a checkpoint of `python -m training audio`; raises CheckpointError for another's."""
        state = weights(path, "state")
        fill(self.net, {key: value for key, value in state.items() if not key.startswith("head.")}, path)


class Wav2Vec2Encoder(nn.Module):
    """Sound within ±1, float32 [batch, n] → tokens [batch, 25 or some more, width], by transformers' wav2vec 2.0.

    ``frozen`` layers and everything below them are not trained; with 0 everything is.
    """

    def __init__(self, shape: Mapping[str, Any], width: int, frozen: int) -> None:
        """``shape`` has the keys of its config.json; missing ones are wav2vec2-base's."""
        super().__init__()
        torchvision.ensure()  # transformers imports it with its models
        from transformers import Wav2Vec2Config, Wav2Vec2Model

        config = Wav2Vec2Config(**shape, mask_time_prob=0.0, layerdrop=0.0, attn_implementation="eager")
        self.net = Wav2Vec2Model(config)
        self.net.masked_spec_embed = None  # replaces masked frames, of which there are none
        self.project = nn.Linear(config.hidden_size, width)
        layers = self.net.encoder.layers
        below = (self.net.feature_extractor, self.net.feature_projection, self.net.encoder.pos_conv_embed)
        self.frozen: list[nn.Module] = [*below, *layers[:frozen]] if frozen else []
        for module in self.frozen:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> Wav2Vec2Encoder:
        """Keeps frozen layers in eval mode, without dropout."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def forward(self, sound: Tensor) -> Tensor:  # noqa: D102  # the class says it
        centred = sound - sound.mean(1, keepdim=True)
        level = (centred.square().mean(1, keepdim=True) + 1e-7).sqrt()
        heard = self.net(centred / level).last_hidden_state
        tokens: Tensor = self.project(_fewer(heard.transpose(1, 2)).transpose(1, 2))
        return tokens

    def read(self, path: Path) -> None:
        """Takes the weights of a published file, with or without a head; raises CheckpointError."""
        state = weights(path)
        if any(key.startswith("wav2vec2.") for key in state):
            state = {key[9:]: value for key, value in state.items() if key.startswith("wav2vec2.")}
        old = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
        for before, after in old.items():
            state = {key.replace(f"conv.{before}", f"conv.{after}"): value for key, value in state.items()}
        fill(self.net, {key: value for key, value in state.items() if key != "masked_spec_embed"}, path)


def sound_encoder(kind: str, width: int, shape: Mapping[str, Any], frozen: int) -> SoundEncoder | Wav2Vec2Encoder:
    """The encoder that a plan names."""
    if kind == "wav2vec2":
        return Wav2Vec2Encoder(shape, width, frozen)
    nets: dict[str, Callable[[], RawNet2 | MelSpecResNet]] = {"rawnet2": RawNet2, "melspec": MelSpecResNet}
    return SoundEncoder(nets[kind](), width)


def weights(path: Path, member: str = "") -> Mapping[str, Tensor]:
    """The state dict in a file, or in a ``member`` of it; raises CheckpointError."""
    content = checkpoints.read(path)
    return checkpoints.member(content, member, path.name) if member else checkpoints.tensors(content, path.name)


def fill(net: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Puts every weight in its place; raises CheckpointError for one that is missing, left over or misshapen."""
    checkpoints.load(net, state, path.name)


def _fewer(heard: Tensor) -> Tensor:
    """[batch, channels, n] → SOUND_TOKENS of them or up to twice as many, each the mean of its stretch."""
    return functional.avg_pool1d(heard, max(1, heard.shape[2] // SOUND_TOKENS))


def _names(classifier: Any) -> tuple[str, ...]:
    return () if classifier is None else (classifier,) if isinstance(classifier, str) else tuple(classifier)
