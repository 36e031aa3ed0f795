"""RawNet2, the baseline of the ASVspoof 2021 challenge: residual convolutions on raw samples, then a recurrent net.

The challenge's repository and clovaai's name every weight alike, so one network takes the checkpoints of both. MIT;
written afresh from the published interface (key names, shapes, constants).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from networks.published.sound import SincFilters

_FILTERS, _TAPS = 20, 1024
_CHANNELS = ((20, 20), (20, 20), (20, 128), (128, 128), (128, 128), (128, 128))  # in and out of each block
_HIDDEN = 1024
_SLOPE = 0.3


class Block(nn.Module):
    """Residual convolutions, [batch, channels_in, frames] → [batch, channels_out, frames / 3].

    All but the first were published with a batch norm whose result is thrown away: it has weights and no effect.
    """

    def __init__(self, channels_in: int, channels_out: int, first: bool = False) -> None:
        super().__init__()
        if not first:
            self.bn1 = nn.BatchNorm1d(channels_in)
        self.conv1 = nn.Conv1d(channels_in, channels_out, 3, padding=1)
        self.bn2 = nn.BatchNorm1d(channels_out)
        self.conv2 = nn.Conv1d(channels_out, channels_out, 3, padding=1)
        self.conv_downsample = None
        if channels_in != channels_out:
            self.conv_downsample = nn.Conv1d(channels_in, channels_out, 1)

    def forward(self, frames: Tensor) -> Tensor:  # noqa: D102  # the class says it
        beside = frames if self.conv_downsample is None else self.conv_downsample(frames)
        body = self.conv2(functional.leaky_relu(self.bn2(self.conv1(frames)), _SLOPE))
        return functional.max_pool1d(body + beside, 3)


class Network(nn.Module):
    """Sound within ±1, float32 [batch, 64600] → log probabilities of spoof and bona fide [batch, 2]."""

    def __init__(self) -> None:
        super().__init__()
        self.sinc = SincFilters(_FILTERS, _TAPS)
        self.first_bn = nn.BatchNorm1d(_FILTERS)
        for i, (channels_in, channels_out) in enumerate(_CHANNELS):
            setattr(self, f"block{i}", nn.Sequential(Block(channels_in, channels_out, first=i == 0)))
            setattr(self, f"fc_attention{i}", nn.Sequential(nn.Linear(channels_out, channels_out)))
        self.bn_before_gru = nn.BatchNorm1d(_CHANNELS[-1][1])
        self.gru = nn.GRU(_CHANNELS[-1][1], _HIDDEN, num_layers=3, batch_first=True)
        self.fc1_gru = nn.Linear(_HIDDEN, _HIDDEN)
        self.fc2_gru = nn.Linear(_HIDDEN, 2)

    def forward(self, sound: Tensor) -> Tensor:  # noqa: D102  # the class says it
        frames = functional.max_pool1d(self.sinc(sound).abs(), 3)
        frames = functional.selu(self.first_bn(frames))
        for i in range(len(_CHANNELS)):
            frames = getattr(self, f"block{i}")(frames)
            scale = getattr(self, f"fc_attention{i}")(frames.mean(2)).sigmoid().unsqueeze(2)
            frames = frames * scale + scale
        states, _ = self.gru(functional.selu(self.bn_before_gru(frames)).transpose(1, 2))
        return functional.log_softmax(self.fc2_gru(self.fc1_gru(states[:, -1])), dim=1)
