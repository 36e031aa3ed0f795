"""wav2vec2-base with a head for two classes, by transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from patches import torchvision


class Network(nn.Module):
    """Sound within ±1, float32 [batch, n] → scores of real and fake [batch, 2].

    The sound is brought to mean 0 and variance 1 first, over the whole window, as transformers' feature extractor
    does. There is no attention mask: this architecture's group norm was trained without, so windows are not padded.
    """

    def __init__(self, shape: Mapping[str, Any]) -> None:
        super().__init__()
        torchvision.ensure()  # transformers imports it with its models
        from transformers import Wav2Vec2Config, Wav2Vec2ForSequenceClassification

        config = Wav2Vec2Config(**shape, num_labels=2, mask_time_prob=0.0, attn_implementation="eager")
        net = Wav2Vec2ForSequenceClassification(config)
        nn.utils.parametrize.remove_parametrizations(net.wav2vec2.encoder.pos_conv_embed.conv, "weight")
        self.wav2vec2, self.projector, self.classifier = net.wav2vec2, net.projector, net.classifier

    def forward(self, sound: Tensor) -> Tensor:  # noqa: D102  # the class says it
        centred = sound - sound.mean(1, keepdim=True)
        centred = centred - centred.mean(
            1, keepdim=True
        )  # again: the rounding error of a large mean would be amplified
        level = (centred.square().mean(1, keepdim=True) + 1e-7).sqrt()
        features = self.wav2vec2(centred / level).last_hidden_state
        scores: Tensor = self.classifier(self.projector(features).mean(1))
        return scores
