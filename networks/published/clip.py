"""UniversalFakeDetect: one linear layer on the features of CLIP's image tower."""

from __future__ import annotations

from torch import Tensor, nn

from networks.published.images import Pixels, Standard
from patches import torchvision

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
FEATURES = 768


class Network(nn.Module):
    """Colours within 0 to 1, float32 [batch, 3, 224, 224] → features [batch, 768] and log odds of fake [batch, 1].

    The features are not brought to length 1: so was the head trained.
    """

    def __init__(self) -> None:
        super().__init__()
        torchvision.ensure()
        from open_clip.transformer import QuickGELU, VisionTransformer

        self.visual = VisionTransformer(
            image_size=224,
            patch_size=14,
            width=1_024,
            layers=24,
            heads=16,
            mlp_ratio=4.0,
            output_dim=FEATURES,
            act_layer=QuickGELU,  # OpenAI's own; later towers of this shape have another
        )
        self.fc = nn.Linear(FEATURES, 1)
        self.standard = Standard(CLIP_MEAN, CLIP_DEVIATION)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102  # the class says it
        features: Tensor = self.visual(self.standard(pictures))
        return features, self.fc(features)


class Served(Pixels):
    """Uint8 RGB [batch, 224, 224, 3] → log odds of fake [batch, 1]."""

    def forward(self, pictures: Tensor) -> Tensor:  # noqa: D102  # the class says it
        return super().forward(pictures)[1]
