"""The audio starter: int16 samples in, log odds of fake out."""

from __future__ import annotations

import argparse
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from export.graph import OPSET, TOOLS, Array, largest_error, to_onnx
from export.publish import ExportError, publish, sha256
from training.nets import AUDIO_NETS, parameters
from veracity.speech import SAMPLE_RATE, WINDOW_SAMPLES


class Served(nn.Module):
    """WAVEFORM int16 [batch, WINDOW_SAMPLES] → FAKE_LOGIT float32 [batch, 1]."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, waveform: Tensor) -> Tensor:  # noqa: D102  # the class says it
        logit: Tensor = self.net(waveform.to(torch.float32) / 32_768)
        return logit


def export(args: argparse.Namespace) -> None:
    """Writes `audio_starter` into args.repository from args.checkpoint; raises ExportError."""
    if args.checkpoint is None:
        raise ExportError("audio_starter is trained here: give its weights with --checkpoint (see training/)")
    data = args.checkpoint.read_bytes()
    checkpoint = _read(data, args.checkpoint)
    served = Served(_network(checkpoint)).eval()
    cases = [{"WAVEFORM": case} for case in _cases()]
    graph = to_onnx(served, cases[0], ["FAKE_LOGIT"])
    error = largest_error(graph, served, cases)
    provenance = {
        "source": f"training/nets, network {checkpoint['net']}",
        "trained_on": checkpoint["trained_on"],
        "checkpoint_sha256": sha256(data),
        "parameters": parameters(served),
        "opset": OPSET,
        "largest_relative_error": error,
    }
    publish(graph, args.repository / "audio_starter", provenance, TOOLS)


def _read(data: bytes, path: Path) -> dict[str, Any]:
    try:
        checkpoint = torch.load(io.BytesIO(data), weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        raise ExportError(f"{path} is no checkpoint of ours: {error}") from error
    if not isinstance(checkpoint, dict) or not {"net", "state", "trained_on"} <= set(checkpoint):
        raise ExportError(f"{path} is no checkpoint of `python -m training audio`")
    return checkpoint


def _network(checkpoint: dict[str, Any]) -> nn.Module:
    """The network with every weight of the checkpoint in place, none missing and none left over."""
    if checkpoint["net"] not in AUDIO_NETS:
        raise ExportError(f"no network {checkpoint['net']!r}; there are {', '.join(AUDIO_NETS)}")
    net = AUDIO_NETS[checkpoint["net"]]()
    try:
        net.load_state_dict(checkpoint["state"], strict=True)
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
