"""SelfBlendedImages: EfficientNet-B4 on a stretched face, colours 0 to 1, not standardised.

The weights are for research alone and may not be passed on; this module is written from the network's published
interface and holds none of its authors' code.
"""

from __future__ import annotations

from torch import Tensor, nn

from networks.published.images import Odds

REAL, FAKE = 0, 1  # the order of the scores


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

    def features(self, faces: Tensor) -> Tensor:
        """The last feature map [batch, 1792, 12, 12]."""
        found: Tensor = self.net.extract_features(faces)
        return found

    def odds(self) -> Odds:
        """Of two classes the log odds are the difference of their scores."""
        last = self.net._fc
        return last.weight[FAKE] - last.weight[REAL], last.bias[FAKE] - last.bias[REAL]
