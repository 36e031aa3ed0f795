"""Ensembles: the weighted mean of several networks, and their agreement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from networks.loading import Opened, open_checkpoint
from veracity.calibrate.errors import ManifestError


class EnsembleOutput(NamedTuple):
    """``logit`` [batch, 1]: the weighted mean of the members' log odds of fake; ``members`` [batch, members].

    ``agreement`` [batch, 1] is 1 less the distance of the members' lowest and highest P(fake), as in a verdict.
    """

    logit: Tensor
    agreement: Tensor
    members: Tensor


class Ensemble(nn.Module):
    """Networks of one kind, with the same inputs."""

    weights: Tensor

    def __init__(self, members: Sequence[nn.Module], weights: Sequence[float] | None = None) -> None:
        """``weights`` count normalised_weights to their sum; without them all weigh the same. Raises ManifestError."""
        super().__init__()
        if not members:
            raise ManifestError("an ensemble needs members")
        self.members = nn.ModuleList(members)
        self.register_buffer("weights", normalised_weights(len(members), weights))

    def forward(self, *inputs: Tensor) -> EnsembleOutput:  # noqa: D102  # the class says it
        answers = (member(*inputs) for member in self.members)
        logits = torch.cat([answer[0] if isinstance(answer, tuple) else answer for answer in answers], dim=1).float()
        return combine(logits, self.weights)


def normalised_weights(members: int, weights: Sequence[float] | None = None) -> Tensor:
    """Weights [members] that sum to 1, equal by default; raises ManifestError."""
    given = torch.tensor(weights if weights is not None else [1.0] * members, dtype=torch.float32)
    if len(given) != members or not bool((given >= 0).all()) or not 0 < given.sum() < math.inf:
        raise ManifestError(f"{members} members need as many weights, finite, none negative, not all 0: {weights}")
    return given / given.sum()


def combine(logits: Tensor, weights: Tensor) -> EnsembleOutput:
    """Combines the members' log odds of fake [batch, members]."""
    chances = logits.sigmoid()
    agreement = 1 - (chances.amax(1, keepdim=True) - chances.amin(1, keepdim=True))
    return EnsembleOutput((logits * weights).sum(1, keepdim=True), agreement, logits)


def open_ensemble(checkpoints: Sequence[Path], weights: Sequence[float] | None = None) -> Ensemble:
    """The networks of checkpoints of one kind, in eval mode; raises ManifestError."""
    ensemble = Ensemble([one.net for one in open_all(checkpoints)], weights)
    ensemble.eval()
    return ensemble


def open_all(checkpoints: Sequence[Path]) -> list[Opened]:
    """The networks of checkpoints of one kind; raises ManifestError."""
    opened = [open_checkpoint(path) for path in checkpoints]
    kinds = sorted({one.kind for one in opened})
    if len(kinds) > 1:
        raise ManifestError(f"members must be of one kind; these are {', '.join(kinds)}")
    return opened
