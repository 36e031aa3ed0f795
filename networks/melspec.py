"""A residual network on the mel spectrogram, whose front end is a fixed convolution and a matrix inside the graph."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.spectrum import ResidualBlock
from veracity.install.graphs.mel import fourier, mel_filters

_SIZE = 512  # 32 ms, of which a Hann window looks at the middle 25 ms
_WINDOW = 400
_HOP = 160  # 10 ms
_BANDS = 80
_FLOOR = 1e-6  # -60 dB below the mean power: below it are artefacts of codecs and converters
_WIDTHS = (32, 64, 128, 256)  # two blocks each, half of ResNet-18's


class MelSpectrum(nn.Module):
    """Sound [batch, n] → mel power [batch, 80 bands, 1 + (n - 512) / 160 frames], of the samples as they are."""

    basis: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        basis = fourier(_SIZE, np.pad(np.hanning(_WINDOW + 1)[:-1], (_SIZE - _WINDOW) // 2))
        self.register_buffer("basis", torch.from_numpy(basis[:, None].astype(np.float32)), persistent=False)
        self.register_buffer(
            "filters", torch.from_numpy(mel_filters(_BANDS, _SIZE).astype(np.float32)), persistent=False
        )

    def forward(self, sound: Tensor) -> Tensor:  # noqa: D102  # the class says it
        real, imaginary = functional.conv1d(sound.unsqueeze(1), self.basis, stride=_HOP).chunk(2, dim=1)
        return self.filters @ (real.square() + imaginary.square())


class MelSpecResNet(nn.Module):
    """Sound within ±1, float32 [batch, n] → log odds of fake [batch, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = MelSpectrum()
        first = _WIDTHS[0]
        self.stem = nn.Sequential(nn.Conv2d(1, first, 5, 2, padding=2, bias=False), nn.BatchNorm2d(first), nn.ReLU())
        blocks = [ResidualBlock(first, first, 1), ResidualBlock(first, first, 1)]
        for narrow, wide in pairwise(_WIDTHS):
            blocks += [ResidualBlock(narrow, wide, 2), ResidualBlock(wide, wide, 1)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(_WIDTHS[-1], 1))
        self.to(memory_format=torch.channels_last)  # the faster order on processors

    def features(self, sound: Tensor) -> Tensor:
        """The output of the blocks, float32 [batch, 256, bands, frames]."""
        # clamp, as the exporter takes `+ 1e-8` for `+ 0`
        level = sound.square().mean(1, keepdim=True).clamp(min=1e-8).sqrt()
        power = self.spectrum(sound / level)
        mean = power.mean((1, 2), keepdim=True).add(1e-6)  # so that silence has a logarithm
        log_power = (power / mean + _FLOOR).log()
        maps = (log_power - log_power.mean(2, keepdim=True)) / 3  # a microphone's equaliser drops out
        with torch.autocast(maps.device.type, torch.bfloat16, enabled=self.training):  # trains twice as fast
            maps = self.blocks(self.stem(maps.unsqueeze(1)))
        return maps.float()

    def forward(self, sound: Tensor) -> Tensor:  # noqa: D102  # the class says it
        logit: Tensor = self.head(self.features(sound).flatten(2).mean(2))
        return logit
