"""AASIST and AASIST-L: how their checkpoints are read, served and compared."""

from __future__ import annotations

from functools import partial

from export.parity import Golden
from export.published import Published, state_dict
from networks.published.aasist import Network
from networks.published.sound import FakeLogit, Samples

_SPOOF = 0  # index of the class; 1 is bona fide


def _published(model: str, width: int, shares: tuple[float, float, float]) -> Published:
    return Published(
        model=model,
        source="github.com/clovaai/aasist @a04c986",
        trained_on=("ASVspoof 2019 LA, training part",),
        network=partial(Network, width, shares),
        serve=lambda net: FakeLogit(Samples(net), fake=_SPOOF),
        unpack=state_dict,
    )


AASIST = _published("audio_aasist", 64, (0.5, 0.7, 0.5))
AASIST_L = _published("audio_aasist_l", 24, (0.4, 0.5, 0.7))
DETECTORS = {one.model: one for one in (AASIST, AASIST_L)}
CASES = {
    "aasist": Golden(AASIST, given=("waveform",), wanted=("logits",)),
    "aasist_l": Golden(AASIST_L, given=("waveform",), wanted=("logits",)),
}
