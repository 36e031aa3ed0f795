"""Light-ASD: how its checkpoint is read and served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from export.published import Published, state_dict
from networks.published.light_asd import Network, Served

TRAINING_ONLY = "lossV."  # a head over the face alone, which only the training reads


def unpack(content: Any) -> Mapping[str, Tensor]:
    """Return the state dict without what the network is trained with; the head lies in its authors' loss."""
    found = {name: value for name, value in state_dict(content).items() if not name.startswith(TRAINING_ONLY)}
    return {name.removeprefix("model.").removeprefix("lossAV."): value for name, value in found.items()}


LIGHT_ASD = Published(
    model="speaker_light_asd",
    source="github.com/Junhua-Liao/Light-ASD @283f9a5",
    trained_on=("AVA-ActiveSpeaker", "TalkSet"),
    network=Network,
    serve=Served,
    unpack=unpack,
)
DETECTORS = {LIGHT_ASD.model: LIGHT_ASD}
