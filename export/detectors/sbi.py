"""SelfBlendedImages: EfficientNet-B4 on a stretched face, colours 0 to 1 and nothing else done to them.

The weights are for research alone and may not be passed on; this module is written from the network's published
interface and holds none of its authors' code.
"""

from __future__ import annotations

from torch import Tensor, nn

from export.parity import Golden
from export.published import FakeLogit, Published, planes, under


class Network(nn.Module):
    """Colours within 0 to 1, float32 [batch, 3, 380, 380] → scores of real and fake [batch, 2]."""

    def __init__(self) -> None:
        super().__init__()
        from efficientnet_pytorch import EfficientNet

        self.net = EfficientNet.from_name("efficientnet-b4", num_classes=2)
        self.net.set_swish(memory_efficient=False)  # the other is a custom function that cannot be exported

    def forward(self, faces: Tensor) -> Tensor:  # noqa: D102  # the class says it
        scores: Tensor = self.net(faces)
        return scores


class Pixels(nn.Module):
    """Uint8 RGB [batch, 380, 380, 3] in front of the network."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, faces: Tensor) -> Tensor:  # noqa: D102  # the class says it
        scores: Tensor = self.net(planes(faces))
        return scores


SBI = Published(
    model="visual_sbi_b4",
    source="github.com/mapooon/SelfBlendedImages @9fe4efe",
    trained_on=("FaceForensics++ real videos, self-blended",),
    network=Network,
    serve=lambda net: FakeLogit(Pixels(net), fake=1),
    unpack=under("model"),
    gain=1.35,
)
DETECTORS = {SBI.model: SBI}
CASES = {"sbi_efficientnet_b4": Golden(SBI, given=("faces",), wanted=("logits",), wrap=Pixels)}
