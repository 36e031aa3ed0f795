"""A network for one face, whose map of evidence determines its output exactly."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.encoders import weights
from networks.errors import CheckpointError
from patches import torchvision

BACKBONE = "tf_efficientnet_lite0"
_BLOCKS = 5  # of the backbone's seven: 112 channels of 14 × 14 cells; the last two see things, not textures
_CHANNELS = 112
_STEM = 32
_HEAD = 96
_LEVELS = 4
FINENESSES = _LEVELS + 1
_LEAST_ENERGY = 0.1  # of brightness within 0 to 255, squared: less is rounding
_FURTHEST = 3.0


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


class Quality(nn.Module):
    """RGB within ±1 [batch, 3, h, w] → how much of each fineness a picture has, [batch, 5]: logarithms.

    Of the grey picture the mean square of what a 5 × 5 blur takes away, four times, each time of half the size; and the
    spread of its brightness.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
        self.register_buffer("kernel", torch.outer(row, row)[None, None].clone(), persistent=False)

    def forward(self, picture: Tensor) -> Tensor:  # noqa: D102  # the class says it
        grey = 128 * picture.mean(1, keepdim=True)
        spread = (grey - grey.mean((2, 3), keepdim=True)).square().mean((1, 2, 3))
        found = []
        for _ in range(_LEVELS):
            soft = functional.conv2d(functional.pad(grey, (2, 2, 2, 2), mode="reflect"), self.kernel)
            found.append((grey - soft).square().mean((1, 2, 3)))
            grey = soft[:, :, ::2, ::2]
        return torch.stack([*found, spread], dim=1).clamp(min=_LEAST_ENERGY).log()


class FaceCam(nn.Module):
    """Faces uint8 RGB [batch, 224, 224, 3] → log odds of fake [batch, 1] and their map [batch, 7, 7].

    The lower blocks of EfficientNet-Lite0, which see the picture and, at first with no effect, what is finer than it.

    A blurred or coarsely coded face looks more like a fake than a clean one, and that is no evidence. So what real
    faces of the same :class:`Quality` get is taken off everywhere: a polynomial of second degree that is fitted when
    the network is trained (`training.visual.quality`), and 0 before.

    logit = log(mean(exp(map))) over the 49 cells: the smooth maximum, between the mean and the highest cell. So the
    map explains the answer to the last digit: a cell that were at minus infinity would take its share away.
    Each cell is judged beside the mean of all, since a mouth is smooth or sharp only in comparison.
    """

    usual: Tensor
    spread: Tensor
    expected: Tensor

    def __init__(self) -> None:
        super().__init__()
        torchvision.ensure()
        import timm

        whole = timm.create_model(BACKBONE, pretrained=False)
        self.stem, self.norm, self.blocks = whole.conv_stem, whole.bn1, whole.blocks[:_BLOCKS]
        self.high_pass = HighPass()
        self.fine = nn.Conv2d(3, _STEM, 3, 2, padding=1, bias=False)
        nn.init.zeros_(self.fine.weight)
        self.quality = Quality()
        self.register_buffer("usual", torch.zeros(FINENESSES))
        self.register_buffer("spread", torch.ones(FINENESSES))
        self.register_buffer("expected", torch.zeros(1 + 2 * FINENESSES))
        self.head = nn.Sequential(
            nn.Dropout2d(0.2), nn.Conv2d(2 * _CHANNELS, _HEAD, 1), nn.ReLU(), nn.Conv2d(_HEAD, 1, 1)
        )
        self.to(memory_format=torch.channels_last)  # the faster order on processors

    def read(self, path: Path) -> None:
        """Takes the backbone's weights out of a file of EfficientNet-Lite0's; raises CheckpointError for another's.

        Names differ, the order does not: stem, its normalisation, then block by block.
        """
        mine = [
            value
            for part in (self.stem, self.norm, self.blocks)
            for name, value in part.state_dict().items()
            if not name.endswith("num_batches_tracked")
        ]
        theirs = [value for name, value in weights(path).items() if not name.endswith("num_batches_tracked")]
        if len(theirs) < len(mine) or any(a.shape != b.shape for a, b in zip(mine, theirs)):
            raise CheckpointError(f"{path} does not hold the weights of EfficientNet-Lite0")
        for a, b in zip(mine, theirs):
            a.copy_(b)

    @staticmethod
    def picture(faces: Tensor) -> Tensor:
        """Faces as the backbone was taught to see them: [batch, 3, 224, 224], within ±1."""
        return (faces.permute(0, 3, 1, 2).float() - 127) / 128

    def terms(self, quality: Tensor) -> Tensor:
        """The polynomial's terms [batch, 11] of qualities [batch, 5]; further than three spreads counts as three."""
        held = ((quality - self.usual) / self.spread).clamp(-_FURTHEST, _FURTHEST)
        return torch.cat([torch.ones_like(held[:, :1]), held, held.square()], dim=1)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102  # the class says it
        picture = self.picture(faces)
        seen = self.blocks(self.norm(self.stem(picture) + self.fine(self.high_pass(picture))))
        features = functional.avg_pool2d(seen, 2)
        everywhere = features.mean((2, 3), keepdim=True).expand_as(features)
        expected = self.terms(self.quality(picture)) @ self.expected
        cam: Tensor = self.head(torch.cat([features, everywhere], dim=1))[:, 0] - expected[:, None, None]
        logit = torch.logsumexp(cam.flatten(1), dim=1, keepdim=True) - math.log(cam[0].numel())
        return logit, cam
