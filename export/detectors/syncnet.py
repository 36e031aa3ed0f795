"""SyncNet: how its checkpoint is read, served and compared. Distances are :mod:`veracity.evidence.syncnet`'s."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from export.graph import error
from export.parity import Arrays, Golden
from export.published import Published, state_dict
from networks.published.syncnet import Network, Served
from veracity.evidence import syncnet


def unpack(content: Any) -> Mapping[str, Tensor]:
    """Return the state dict; some copies were saved out of the object that their author kept it in."""
    return {name.removeprefix("__S__."): value for name, value in state_dict(content).items()}


def compare(facts: dict[str, Any], arrays: Arrays) -> float:
    """Distances, confidence and offset of a sequence against the authors'; an offset that differs is no number."""
    mean = syncnet.distances(arrays["seq_lip"], arrays["seq_audio"], facts["vshift"], beyond=0.0).mean(0)
    fit = syncnet.fit(mean)
    if fit.offset != facts["offset"]:
        return float("nan")
    wanted = np.array(facts["confidence"])
    return float(np.max([error(mean, arrays["mean_distance"]), error(np.array(fit.confidence), wanted)]))


SYNCNET = Published(
    model="lipsync_syncnet",
    source="github.com/joonson/syncnet_python @6efbb1c",
    trained_on=("talking faces of BBC television, in sync and shifted",),
    network=Network,
    serve=Served,
    unpack=unpack,
)
DETECTORS = {SYNCNET.model: SYNCNET}
CASES = {"syncnet": Golden(SYNCNET, given=("lips", "mfcc"), wanted=("lip_embedding", "audio_embedding"), numpy=compare)}
