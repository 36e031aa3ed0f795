"""The lip starter's networks: the appearance of a second of lips, and how well the sound fits it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from networks.bands import SHAPE, Bands
from networks.mouth_fit import MouthFit

_NUMBERS = math.prod(SHAPE)
# Weights of both kinds of evidence: with these neither loses more than a few points of AUC to the other's noise.
PICTURE, MISFIT = 0.7, 6.0
_FAR = 4.0  # spreads from the mean that a number may be


class Lines(nn.Module):
    """Numbers of `Bands` [batch, 4, 5, 6, 6] → log odds of fake [batch, 1], by one weight each."""

    mean: Tensor
    spread: Tensor

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(_NUMBERS))
        self.register_buffer("spread", torch.ones(_NUMBERS))
        self.weigh = nn.Sequential(nn.Dropout(dropout), nn.Linear(_NUMBERS, 1))

    def standardise(self, numbers: Tensor) -> None:
        """Takes mean and spread from the training set, [n, 4, 5, 6, 6]."""
        flat = numbers.flatten(1)
        self.mean.copy_(flat.mean(0))
        self.spread.copy_(flat.std(0).clamp(min=1e-3))

    def forward(self, numbers: Tensor) -> Tensor:  # noqa: D102  # the class says it
        logit: Tensor = self.weigh(self._placed(numbers))
        return logit

    def cells(self, numbers: Tensor) -> Tensor:
        """The contribution of each cell to the log odds, [batch, 6, 6]; their sum and the bias are the output."""
        shares = self._placed(numbers) * self.weigh[1].weight
        return shares.unflatten(1, SHAPE).sum((1, 2))

    def _placed(self, numbers: Tensor) -> Tensor:
        return ((numbers.flatten(1) - self.mean) / self.spread).clamp(-_FAR, _FAR)


class LipNet(nn.Module):
    """Lips uint8 grey [batch, 25, 144, 144] → log odds of fake [batch, 1] by the picture alone.

    The answer is the mean of the second's and of its mirror image's.
    """

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.bands = Bands()
        self.lines = Lines(dropout)

    def forward(self, lips: Tensor) -> Tensor:  # noqa: D102  # the class says it
        return self.judge(self.bands(lips))

    def cells(self, lips: Tensor) -> Tensor:
        """The contribution of each cell to the output, [batch, 6, 6]: exact, as all of it is linear."""
        numbers = self.bands(lips)
        return (self.lines.cells(numbers) + self.lines.cells(numbers.flip(-1)).flip(-1)) / 2

    def judge(self, numbers: Tensor) -> Tensor:
        """The output for features [batch, 4, 5, 6, 6]."""
        logit: Tensor = (self.lines(numbers) + self.lines(numbers.flip(-1))) / 2
        return logit


class LipStarter(nn.Module):
    """Lips [batch, 25, 144, 144] and the sound round them int16 [batch, 28800] → log odds of fake [batch, 1].

    Either is enough: a picture that is painted, or a sound that does not fit. Silence leaves it to the picture.
    """

    def __init__(self, picture: nn.Module) -> None:
        super().__init__()
        self.picture, self.fit = picture, MouthFit()

    def forward(self, lips: Tensor, sound: Tensor) -> Tensor:  # noqa: D102  # the class says it
        both = torch.cat([PICTURE * self.picture(lips), MISFIT * self.fit(lips, sound)], dim=1)
        return both.logsumexp(1, keepdim=True) - math.log(2)  # no evidence from either gives even odds
