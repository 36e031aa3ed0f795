"""A small network for one face, whose map of evidence determines its output exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.spectrum import ResidualBlock

WIDTHS = (16, 24, 40, 64, 96)  # channels after each halving of the picture: 112, 56, 28, 14, 7
_HEAD = 96


class HighPass(nn.Module):
    """RGB within ±1 [batch, 3, h, w] → what a 5 × 5 blur takes away, three-fold and bounded by ±1; same shape."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
        kernel = -torch.outer(row, row)
        kernel[2, 2] += 1
        self.register_buffer("kernel", (8 * kernel).expand(3, 1, 5, 5).clone(), persistent=False)

    def forward(self, picture: Tensor) -> Tensor:  # noqa: D102  # the class says it
        residual: Tensor = functional.conv2d(picture, self.kernel, padding=2, groups=3)
        return residual.clamp(-1, 1)


class FaceCam(nn.Module):
    """Faces uint8 RGB [batch, 224, 224, 3] → log odds of fake [batch, 1] and their map [batch, 7, 7].

    logit = log(mean(exp(map))) over the 49 cells: the smooth maximum, between the mean and the highest cell. So the
    map explains the answer to the last digit: a cell that were at minus infinity would take its share away.
    Each cell is judged beside the mean of all, since a mouth is smooth or sharp only in comparison.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.high_pass = HighPass()
        self.stem = nn.Sequential(
            nn.Conv2d(6, widths[0], 5, 2, padding=2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        self.blocks = nn.Sequential(*(ResidualBlock(width, wider, 2) for width, wider in pairwise(widths)))
        self.head = nn.Sequential(
            nn.Dropout2d(0.2), nn.Conv2d(2 * widths[-1], _HEAD, 1), nn.ReLU(), nn.Conv2d(_HEAD, 1, 1)
        )
        self.to(memory_format=torch.channels_last)  # the faster order on processors

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102  # the class says it
        picture = faces.permute(0, 3, 1, 2).float() / 127.5 - 1
        both = torch.cat([picture, self.high_pass(picture)], dim=1)
        with torch.autocast(faces.device.type, torch.bfloat16, enabled=self.training):  # faster training
            features = self.blocks(self.stem(both))
        features = features.float()
        everywhere = features.mean((2, 3), keepdim=True).expand_as(features)
        cam: Tensor = self.head(torch.cat([features, everywhere], dim=1))[:, 0]
        logit = torch.logsumexp(cam.flatten(1), dim=1, keepdim=True) - math.log(cam[0].numel())
        return logit, cam
