"""Saliency maps: a network's own map of evidence where it has one, else Grad-CAM (Selvaraju et al. 2017)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from veracity.calibrate.errors import ManifestError

Image = npt.NDArray[np.uint8]
Maps = npt.NDArray[np.float32]


def grad_cam(net: nn.Module, inputs: tuple[Tensor, ...], within: nn.Module | None = None) -> tuple[Tensor, Tensor]:
    """(log odds [batch, …], maps [n, h, w]) of the last feature maps that ``net`` makes ``within`` itself or a part.

    A map is the sum of the channels, each weighted by its gradient, where it is evidence for fake. ``n`` is
    the batch, times what the network lays side by side in it; of maps along one line (of samples) h is 1. Raises
    ManifestError for a network that has no map.
    """
    found: dict[int, Tensor] = {}

    def note(module: nn.Module, given: Any, said: Any) -> None:
        del module, given
        if isinstance(said, Tensor) and said.requires_grad and said.ndim in (3, 4) and min(said.shape[2:]) > 1:
            found[said.ndim] = said

    hooks = [part.register_forward_hook(note) for part in (within or net).modules()]
    try:
        answer = net(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    features = found.get(4, found.get(3))
    if features is None:
        raise ManifestError(f"{type(net).__name__} has no feature map to show")
    logits = answer[0] if isinstance(answer, tuple) else answer
    slopes = torch.autograd.grad(logits.sum(), features)[0]
    features, slopes = (part if part.ndim == 4 else part.unsqueeze(2) for part in (features.detach(), slopes))
    weights = slopes.mean((2, 3), keepdim=True)
    return logits.detach(), (weights * features).sum(1).clamp(min=0).float()


def exact_cam(answer: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The same for a network that returns (log odds [n, 1], map of log odds [n, h, w]): P(fake) of each cell."""
    logits, cam = answer
    return logits.detach(), cam.detach().sigmoid().float()


def evidence(chances: Tensor | Maps) -> Maps:
    """Maps of P(fake) as evidence for fake: 0 up to one half, 1 at certainty."""
    return np.asarray(2 * np.asarray(chances, np.float32) - 1).clip(0, 1)


def shares(maps: Tensor | Maps) -> Maps:
    """Maps divided by their common maximum, so that they can be compared."""
    values = np.asarray(maps, np.float32)
    return values / max(float(values.max(initial=0.0)), 1e-12)


def overlay(picture: Image, heat: Maps, strength: float = 0.55) -> Image:
    """``heat`` [h, w] within 0 and 1, scaled to the size of ``picture`` uint8 RGB or grey, and laid over it; RGB.

    More heat means more red and less of the picture; without heat the picture is unchanged.
    """
    colour = picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    smooth = cv2.resize(heat.astype(np.float32), colour.shape[1::-1], interpolation=cv2.INTER_LINEAR).clip(0, 1)
    painted = cv2.cvtColor(cv2.applyColorMap((255 * smooth).astype(np.uint8), cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    share = (strength * smooth)[..., None]
    return np.asarray((colour * (1 - share) + painted * share).round(), np.uint8)
