"""The joint network of layer 5: 16 frames of a face and a window of speech, either of which may be missing, in; log
odds of fake out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from export.graph import OPSET, TOOLS, Array, largest_error, to_onnx
from export.publish import ExportError, publish, sha256
from training.data import ManifestError
from training.joint.lesson import TRAINED_ON
from training.nets import parameters
from training.nets.joint import JointNet, load_for_inference
from veracity.layers import MODELS, WINDOW_SAMPLES

NAME = "fusion_starter"
FRAMES = 16
SIDE = 224  # pixels


class Served(nn.Module):
    """FACES uint8 [batch, 16, 224, 224, 3], WAVEFORM int16 [batch, 64600], PRESENT uint8 [batch, 2] → [batch, 1].

    Which of the two streams are there is said in PRESENT, faces first; what the other holds is not looked at.
    """

    def __init__(self, net: JointNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, faces: Tensor, sound: Tensor, present: Tensor) -> Tensor:  # noqa: D102  # the class says it
        logit: Tensor = self.net(faces, sound, present)
        return logit


def export(args: argparse.Namespace) -> None:
    """Writes `fusion_starter` into args.repository from args.checkpoint; raises ExportError."""
    if args.checkpoint is None:
        raise ExportError(f"{NAME} is trained here: give its weights with --checkpoint (see training/)")
    if NAME not in MODELS:
        raise ExportError(f"{NAME} is not among the models that are served (veracity/layers.py)")
    graph, provenance = proven(args.checkpoint)
    publish(graph, args.repository / NAME, provenance, TOOLS)


def proven(checkpoint: Path) -> tuple[bytes, dict[str, Any]]:
    """The graph of a checkpoint's network, held against it, and its papers; raises ExportError."""
    try:
        net = load_for_inference(checkpoint)
    except ManifestError as error:
        raise ExportError(str(error)) from error
    if net.plan.flow:
        raise ExportError("a network that wants optical flow is not served: train one with net.flow false")
    if net.plan.sound == "wav2vec2":
        nn.utils.parametrize.remove_parametrizations(net.hear.net.encoder.pos_conv_embed.conv, "weight")
    served, cases = Served(net).eval(), _cases()
    graph = to_onnx(served, cases[0], ["FAKE_LOGIT"])
    sources = checkpoint.with_name(TRAINED_ON)
    return graph, {
        "source": "training/nets/joint.py",
        "trained_on": json.loads(sources.read_text(encoding="utf-8")) if sources.is_file() else ["not said"],
        "checkpoint_sha256": sha256(checkpoint.read_bytes()),
        "parameters": parameters(net),
        "opset": OPSET,
        "largest_relative_error": largest_error(graph, served, cases),
    }


def _cases() -> list[dict[str, Array]]:
    """Noise with each stream there and not, a soft picture with a quiet voice, black and silence; one to three."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (3, FRAMES, SIDE, SIDE, 3)).astype(np.uint8)
    loud = (rng.standard_normal((3, WINDOW_SAMPLES)) * np.array([[30.0], [1_000.0], [8_000.0]])).clip(-32_768, 32_767)
    y, x = np.mgrid[:SIDE, :SIDE]
    soft = 127 + 100 * np.sin(x / 17)[..., None] * np.cos(y[..., None] / [13, 19, 29])
    still = np.broadcast_to(soft.astype(np.uint8), (1, FRAMES, SIDE, SIDE, 3)).copy()
    there = np.array([[1, 1], [1, 0], [0, 1]], np.uint8)
    quiet = np.zeros((1, WINDOW_SAMPLES), np.int16)
    return [
        {"FACES": noise, "WAVEFORM": loud.astype(np.int16), "PRESENT": there},
        {"FACES": still, "WAVEFORM": loud[1:2].astype(np.int16), "PRESENT": there[:1]},
        {"FACES": np.zeros_like(still), "WAVEFORM": quiet, "PRESENT": np.zeros((1, 2), np.uint8)},
    ]
