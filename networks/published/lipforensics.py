"""LipForensics: the mouth of one face over 25 consecutive frames, a ResNet-18 a frame, then a network over time.

Its authors average over as many steps as a clip has; every clip here has 25, so the mean is part of the graph.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from veracity.catalog.layers import MOUTH_FRAMES, MOUTH_SIZE

SEEN = 88  # middle pixels of the mouth's 96
MEAN, DEVIATION = 0.421, 0.165  # of grey mouths, 0 to 1
KERNELS = (3, 5, 7)  # steps of time that the branches of a block see
BRANCH = 256  # channels
WIDTH = BRANCH * len(KERNELS)


class FramesAsChannels(nn.Conv3d):
    """A convolution over as many frames as its kernel is long, computed as one over pictures of so many channels.

    [batch, channels × frames, height, width] → [batch, channels, height, width]. The numbers are Conv3d's; on a CPU
    ONNX Runtime needs a sixth less time for them (SyncNet's first layer: 20 ms a window, not 24).
    """

    def forward(self, frames: Tensor) -> Tensor:  # noqa: D102  # the class says it
        weight = self.weight.flatten(1, 2)
        return conv2d(frames, weight, self.bias, self.stride[1:], self.padding[1:])


class Block(nn.Module):
    """Two 3 × 3 convolutions and a way past them."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__()
        stride = 1 if given == made else 2
        self.conv1 = nn.Conv2d(given, made, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(made)
        self.relu1 = nn.PReLU(made)
        self.conv2 = nn.Conv2d(made, made, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(made)
        self.relu2 = nn.PReLU(made)
        past = (nn.Conv2d(given, made, 1, stride, bias=False), nn.BatchNorm2d(made)) if stride == 2 else ()
        self.downsample = nn.Sequential(*past)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102  # the class says it
        made = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        answer: Tensor = self.relu2(made + self.downsample(x))
        return answer


class Trunk(nn.Module):
    """Features of a frame, [batch, 64, 22, 22] → [batch, 512]."""

    def __init__(self) -> None:
        super().__init__()
        widths = (64, 64, 128, 256, 512)
        for number, (given, made) in enumerate(pairwise(widths), 1):
            setattr(self, f"layer{number}", nn.Sequential(Block(given, made), Block(made, made)))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102  # the class says it
        return nn.Sequential(*self.children())(x).mean((2, 3))


class Branch(nn.Module):
    """One convolution over time, as long after it as before."""

    def __init__(self, given: int, kernel: int, step: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(given, BRANCH, kernel, padding=(kernel - 1) * step // 2, dilation=step)
        self.batchnorm = nn.BatchNorm1d(BRANCH)
        self.non_lin = nn.PReLU(BRANCH)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102  # the class says it
        answer: Tensor = self.non_lin(self.batchnorm(self.conv(x)))
        return answer


class TimeBlock(nn.Module):
    """Branches of three lengths, twice, and a skip connection; ``step`` is the dilation in frames."""

    def __init__(self, given: int, step: int) -> None:
        super().__init__()
        for depth, width in enumerate((given, WIDTH)):
            for number, kernel in enumerate(KERNELS):
                setattr(self, f"cbcr{depth}_{number}", Branch(width, kernel, step))
        self.downsample = nn.Conv1d(given, WIDTH, 1)
        self.relu_final = nn.PReLU(WIDTH)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102  # the class says it
        made = x
        for depth in range(2):
            made = torch.cat([getattr(self, f"cbcr{depth}_{k}")(made) for k in range(len(KERNELS))], 1)
        answer: Tensor = self.relu_final(made + self.downsample(x))
        return answer


class Network(nn.Module):
    """Mouths of mean 0 and deviation 1, float32 [batch, 1, 25, 88, 88] → logit of fake [batch, 1]."""

    def __init__(self) -> None:
        super().__init__()
        stem = FramesAsChannels(1, 64, (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False)
        self.frontend3D = nn.Sequential(stem, nn.BatchNorm2d(64), nn.PReLU(64), nn.MaxPool2d(3, 2, 1))
        self.trunk = Trunk()
        self.tcn = nn.Module()
        self.tcn.mb_ms_tcn = nn.Module()
        self.tcn.mb_ms_tcn.network = nn.Sequential(*(TimeBlock(WIDTH if k else 512, 2**k) for k in range(4)))
        self.tcn.tcn_output = nn.Linear(WIDTH, 1)

    def forward(self, mouths: Tensor) -> Tensor:  # noqa: D102  # the class says it
        around = pad(mouths[:, 0], (0, 0, 0, 0, 2, 2))  # each frame with the two before and after it
        frames = torch.stack([around[:, k : k + MOUTH_FRAMES] for k in range(5)], 2).flatten(0, 1)
        features = self.trunk(self.frontend3D(frames)).unflatten(0, (-1, MOUTH_FRAMES))
        over_time = self.tcn.mb_ms_tcn.network(features.transpose(1, 2))
        logit: Tensor = self.tcn.tcn_output(over_time.mean(2))
        return logit


class Pixels(nn.Module):
    """Uint8 grey mouths [batch, 25, 96, 96] in front of the network."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, mouths: Tensor) -> Tensor:  # noqa: D102  # the class says it
        edge = (MOUTH_SIZE - SEEN) // 2
        seen = mouths[:, None, :, edge : edge + SEEN, edge : edge + SEEN].to(torch.float32)
        logit: Tensor = self.net((seen / 255 - MEAN) / DEVIATION)
        return logit
