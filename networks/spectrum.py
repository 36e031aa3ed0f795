"""A residual network on the short-time spectrum, whose front end is two fixed convolutions inside the graph."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

_SIZE = 512  # 32 ms: fine enough to part the harmonics of a voice
_HOP = 160  # 10 ms
_FLOOR = 1e-6  # -60 dB below the mean power: below it are artefacts of codecs and converters
_WIDTHS = (16, 24, 48, 96)


class Spectrum(nn.Module):
    """Sound [batch, n] → maps [batch, channels, 256 bands, frames], the band at 0 Hz left out.

    The first map is the log power, less each band's mean over time: level, equaliser and missing bands, which tell the
    channel and not the speaker, drop out. With `phase`, two more hold the cosine and sine of how far the phase of a
    band moved beyond what its frequency explains.
    """

    basis: Tensor
    turn_cos: Tensor
    turn_sin: Tensor

    def __init__(self, phase: bool) -> None:
        super().__init__()
        time = torch.arange(_SIZE)
        angle = 2 * math.pi * torch.arange(1, _SIZE // 2 + 1)[:, None] * time[None] / _SIZE
        window = torch.hann_window(_SIZE)
        basis = torch.cat([angle.cos() * window, -angle.sin() * window])
        self.register_buffer("basis", basis[:, None] / math.sqrt(_SIZE), persistent=False)
        advance = 2 * math.pi * torch.arange(1, _SIZE // 2 + 1) * _HOP / _SIZE
        self.register_buffer("turn_cos", advance.cos()[:, None], persistent=False)
        self.register_buffer("turn_sin", advance.sin()[:, None], persistent=False)
        self.phase = phase
        self.channels = 3 if phase else 1

    def forward(self, sound: Tensor) -> Tensor:  # noqa: D102  # the class says it
        # clamp, as the exporter takes `+ 1e-8` for `+ 0`
        level = sound.square().mean(1, keepdim=True).clamp(min=1e-8).sqrt()
        spectrum = functional.conv1d((sound / level).unsqueeze(1), self.basis, stride=_HOP)
        real, imaginary = spectrum.chunk(2, dim=1)
        power = real.square() + imaginary.square()
        mean = power.mean((1, 2), keepdim=True).add(1e-6)  # so that silence has a logarithm
        log_power = (power / mean + _FLOOR).log()
        maps = [(log_power - log_power.mean(2, keepdim=True)) / 3]
        if self.phase:
            maps += self._drift(real, imaginary, power + mean * _FLOOR)
        return torch.stack(maps, dim=1)

    def _drift(self, real: Tensor, imaginary: Tensor, power: Tensor) -> list[Tensor]:
        """Cosine and sine of the phase step between frames, less the band's own advance; 0 in the first frame."""
        before_real = functional.pad(real, (1, 0))[..., :-1]
        before_imaginary = functional.pad(imaginary, (1, 0))[..., :-1]
        cosine = real * before_real + imaginary * before_imaginary
        sine = imaginary * before_real - real * before_imaginary
        norm = (power * functional.pad(power, (1, 0), value=1.0)[..., :-1]).sqrt()
        return [
            (cosine * self.turn_cos + sine * self.turn_sin) / norm,
            (sine * self.turn_cos - cosine * self.turn_sin) / norm,
        ]


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a skip path; `stride` applies to bands and frames."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.skip = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, maps: Tensor) -> Tensor:  # noqa: D102  # the class says it
        return functional.relu(self.body(maps) + self.skip(maps))


class SpectrumNet(nn.Module):
    """Sound within ±1, float32 [batch, n] → log odds of fake [batch, 1]."""

    def __init__(self, phase: bool = False) -> None:
        super().__init__()
        self.spectrum = Spectrum(phase)
        first = _WIDTHS[0]
        self.stem = nn.Sequential(
            nn.Conv2d(self.spectrum.channels, first, 5, 2, padding=2, bias=False), nn.BatchNorm2d(first), nn.ReLU()
        )
        blocks = [ResidualBlock(first, first, 1)]
        blocks += [ResidualBlock(width, wider, 2) for width, wider in pairwise(_WIDTHS)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * _WIDTHS[-1], 1))
        self.to(memory_format=torch.channels_last)  # the faster order on processors

    def forward(self, sound: Tensor) -> Tensor:  # noqa: D102  # the class says it
        maps = self.spectrum(sound)
        with torch.autocast(maps.device.type, torch.bfloat16, enabled=self.training):  # trains twice as fast
            maps = self.blocks(self.stem(maps)).flatten(2).float()
        mean = maps.mean(2)
        spread = (maps - mean.unsqueeze(2)).square().mean(2).add(1e-5).sqrt()
        logit: Tensor = self.head(torch.cat([mean, spread], dim=1))
        return logit
