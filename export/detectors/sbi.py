"""SelfBlendedImages: how its checkpoint is read, served and compared."""

from __future__ import annotations

from export.parity import Golden
from export.published import Published, under
from networks.published.images import Mapped, Pixels
from networks.published.sbi import Network

SBI = Published(
    model="visual_sbi_b4",
    source="github.com/mapooon/SelfBlendedImages @9fe4efe",
    trained_on=("FaceForensics++ real videos, self-blended",),
    network=Network,
    serve=Mapped,
    unpack=under("model"),
    gain=1.35,
)
DETECTORS = {SBI.model: SBI}
CASES = {"sbi_efficientnet_b4": Golden(SBI, given=("faces",), wanted=("logits",), wrap=Pixels)}
