"""The compact RawNet2: residual convolutions straight on the samples."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SLOPE = 0.3
# channels in, channels out, stride of each residual block
_BLOCKS = ((32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2))


class ResidualBlock(nn.Module):
    """Two convolutions of width 3 beside a skip path: [batch, channels_in, n] → [batch, channels_out, n / stride]."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(channels_in, channels_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm1d(channels_out),
            nn.LeakyReLU(_SLOPE),
            nn.Conv1d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm1d(channels_out),
        )
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.skip = nn.Sequential(
                nn.Conv1d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm1d(channels_out)
            )
        self.activation = nn.LeakyReLU(_SLOPE)

    def forward(self, features: Tensor) -> Tensor:  # noqa: D102  # the class says it
        answer: Tensor = self.activation(self.body(features) + self.skip(features))
        return answer


class RawNet2(nn.Module):
    """Sound within ±1, float32 [batch, n] → log odds of fake [batch, 1]; brought to one level first with ``level``."""

    def __init__(self, level: bool = True) -> None:
        super().__init__()
        self.level = level
        self.stem = nn.Sequential(nn.Conv1d(1, 32, 3, padding=1, bias=False), nn.BatchNorm1d(32), nn.LeakyReLU(_SLOPE))
        self.blocks = nn.Sequential(*(ResidualBlock(*block) for block in _BLOCKS))
        self.head = nn.Sequential(nn.Linear(256, 64), nn.LeakyReLU(_SLOPE), nn.Linear(64, 1))

    def features(self, sound: Tensor) -> Tensor:
        """The output of the blocks, float32 [batch, 256, n / 4]."""
        if self.level:
            # clamp, as the exporter takes `+ 1e-8` for `+ 0`
            sound = sound / sound.square().mean(1, keepdim=True).clamp(min=1e-8).sqrt()
        with torch.autocast(sound.device.type, torch.bfloat16, enabled=self.training):  # trains three times as fast
            features: Tensor = self.blocks(self.stem(sound.unsqueeze(1)))
        return features.float()

    def forward(self, sound: Tensor) -> Tensor:  # noqa: D102  # the class says it
        logit: Tensor = self.head(self.features(sound).mean(2))
        return logit
