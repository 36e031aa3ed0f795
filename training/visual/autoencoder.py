"""Faces through a diffusion model's latent space: what every picture and film of such a model has gone through.

The networks are TAEF2 (MIT), a small encoder and decoder of FLUX.2's latent space;
`scripts/fetch_training_networks CACHE` fetches their weights. They are used in training only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from networks.checkpoints import load, read, tensors
from training.visual.faces import Image
from veracity.calibrate.errors import ManifestError

_WIDTH = 64
_LATENT = 32
_STEPS = 3  # halvings: a cell of the latent space is 8 × 8 pixels
_BLOCKS = 3


class Autoencoder:
    """RGB uint8 [h, w, 3] → the same picture as the decoder draws it, of the same size."""

    def __init__(self, folder: Path) -> None:
        """Raises ManifestError where the weights are not there, CheckpointError where they are others."""
        self._nets = [encoder(), decoder()]
        for net, name in zip(self._nets, ("taef2_encoder.pth", "taef2_decoder.pth")):
            path = folder / name
            if not path.is_file():
                raise ManifestError(f"no {path}: scripts/fetch_training_networks {folder.parent}")
            load(net, tensors(read(path), name), name)
            net.eval().to(memory_format=torch.channels_last)

    def __call__(self, picture: Image) -> Image:  # noqa: D102  # the class says it
        height, width = (max(1, side // 16) * 16 for side in picture.shape[:2])
        cut = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        with torch.inference_mode():
            drawn = torch.from_numpy(cut).permute(2, 0, 1)[None].float() / 255
            for net in self._nets:
                drawn = net(drawn.contiguous(memory_format=torch.channels_last))
        out = (drawn[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()
        return np.asarray(cv2.resize(out, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


class _Bounded(nn.Module):
    def forward(self, latent: Tensor) -> Tensor:
        return torch.tanh(latent / 3) * 3


class _Block(nn.Module):
    """Three convolutions beside a shortcut; ``pooled`` adds a normalisation over the whole picture before them."""

    def __init__(self, pooled: bool) -> None:
        super().__init__()
        self.conv = nn.Sequential(_conv(), nn.ReLU(), _conv(), nn.ReLU(), _conv())
        wide = 4 * _WIDTH
        self.pool = (
            nn.Sequential(
                nn.Conv2d(_WIDTH, wide, 1, bias=False),
                nn.GroupNorm(4, wide),
                nn.ReLU(),
                nn.Conv2d(wide, _WIDTH, 1, bias=False),
            )
            if pooled
            else None
        )

    def forward(self, seen: Tensor) -> Tensor:
        if self.pool is not None:
            seen = seen + self.pool(seen)
        return torch.relu(self.conv(seen) + seen)


def _conv(inward: int = _WIDTH, outward: int = _WIDTH, stride: int = 1, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inward, outward, 3, stride, padding=1, bias=bias)


def encoder() -> nn.Sequential:
    """RGB within 0 and 1 [batch, 3, h, w], sides of multiples of 8, → latents [batch, 32, h / 8, w / 8]."""

    def layers() -> Iterator[nn.Module]:
        yield from (_conv(3), _Block(False))
        for step in range(1, _STEPS + 1):
            yield _conv(stride=2, bias=False)
            yield from (_Block(step == _STEPS) for _ in range(_BLOCKS))
        yield _conv(outward=_LATENT)

    return nn.Sequential(*layers())


def decoder() -> nn.Sequential:
    """The way back, about within 0 and 1."""

    def layers() -> Iterator[nn.Module]:
        yield from (_Bounded(), _conv(_LATENT), nn.ReLU())
        for step in range(_STEPS):
            yield from (_Block(step == 0) for _ in range(_BLOCKS))
            yield from (nn.Upsample(scale_factor=2), _conv(bias=False))
        yield from (_Block(False), _conv(outward=3))

    return nn.Sequential(*layers())
