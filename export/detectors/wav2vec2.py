"""wav2vec2-base with a head for two classes, as transformers keeps it: a ``.safetensors`` file and its ``config.json``.

Which of the two classes is the fake one is read in ``id2label`` alone: checkpoints of one architecture have it either
way. Inside our network it is always the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor

from export.published import Published
from networks import checkpoints
from networks.published.sound import FakeLogit, Samples
from networks.published.wav2vec2 import Network
from veracity.install.graphs.publish import ExportError

NAME = "the wav2vec2 checkpoint"
FAKE = {"fake", "spoof", "spoofed", "deepfake", "synthetic", "generated", "ai", "aigenerated", "aivoice", "cloned"}
REAL = {"real", "bonafide", "human", "humanvoice", "genuine", "authentic", "original", "natural"}

# what of a config.json makes the network; the rest is of training, or of other heads
SHAPE = (
    *("model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"),
    *("feat_extract_norm", "feat_extract_activation", "conv_dim", "conv_stride", "conv_kernel", "conv_bias"),
    *("num_conv_pos_embeddings", "num_conv_pos_embedding_groups", "do_stable_layer_norm", "layer_norm_eps"),
    *("classifier_proj_size", "use_weighted_layer_sum", "add_adapter", "adapter_attn_dim"),
)
POSITIONS = "wav2vec2.encoder.pos_conv_embed.conv."
# a weight under a norm is kept as its length and its direction; torch has had two names for them
NORMED = (
    ("weight_g", "weight_v"),
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),
)
FOR_TRAINING = {"wav2vec2.masked_spec_embed"}  # replaces masked frames in training


def unpack(content: Any, config: Any, shape: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the state dict of :class:`Network`, the class of reals first; raises ExportError."""
    _check(config, shape)
    fake = fake_index(config)
    state = {k: v for k, v in checkpoints.tensors(content, NAME).items() if k not in FOR_TRAINING}
    for length, direction in NORMED:
        if (POSITIONS + length) in state and (POSITIONS + direction) in state:
            state[POSITIONS + "weight"] = _weight(state.pop(POSITIONS + length), state.pop(POSITIONS + direction))
            break
    for name in ("classifier.weight", "classifier.bias"):
        if name in state and len(state[name]) == 2:  # anything else is refused when it is loaded
            state[name] = state[name][[1 - fake, fake]]
    return state


def describe(_: Any, config: Any) -> dict[str, Any]:
    """Return the polarity for the provenance."""
    return {"id2label": dict(sorted(config["id2label"].items())), "fake_index": fake_index(config)}


def fake_index(config: Mapping[str, Any]) -> int:
    """Return which class of a config.json is the fake one; raises ExportError where that is ambiguous."""
    labels = config.get("id2label")
    if not isinstance(labels, Mapping):
        raise ExportError(f"{NAME} does not say which class is the fake one: its config.json has no id2label")
    words = {index: "".join(c for c in str(label).lower() if c.isalpha()) for index, label in labels.items()}
    fakes = [index for index, word in words.items() if word in FAKE]
    reals = [index for index, word in words.items() if word in REAL]
    if len(fakes) != 1 or len(reals) != 1 or set(words) != {"0", "1"}:
        raise ExportError(
            f"{NAME} does not say which class is the fake one: its id2label is {dict(labels)}, "
            f"and wanted is one of {', '.join(sorted(FAKE))} and one of {', '.join(sorted(REAL))}"
        )
    back = config.get("label2id") or {}
    if any(str(back.get(label, index)) != index for index, label in labels.items()):
        raise ExportError(f"{NAME} contradicts itself: id2label is {dict(labels)} and label2id {dict(back)}")
    return int(fakes[0])


def _check(config: Any, shape: Mapping[str, Any]) -> None:
    from transformers import Wav2Vec2Config

    if not isinstance(config, Mapping):
        raise ExportError(f"{NAME}: its config.json holds no object")
    usual, wanted = Wav2Vec2Config().to_dict(), Wav2Vec2Config(**shape).to_dict()
    said = {name: config.get(name, usual[name] if name != "model_type" else None) for name in SHAPE}
    wrong = [f"{name} {said[name]!r}, not {wanted[name]!r}" for name in SHAPE if said[name] != wanted[name]]
    if wrong:
        raise ExportError(f"{NAME} is of another architecture: {'; '.join(wrong)}")


def _weight(length: Tensor, direction: Tensor) -> Tensor:
    """The weight of a convolution normed along its last dimension: [1, 1, taps] times [out, in, taps]."""
    return length * direction / direction.norm(dim=(0, 1), keepdim=True)


def published(shape: Mapping[str, Any]) -> Published:
    """Return the detector for networks of one shape: what differs from wav2vec2-base, in the words of config.json."""
    return Published(
        model="audio_wav2vec2",
        source="huggingface.co/MelodyMachine/Deepfake-audio-detection-V2",
        trained_on=("not said by its authors",),
        network=partial(Network, shape),
        serve=lambda net: FakeLogit(Samples(net), fake=1),
        unpack=partial(unpack, shape=shape),
        describe=describe,
    )


WAV2VEC2 = published({})
DETECTORS = {WAV2VEC2.model: WAV2VEC2}
