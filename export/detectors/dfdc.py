"""The winner of the DFDC challenge: how its checkpoint is read, served and compared."""

from __future__ import annotations

from export.parity import Golden
from export.published import Published, under
from networks.published.dfdc import Network
from networks.published.images import Mapped, Pixels

DFDC = Published(
    model="visual_effnet_b7",
    source="github.com/selimsef/dfdc_deepfake_challenge @89c6290, release 0.0.1",
    trained_on=("DFDC",),
    network=Network,
    serve=Mapped,
    unpack=under("state_dict", prefix="module."),
    gain=1.0,  # at the golden case's 1.2 a black face is chaos: any two ways to add it up differ wholly
)
DETECTORS = {DFDC.model: DFDC}
CASES = {"dfdc_efficientnet_b7": Golden(DFDC, given=("faces",), wanted=("logit",), wrap=Pixels)}
