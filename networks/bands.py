"""Fixed features of fine and coarse detail by place in a face, and of its change from frame to frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 4  # each half as fine as the one before
CELLS = 6  # a side
LINES = 5  # numbers of each cell and level
SHAPE = (LEVELS, LINES, CELLS, CELLS)
_FLOOR = 0.05  # of 255², the noise of rounding to whole levels


class Bands(nn.Module):
    """Lips uint8 [batch, n, 144, 144] → [batch, 4 levels, 5 lines, 6, 6].

    A level is what a 5 × 5 blur takes away. Its lines are, of the logarithm of a cell's power in each frame and of the
    power of its change to the next: both means over time, both spreads, and the mean step of the first.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
        self.register_buffer("kernel", torch.outer(row, row)[None, None], persistent=False)

    def forward(self, lips: Tensor) -> Tensor:  # noqa: D102  # the class says it
        frames, found = lips.shape[1], []
        picture = lips.float().flatten(0, 1).unsqueeze(1)
        for _ in range(LEVELS):
            blurred = functional.conv2d(functional.pad(picture, (2, 2, 2, 2), mode="replicate"), self.kernel)
            band = (picture - blurred)[:, 0].unflatten(0, (-1, frames))
            found.append(_lines(_power(band), _power(band[:, 1:] - band[:, :-1])))
            picture = blurred[..., ::2, ::2]
        return torch.stack(found, dim=1)


def _power(band: Tensor) -> Tensor:
    """The logarithm of each cell's, [batch, n, 6, 6]."""
    side = band.shape[-1] // CELLS
    return (functional.avg_pool2d(band.square(), side) + _FLOOR).log()


def _lines(detail: Tensor, change: Tensor) -> Tensor:
    """[batch, 5, 6, 6]"""
    step = (detail[:, 1:] - detail[:, :-1]).abs().mean(1)
    return torch.stack([detail.mean(1), change.mean(1), _spread(detail), _spread(change), step], dim=1)


def _spread(lines: Tensor) -> Tensor:
    return (lines - lines.mean(1, keepdim=True)).square().mean(1).clamp(min=1e-6).sqrt()
