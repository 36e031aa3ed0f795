"""The lip starter, out of a checkpoint of `python -m training lipsync`: lips and sound in, log odds of fake out."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from export.graph import OPSET, TOOLS, Array, largest_error, to_onnx
from networks.checkpoints import training_sources
from networks.errors import CheckpointError
from networks.lips import LipNet, LipStarter
from networks.loading import load_lipsync
from networks.name_seeded_weights import fill
from networks.registry import parameters
from veracity.catalog import MODELS, provenance
from veracity.catalog.layers import SAMPLE_RATE
from veracity.install.files import sha256
from veracity.install.graphs.publish import ExportError, publish, refuse_over_trained

MODEL = "lipsync_starter"


def export(args: argparse.Namespace) -> None:
    """Writes ``lipsync_starter`` into args.repository, from args.checkpoint or args.untrained; raises ExportError."""
    folder = args.repository / MODEL
    net, origin = _untrained(folder) if getattr(args, "untrained", False) else _trained(args.checkpoint)
    served = LipStarter(net).eval()
    cases = list(_cases())
    graph = to_onnx(served, cases[0], ["FAKE_LOGIT"])
    error = largest_error(graph, served, cases)
    facts = {"parameters": parameters(served), "opset": OPSET, "largest_relative_error": error, "precision": "fp32"}
    publish(graph, folder, {**origin, **facts}, TOOLS)


def _trained(path: Path | None) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a checkpoint, and its provenance."""
    if path is None:
        raise ExportError(f"{MODEL} is trained in this repository: give its weights with --checkpoint (see training/)")
    try:
        net, sources = load_lipsync(path), training_sources(path)
    except CheckpointError as error:
        raise ExportError(str(error)) from error
    source = {"source": "networks/lips.py", "trained_on": sources}
    return net, {**source, "checkpoint_sha256": sha256(path)}


def _untrained(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network filled by the names of its weights; raises ExportError where a graph is installed that is not so."""
    refuse_over_trained(folder)
    net = LipNet()
    fill(net)
    return net, {"source": "networks/lips.py", "trained_on": [provenance.NOTHING], "untrained": True}


def _cases() -> Iterator[dict[str, Array]]:
    """Noise, a moving pattern, still black and white; interrupted tones, hiss, silence."""
    lips, sound = (tensor.shape for tensor in MODELS[MODEL].inputs)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (3, *lips))
    t, y, x = np.mgrid[: lips[0], : lips[1], : lips[2]]
    soft = 127 + (30 + 30 * np.sin(t / 2)) * np.sin((x + 2 * t) / 13) + 40 * np.cos(y / 9 + t / 3)
    extremes = np.stack([np.zeros(soft.shape), np.full(soft.shape, 255)])
    time = np.arange(sound[0]) / SAMPLE_RATE
    voice = 9_000 * np.sin(2 * np.pi * 500 * time) * (np.sin(2 * np.pi * 3 * time) > 0) + rng.normal(0, 20, sound)
    hiss = rng.normal(0, 3_000, (3, *sound))
    pairs = (
        (noise, hiss),
        (np.stack([soft, 255 - soft]), np.stack([voice, -voice])),
        (extremes, np.zeros((2, *sound))),
    )
    for pictures, heard in pairs:
        samples = heard.clip(-32_768, 32_767).astype(np.int16)
        yield {"LIPS": pictures.clip(0, 255).astype(np.uint8), "SOUND": samples}
