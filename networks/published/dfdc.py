"""The winner of the DFDC challenge: EfficientNet-B7 on a face kept in shape, ImageNet's mean and deviation."""

from __future__ import annotations

from torch import Tensor, nn

from networks.published.images import Odds, Standard
from patches import torchvision

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
CHANNELS = 2_560  # of the last feature map


class Network(nn.Module):
    """Colours within 0 to 1, float32 [batch, 3, 380, 380] → log odds of fake [batch, 1].

    ``encoder`` keeps ImageNet's classifier, since the checkpoint has it; nothing goes through it.
    """

    def __init__(self) -> None:
        super().__init__()
        torchvision.ensure()
        import timm

        # today's name of what the checkpoint calls tf_efficientnet_b7_ns, which differs in its weights only
        self.encoder = timm.create_model("tf_efficientnet_b7", pretrained=False)
        self.fc = nn.Linear(CHANNELS, 1)
        self.standard = Standard(IMAGENET_MEAN, IMAGENET_DEVIATION)

    def forward(self, faces: Tensor) -> Tensor:  # noqa: D102  # the class says it
        logit: Tensor = self.fc(self.features(faces).mean(dim=(2, 3)))
        return logit

    def features(self, faces: Tensor) -> Tensor:
        """The last feature map [batch, 2560, 12, 12]."""
        found: Tensor = self.encoder.forward_features(self.standard(faces))
        return found

    def odds(self) -> Odds:
        """The one score is the log odds."""
        return self.fc.weight[0], self.fc.bias[0]
