"""SyncNet: five faces and the sound of the same 0.2 s, brought to two points that lie together where they fit.

Both towers are one graph. What its authors leave to the library python_speech_features, cepstra of the sound, is part
of it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from networks.published.lipforensics import FramesAsChannels
from veracity.catalog.detectors.lipsync_syncnet import FRAMES as SYNC_FRAMES
from veracity.catalog.layers import SAMPLE_RATE

WINDOW, STEP = 400, 160  # samples: 25 ms every 10 ms
FOURIER = 512  # points; the window is filled up with zeros
FILTERS, CEPSTRA = 26, 13
EMPHASIS = 0.97  # of the sample before that is taken off
LIFTER = 22
SILENCE = float(np.finfo(np.float64).eps)  # replaces an energy of 0, which has no logarithm


def filter_bank() -> NDArray[np.float64]:
    """Triangles evenly spaced in mels from 0 to 8000 Hz, on whole points of the spectrum: [257, 26]."""
    mels = np.linspace(0, 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700), FILTERS + 2)
    edges = np.floor((FOURIER + 1) * 700 * (10 ** (mels / 2595) - 1) / SAMPLE_RATE)
    points = np.arange(FOURIER // 2 + 1)[:, None]
    low, top, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (points - low) / (top - low), (high - points) / (high - top)
    return np.where(points < top, rising, falling).clip(min=0)


def cosines() -> NDArray[np.float64]:
    """The orthonormal cosine transform of the filters' logarithms with the lifter on it: [26, 13]."""
    order = np.arange(CEPSTRA)
    waves = np.cos(np.pi * order * (2 * np.arange(FILTERS)[:, None] + 1) / (2 * FILTERS))
    scale = np.sqrt(np.where(order == 0, 1, 2) / FILTERS)
    lifted: NDArray[np.float64] = waves * scale * (1 + LIFTER / 2 * np.sin(np.pi * order / LIFTER))
    return lifted


class Cepstra(nn.Module):
    """Int16 samples [batch, 3441] → cepstra float32 [batch, 1, 13, 20], a column every 10 ms.

    Within 1e-3 of python_speech_features.mfcc 0.6 on the same samples. The first is only taken off the second.
    """

    def __init__(self) -> None:
        super().__init__()
        turns = np.arange(WINDOW)[:, None] * np.arange(FOURIER // 2 + 1) * (2 * np.pi / FOURIER)
        self.fourier = nn.Buffer(_single(np.concatenate([np.cos(turns), np.sin(turns)], 1)), persistent=False)
        self.filters = nn.Buffer(_single(filter_bank()), persistent=False)
        self.cosines = nn.Buffer(_single(cosines()[:, 1:]), persistent=False)  # the first gives way to the energy

    def forward(self, sound: Tensor) -> Tensor:  # noqa: D102  # the class says it
        samples = sound.to(torch.float32)
        windows = (samples[:, 1:] - EMPHASIS * samples[:, :-1]).unfold(1, WINDOW, STEP)
        real, imaginary = (windows @ self.fourier).chunk(2, dim=2)
        power = (real.square() + imaginary.square()) / FOURIER
        cepstra = _log(power @ self.filters) @ self.cosines
        energy = _log(power.sum(2, keepdim=True))
        return torch.cat([energy, cepstra], 2).transpose(1, 2)[:, None]


def _single(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _log(energy: Tensor) -> Tensor:
    return torch.where(energy == 0, SILENCE, energy).log()


def _made(conv: nn.Conv2d | FramesAsChannels, last: nn.Module | None = None) -> list[nn.Module]:
    """A convolution with norm, activation and, if any, pooling; without it its number stays unused."""
    return [conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(), *([last] if last else [])]


def _points(given: int = 512, made: int = 1024) -> nn.Sequential:
    return nn.Sequential(nn.Linear(given, given), nn.BatchNorm1d(given), nn.ReLU(), nn.Linear(given, made))


class Network(nn.Module):
    """Both towers, their weights named as in the checkpoint.

    Lips uint8 BGR [batch, 5, 224, 224, 3] and cepstra float32 [batch, 1, 13, 20] → two points, float32 [batch, 1024].
    """

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_made(nn.Conv2d(1, 64, 3, padding=1), nn.Identity()),
            *_made(nn.Conv2d(64, 192, 3, padding=1), nn.MaxPool2d(3, (1, 2))),
            *_made(nn.Conv2d(192, 384, 3, padding=1)),
            *_made(nn.Conv2d(384, 256, 3, padding=1)),
            *_made(nn.Conv2d(256, 256, 3, padding=1), nn.MaxPool2d(3, 2)),
            *_made(nn.Conv2d(256, 512, (5, 4))),
        )
        self.netcnnlip = nn.Sequential(
            *_made(FramesAsChannels(3, 96, (SYNC_FRAMES, 7, 7), (1, 2, 2)), nn.MaxPool2d(3, 2)),
            *_made(FramesAsChannels(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)), nn.MaxPool2d(3, 2, 1)),
            *_made(FramesAsChannels(256, 256, (1, 3, 3), padding=(0, 1, 1))),
            *_made(FramesAsChannels(256, 256, (1, 3, 3), padding=(0, 1, 1))),
            *_made(FramesAsChannels(256, 256, (1, 3, 3), padding=(0, 1, 1)), nn.MaxPool2d(3, 2)),
            *_made(FramesAsChannels(256, 512, (1, 6, 6))),
        )
        self.netfcaud, self.netfclip = _points(), _points()

    def forward(self, lips: Tensor, cepstra: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102  # the class says it
        planes = lips.permute(0, 4, 1, 2, 3).flatten(1, 2).to(torch.float32)  # 0 to 255, as its authors give them
        faces = self.netfclip(self.netcnnlip(planes).flatten(1))
        return faces, self.netfcaud(self.netcnnaud(cepstra).flatten(1))


class Served(nn.Module):
    """Faces uint8 RGB [batch, 5, 224, 224, 3] and sound int16 [batch, 3441] in front of the towers."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.cepstra = net, Cepstra()

    def forward(self, faces: Tensor, sound: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102  # the class says it
        answer: tuple[Tensor, Tensor] = self.net(faces.flip(-1), self.cepstra(sound))
        return answer
