"""The trained part of layer 4: a plane in the embedding space of a frozen encoder."""

from __future__ import annotations

from torch import Tensor, nn, zeros
from torch.nn import functional

WIDTH = 768  # of CLIP ViT-B/16's class token


class SemanticHead(nn.Module):
    """An encoder's class tokens [batch, 768] → log odds of fake [batch, 1].

    Only where a token lies from ``middle``, the mean of the training set, counts, and not how far.
    """

    middle: Tensor

    def __init__(self, middle: Tensor | None = None, width: int = WIDTH) -> None:
        super().__init__()
        self.width = width
        self.plane = nn.Linear(width, 1)
        nn.init.zeros_(self.plane.weight)
        nn.init.zeros_(self.plane.bias)
        self.register_buffer("middle", zeros(width) if middle is None else middle)

    def forward(self, class_token: Tensor) -> Tensor:  # noqa: D102  # the class says it
        # of length √width: entries near 1, so that usual learning rates fit
        answer: Tensor = self.plane(functional.normalize(class_token - self.middle, dim=1) * self.width**0.5)
        return answer
