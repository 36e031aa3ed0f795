"""Light-ASD: whether a face speaks, in each frame of a second, by the face and the sound of that second.

Weights and code are MIT. Written afresh from the network's published interface (key names, shapes, constants). What its
authors leave to the library python_speech_features, cepstra of the sound, is part of the graph.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.published.syncnet import Cepstra

WIDTH = 128  # features of a frame
MEAN, DEVIATION = 0.4161, 0.1688  # of grey faces from 0 to 1
EPSILON = 1e-3  # of every batch norm

Kernels = Mapping[str, tuple[int, ...]]

# The convolutions of a block by their names in the checkpoint: two branches, each over a picture (or over cepstra) and
# then over time, and the one that mixes their sum. Faces are [frames, height, width], sound is [cepstra, columns].
FACES: Kernels = {"s_3": (1, 3, 3), "t_3": (3, 1, 1), "s_5": (1, 5, 5), "t_5": (5, 1, 1), "last": (1, 1, 1)}
SOUND: Kernels = {"m_3": (3, 1), "t_3": (1, 3), "m_5": (5, 1), "t_5": (1, 5), "last": (1, 1)}


class Block(nn.ModuleDict):
    """Two branches and their mixed sum, [batch, given, …] → [batch, made, …]; ``stride`` is of the branches' first."""

    def __init__(self, kernels: Kernels, given: int, made: int, stride: tuple[int, ...] | int = 1) -> None:
        super().__init__()
        self.names = tuple(kernels)
        for place, (name, kernel) in enumerate(kernels.items()):
            starts = place in (0, 2)
            conv, norm = (nn.Conv3d, nn.BatchNorm3d) if len(kernel) == 3 else (nn.Conv2d, nn.BatchNorm2d)
            padding = tuple(side // 2 for side in kernel)
            self[name] = conv(given if starts else made, made, kernel, stride if starts else 1, padding, bias=False)
            self[f"bn_{name}"] = norm(made, eps=EPSILON)

    def _step(self, name: str, maps: Tensor) -> Tensor:
        return functional.relu(self[f"bn_{name}"](self[name](maps)))

    def forward(self, maps: Tensor) -> Tensor:  # noqa: D102  # the class says it
        across, along, wider_across, wider_along, last = self.names
        branches = (
            self._step(along, self._step(across, maps)),
            self._step(wider_along, self._step(wider_across, maps)),
        )
        return self._step(last, branches[0] + branches[1])


class FaceEncoder(nn.Module):
    """Grey faces [batch, 1, frames, 112, 112] → [batch, frames, 128]."""

    def __init__(self) -> None:
        super().__init__()
        self.block1, self.block2 = Block(FACES, 1, 32, (1, 2, 2)), Block(FACES, 32, 64)
        self.block3 = Block(FACES, 64, WIDTH)
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))

    def forward(self, faces: Tensor) -> Tensor:  # noqa: D102  # the class says it
        maps = self.block3(self.pool(self.block2(self.pool(self.block1(faces)))))
        return maps.amax((3, 4)).transpose(1, 2)


class SoundEncoder(nn.Module):
    """Cepstra [batch, 1, 13, 4 × frames] → [batch, frames, 128]."""

    def __init__(self) -> None:
        super().__init__()
        self.block1, self.block2 = Block(SOUND, 1, 32), Block(SOUND, 32, 64)
        self.block3 = Block(SOUND, 64, WIDTH)
        self.pool = nn.MaxPool2d((1, 3), (1, 2), (0, 1))

    def forward(self, cepstra: Tensor) -> Tensor:  # noqa: D102  # the class says it
        maps = self.block3(self.pool(self.block2(self.pool(self.block1(cepstra)))))
        return maps.mean(2).transpose(1, 2)


class BothWays(nn.Module):
    """A recurrent layer forwards and another over its answer backwards, [batch, frames, 128] → the same."""

    def __init__(self) -> None:
        super().__init__()
        self.gru_forward = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.gru_backward = nn.GRU(WIDTH, WIDTH, batch_first=True)

    def forward(self, frames: Tensor) -> Tensor:  # noqa: D102  # the class says it
        there = functional.gelu(self.gru_forward(frames)[0])
        return functional.gelu(self.gru_backward(there.flip(1))[0].flip(1))


class Network(nn.Module):
    """Both encoders, what reads their sum, and the head, their weights named as in the checkpoint.

    Faces float32 [batch, frames, 112, 112] from 0 to 255 and cepstra float32 [batch, 1, 13, 4 × frames] → the scores of
    silent and speaking, float32 [batch, frames, 2].
    """

    def __init__(self) -> None:
        super().__init__()
        self.visualEncoder, self.audioEncoder, self.GRU = FaceEncoder(), SoundEncoder(), BothWays()
        self.FC = nn.Linear(WIDTH, 2)

    def forward(self, faces: Tensor, cepstra: Tensor) -> Tensor:  # noqa: D102  # the class says it
        pixels = (faces[:, None] / 255 - MEAN) / DEVIATION
        scores: Tensor = self.FC(self.GRU(self.audioEncoder(cepstra) + self.visualEncoder(pixels)))
        return scores


class Served(nn.Module):
    """Faces uint8 [batch, 25, 112, 112] and sound int16 [batch, 16241] in front, log odds of *speaks* [batch, 25]."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.cepstra = net, Cepstra()

    def forward(self, faces: Tensor, sound: Tensor) -> Tensor:  # noqa: D102  # the class says it
        silent, speaks = self.net(faces.to(torch.float32), self.cepstra(sound)).unbind(2)
        odds: Tensor = speaks - silent
        return odds
