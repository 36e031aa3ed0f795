"""Shared parts of audio detectors: conversion of samples, and the filters that two of them begin with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from veracity.catalog.layers import SAMPLE_RATE


def float_samples(waveform: Tensor) -> Tensor:
    """Int16 samples [batch, n] → float32 within ±1."""
    return waveform.to(torch.float32) / 32_768


class Samples(nn.Module):
    """WAVEFORM int16 [batch, n] in front of a network for float32 within ±1."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, waveform: Tensor) -> Tensor:  # noqa: D102  # the class says it
        answer: Tensor = self.net(float_samples(waveform))
        return answer


class SincFilters(nn.Module):
    """Fixed band-pass filters, float32 [batch, n] → [batch, count, n - taps + 1].

    Their bands lie side by side and equally wide in mel (2595 log10(1 + f / 700)) from 0 to half the sample rate; each
    is the difference of two low passes under a Hamming window. They are no weights: no checkpoint holds them.
    """

    filters: Tensor

    def __init__(self, count: int, taps: int) -> None:
        super().__init__()
        taps += 1 - taps % 2  # symmetric about a middle tap
        mel = np.linspace(0, 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700), count + 1)
        edges = 2 * 700 * (10 ** (mel / 2595) - 1) / SAMPLE_RATE  # of half the sample rate
        low_passes = edges[:, None] * np.sinc(edges[:, None] * (np.arange(taps) - taps // 2))
        bands = np.diff(low_passes, axis=0) * np.hamming(taps)
        self.register_buffer("filters", torch.from_numpy(bands[:, None].astype(np.float32)), persistent=False)

    def forward(self, sound: Tensor) -> Tensor:  # noqa: D102  # the class says it
        return nn.functional.conv1d(sound.unsqueeze(1), self.filters)


class FakeLogit(nn.Module):
    """Two class scores [batch, 2] → log odds of fake [batch, 1]."""

    def __init__(self, net: nn.Module, fake: int) -> None:
        super().__init__()
        self.net, self.fake = net, fake

    def forward(self, given: Tensor) -> Tensor:  # noqa: D102  # the class says it
        scores: Tensor = self.net(given)
        return scores[:, self.fake : self.fake + 1] - scores[:, 1 - self.fake : 2 - self.fake]
