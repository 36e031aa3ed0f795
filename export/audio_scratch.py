"""Voice networks from scratch, out of a checkpoint of `python -m training audio`: int16 samples in, log odds out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from export import inputs
from export.graph import OPSET, TOOLS, Array, largest_error, to_onnx
from export.precision import convert
from networks import checkpoints
from networks.errors import CheckpointError
from networks.name_seeded_weights import fill
from networks.published.sound import Samples
from networks.registry import AUDIO_NETS, OLD_AUDIO_NETS, parameters
from veracity.catalog import MODELS, provenance
from veracity.catalog.layers import SAMPLE_RATE, WINDOW_SAMPLES
from veracity.install.files import sha256
from veracity.install.graphs.publish import ExportError, publish, refuse_over_trained
from veracity.settings import Settings

NETS = {"audio_melspec": ("melspec",)}  # which networks a model's name promises, where it does


def export(args: argparse.Namespace, model: str) -> None:
    """Writes ``model`` into args.repository, from args.checkpoint or args.untrained; raises ExportError."""
    folder = args.repository / model
    net, origin = _untrained(model, folder) if getattr(args, "untrained", False) else _trained(model, args.checkpoint)
    served = Samples(net).eval()
    cases = [{"WAVEFORM": case} for case in _cases()]
    graph = to_onnx(served, cases[0], ["FAKE_LOGIT"])
    error = largest_error(graph, served, cases)
    facts = {"parameters": parameters(served), "opset": OPSET, "largest_relative_error": error}
    graph, smaller = _converted(graph, model, args)
    publish(graph, folder, {**origin, **facts, **smaller}, TOOLS)


def _converted(graph: bytes, model: str, args: argparse.Namespace) -> tuple[bytes, dict[str, Any]]:
    """The graph in args.precision, measured on real windows; fp32 needs none."""
    if (asked := getattr(args, "precision", "fp32")) == "fp32":
        return graph, {"precision": "fp32"}
    settings = Settings.from_env().replace(weights=args.weights)
    return convert(graph, asked, MODELS[model], inputs.cases(MODELS[model], settings, args.clip))


def _trained(model: str, path: Path | None) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a checkpoint, and its provenance."""
    if path is None:
        raise ExportError(f"{model} is trained in this repository: give its weights with --checkpoint (see training/)")
    content = read(path)
    if content["net"] not in NETS.get(model, (content["net"],)):
        raise ExportError(f"{model} is the network {', '.join(NETS[model])}; {path.name} holds {content['net']}")
    origin = {
        "source": f"networks/, network {content['net']}",
        "trained_on": content["trained_on"],
        "checkpoint_sha256": sha256(path),
    }
    return network(content), origin


def _untrained(model: str, folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network filled by the names of its weights; raises ExportError where a graph is installed that is not so."""
    refuse_over_trained(folder)
    name = NETS.get(model, ("spectrum",))[0]
    net = AUDIO_NETS[name]()
    fill(net)
    return net, {"source": f"networks/, network {name}", "trained_on": [provenance.NOTHING], "untrained": True}


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint: `net`, `state` and `trained_on`; raises ExportError."""
    try:
        content = checkpoints.read(path)
    except CheckpointError as error:
        raise ExportError(f"{path} is no checkpoint of ours: {error}") from error
    if not isinstance(content, dict) or not {"net", "state", "trained_on"} <= set(content):
        raise ExportError(f"{path} is no checkpoint of `python -m training audio`")
    return content


def network(content: dict[str, Any]) -> nn.Module:
    """The network with every weight of the checkpoint in place, none missing and none left over."""
    known = {**AUDIO_NETS, **OLD_AUDIO_NETS}
    if content["net"] not in known:
        raise ExportError(f"no network {content['net']!r}; there are {', '.join(known)}")
    net = known[content["net"]]()
    try:
        net.load_state_dict(content["state"], strict=True)
    except RuntimeError as error:
        raise ExportError(str(error)) from error
    return net


def _cases() -> list[Array]:
    """Noise at every level, silence, full scale, and voice-like pulses, in batches of one to three."""
    rng = np.random.default_rng(0)
    time = np.arange(WINDOW_SAMPLES) / SAMPLE_RATE
    noise = rng.standard_normal((3, WINDOW_SAMPLES)) * np.array([[30.0], [1_000.0], [8_000.0]])
    pitch = 120 + 20 * np.sin(2 * np.pi * 3 * time)
    pulses = np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE) ** 15 * 9_000 * (np.sin(2 * np.pi * 2 * time) > 0)
    voice = np.stack([pulses + noise[0], np.round(pulses / 500) * 500])
    extremes = np.stack([np.zeros(WINDOW_SAMPLES), np.where(rng.random(WINDOW_SAMPLES) < 0.5, -32_768, 32_767)])
    return [case.clip(-32_768, 32_767).astype(np.int16) for case in (noise, voice, extremes, noise[1:2])]
