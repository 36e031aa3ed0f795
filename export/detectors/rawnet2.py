"""RawNet2 of the ASVspoof 2021 challenge: how its checkpoint is read, served and compared."""

from __future__ import annotations

from export.parity import Golden
from export.published import Published, state_dict
from networks.published.rawnet2 import Network
from networks.published.sound import FakeLogit, Samples

_SPOOF = 0  # index of the class; 1 is bona fide

RAWNET2 = Published(
    model="audio_rawnet2",
    source="github.com/asvspoof-challenge/2021 @9b33f5e, DF/Baseline-RawNet2",
    trained_on=("ASVspoof 2019 LA, training part",),
    network=Network,
    serve=lambda net: FakeLogit(Samples(net), fake=_SPOOF),
    unpack=state_dict,
)
DETECTORS = {RAWNET2.model: RAWNET2}
CASES = {"rawnet2_asvspoof": Golden(RAWNET2, given=("waveform",), wanted=("logits",))}
