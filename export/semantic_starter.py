"""The semantic starter's head, out of a checkpoint of `python -m training semantic`.

:mod:`veracity.install.graphs.semantic_starter` joins it to the frozen encoder.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, numpy_helper, parser

from veracity.install.files import sha256
from veracity.install.graphs import semantic_starter
from veracity.install.graphs.encoder_with_head import Head
from veracity.install.graphs.publish import ExportError
from veracity.install.graphs.semantic_starter import FEATURE, IR_VERSION, OPSET

_HEAD = f"""<ir_version: {IR_VERSION}, opset_import: ["" : {OPSET}]>
head (float[batch, {{width}}] {FEATURE}) => (float[batch, 1] FAKE_LOGIT) {{{{
   apart = Sub({FEATURE}, middle)
   way = LpNormalization<axis = -1, p = 2>(apart)
   product = MatMul(way, weight)
   FAKE_LOGIT = Add(product, bias)
}}}}"""

Array = npt.NDArray[Any]


def export(args: argparse.Namespace) -> None:
    """Write ``semantic_starter`` into args.repository: with the committed head, or that of args.checkpoint.

    Raises :class:`WeightsError` for a missing or wrong encoder and :class:`ExportError`.
    """
    head = None if args.checkpoint is None else head_of(args.checkpoint)
    semantic_starter.install(args.weights, args.repository, head)


def head_of(checkpoint: Path) -> Head:
    """The head in a checkpoint of `python -m training semantic`; raises ExportError. Needs torch."""
    from export.graph import largest_error
    from networks.checkpoints import training_sources
    from networks.errors import CheckpointError
    from networks.loading import load_semantic
    from networks.registry import parameters

    try:
        net, sources = load_semantic(checkpoint), training_sources(checkpoint)
    except CheckpointError as error:
        raise ExportError(str(error)) from error
    weight = net.plane.weight.detach().numpy().T * np.float32(net.width**0.5)
    model = plane(net.middle.numpy(), weight, net.plane.bias.detach().numpy())
    noise = np.random.default_rng(0).standard_normal((3, net.width)).astype(np.float32)
    largest_error(model.SerializeToString(), net, [{FEATURE: noise}, {FEATURE: noise[:1] * 100}])
    origin = {"source": "networks/semantic.py", "parameters": parameters(net), "trained_on": sources}
    return Head(model, {**origin, "checkpoint_sha256": sha256(checkpoint)}, new=True)


def plane(middle: Array, weight: Array, bias: Array) -> ModelProto:
    """The graph of a plane [width, 1] in directions from ``middle`` [width]."""
    model = parser.parse_model(_HEAD.format(width=len(middle)))
    tensors = {"middle": middle, "weight": weight, "bias": bias}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in tensors.items())
    onnx.checker.check_model(model, full_check=True)
    return model
