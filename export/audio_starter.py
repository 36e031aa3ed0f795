"""Voice networks of our own, out of a checkpoint of `python -m training audio`: int16 samples in, log odds out.

The starter is a head on Whisper's frozen encoder, which :mod:`veracity.install.graphs.audio_starter` joins.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from onnx import ModelProto

from veracity.install.files import sha256
from veracity.install.graphs import audio_starter, whisper
from veracity.install.graphs.encoder_with_head import Head
from veracity.install.graphs.publish import ExportError

NAME = audio_starter.NAME


def export(args: argparse.Namespace, model: str = NAME) -> None:
    """Write ``model`` into args.repository; raises ExportError, and WeightsError for a missing or wrong encoder.

    ``audio_starter`` is made of the committed head, or of that in args.checkpoint. A checkpoint of a network from
    scratch, and args.untrained, give a graph of that network instead, which needs torch.
    """
    if model != NAME or getattr(args, "untrained", False) or not _is_head(args.checkpoint):
        from export import audio_scratch

        audio_scratch.export(args, model)
        return
    if getattr(args, "precision", "fp32") != "fp32":
        raise ExportError(f"{NAME} is joined in fp32 only, got {args.precision}")
    head = None if args.checkpoint is None else head_of(args.checkpoint)
    audio_starter.install(args.weights, args.repository, head)


def _is_head(checkpoint: Path | None) -> bool:
    """Whether the checkpoint is of a head on Whisper; none at all stands for the committed one, which is."""
    if checkpoint is None:
        return True
    from export.audio_scratch import read

    return bool(read(checkpoint)["net"] == "whisper")


def head_of(checkpoint: Path) -> Head:
    """The head in a checkpoint; raises ExportError. Needs torch."""
    from export.audio_scratch import network, read
    from export.graph import to_onnx
    from networks.registry import parameters

    content = read(checkpoint)
    net = network(content)
    example = {"statistics": np.zeros((2, whisper.STATISTICS), np.float32)}
    provenance = {
        "source": "networks/whisper.py",
        "trained_on": content["trained_on"],
        "checkpoint_sha256": sha256(checkpoint),
        "parameters": parameters(net),
    }
    return Head(ModelProto.FromString(to_onnx(net, example, ["FAKE_LOGIT"])), provenance, new=True)
