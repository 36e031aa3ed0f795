"""What real faces of each quality get from a trained network, fitted so that it can be taken off."""

from __future__ import annotations

import logging

import torch
from torch import Tensor
from torch.utils.data import Dataset

from networks.facecam import FaceCam
from training.visual.pairs import Pair

log = logging.getLogger(__name__)

FACES = 1000  # faces that it is fitted to, each degraded in its own way
_BATCH = 24
_RIDGE = 3.0  # in faces: few of a quality count little


def fit(net: FaceCam, pairs: Dataset[Pair]) -> float:
    """Fit ``net.expected`` to the real faces of ``pairs``; return the share of their logits' variance that it explains.

    The network must be in eval mode, and without a fit.
    """
    found, logits = _answers(net, pairs)
    net.usual.copy_(found.mean(0))
    net.spread.copy_(found.std(0).clamp(min=1e-3))
    terms = net.terms(found).double()
    square = terms.T @ terms + _RIDGE * torch.eye(terms.shape[1], dtype=torch.float64)
    net.expected.copy_(torch.linalg.solve(square, terms.T @ logits.double()).float())
    rest = logits - terms.float() @ net.expected
    explained = 1 - float(rest.var() / logits.var())
    log.info("quality explains %.0f%% of what real faces get", 100 * explained)
    return explained


def _answers(net: FaceCam, pairs: Dataset[Pair]) -> tuple[Tensor, Tensor]:
    """Quality [n, 5] and logit [n] of each pair's real face."""
    found, logits = [], []
    with torch.inference_mode():
        for first in range(0, len(pairs), _BATCH):
            numbers = range(first, min(first + _BATCH, len(pairs)))
            faces = torch.stack([torch.from_numpy(pairs[number].faces[0]) for number in numbers])
            logits.append(net(faces)[0][:, 0])
            found.append(net.quality(net.picture(faces)))
    return torch.cat(found).clone(), torch.cat(logits).clone()
