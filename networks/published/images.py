"""Shared parts of image detectors: pixels in, colours standardised, and the class-activation map out."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn, tensor
from torch.nn import functional

Odds = tuple[Tensor, Tensor]  # a weight for each channel [channels], and a bias []


def planes(pictures: Tensor) -> Tensor:
    """Uint8 [batch, height, width, 3] → float32 [batch, 3, height, width], 0 to 1."""
    return pictures.permute(0, 3, 1, 2).to(torch.float32) / 255


class Mappable(Protocol):
    """A face network in two halves."""

    def features(self, faces: Tensor) -> Tensor:
        """Colours within 0 to 1, float32 [batch, 3, side, side] → last feature map [batch, channels, rows, columns]."""
        ...

    def odds(self) -> Odds:
        """Weights and bias from the features' mean over places to the log odds of fake."""
        ...


class Mapped(nn.Module):
    """Uint8 RGB [batch, side, side, 3] → log odds of fake [batch, 1] and their map [batch, rows, columns].

    The mean of a map is its face's log odds: a mean and a linear layer may change places, and each place bears the
    whole bias.
    """

    def __init__(self, net: Mappable) -> None:
        super().__init__()
        self.net = net
        weight, bias = (value.detach() for value in net.odds())
        self.register_buffer("weight", weight[None].clone())
        self.register_buffer("bias", bias[None].clone())

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102  # the class says it
        features = self.net.features(planes(faces))
        logit = functional.linear(features.mean(dim=(2, 3)), self.weight, self.bias)
        places = functional.conv2d(features, self.weight[:, :, None, None], self.bias)
        return logit, places.squeeze(1)


class Pixels(nn.Module):
    """Uint8 RGB [batch, side, side, 3] in front of a network that takes colours within 0 to 1."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, faces: Tensor) -> Tensor:  # noqa: D102  # the class says it
        scores: Tensor = self.net(planes(faces))
        return scores


class Standard(nn.Module):
    """Colours within 0 to 1, [batch, 3, …] → (x - ``mean``) / ``deviation``. Not part of a checkpoint."""

    def __init__(self, mean: tuple[float, ...], deviation: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("deviation", tensor(deviation)[:, None, None], persistent=False)

    def forward(self, colours: Tensor) -> Tensor:  # noqa: D102  # the class says it
        return (colours - self.mean) / self.deviation
