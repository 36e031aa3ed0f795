"""`semantic_texture_starter`: the lower blocks of `visual_starter`'s graph and a head of `python -m training texture`.

    FRAME       uint8   [batch, 224, 224, 3]  RGB, a square of a picture pixel by pixel
    FAKE_LOGIT  float32 [batch, 1]            natural-log odds of fake

Both parts are ONNX already, so that this needs no torch.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, compose, numpy_helper, parser
from onnx.utils import Extractor

from veracity.catalog import MODELS, provenance
from veracity.catalog.provenance import GRAPH
from veracity.install.files import sha256
from veracity.install.graphs.publish import ExportError, publish, session

MODEL, BACKBONE = "semantic_texture_starter", "visual_starter"
SIZE = MODELS[MODEL].size
TOLERANCE = 1e-4  # of a logit, against NumPy's head on the same features

Array = npt.NDArray[np.floating[Any]]

# Mean, spread and maximum over the cells of each of the backbone's channels
_POOLED = """<ir_version: 10, opset_import: ["" : 18]>
pooled (float[batch, channels, rows, columns] cells) => (float[batch, statistics] statistics)
<int64[2] sides = {2, 3}> {
   mean = ReduceMean<keepdims = 1>(cells, sides)
   apart = Sub(cells, mean)
   square = Mul(apart, apart)
   variance = ReduceMean<keepdims = 1>(square, sides)
   spread = Sqrt(variance)
   most = ReduceMax<keepdims = 1>(cells, sides)
   all = Concat<axis = 1>(mean, spread, most)
   statistics = Flatten(all)
}"""
# How fine the square is: the logarithm of the mean size of its brightness's Laplacian
_FINENESS = """<ir_version: 10, opset_import: ["" : 18]>
fineness (uint8[batch, rows, columns, 3] SQUARE, float[batch, statistics] given) => (float[batch, features] FEATURES)
<float[3, 1] luma = {0.299, 0.587, 0.114}, float[1, 1, 3, 3] laplacian = {0, 1, 0, 1, -4, 1, 0, 1, 0},
 float[1] least = {0.1}, int64[3] whole = {1, 2, 3}, int64[2] column = {-1, 1}> {
   colours = Cast<to = 1>(SQUARE)
   grey = MatMul(colours, luma)
   plane = Transpose<perm = [0, 3, 1, 2]>(grey)
   edges = Conv(plane, laplacian)
   sizes = Abs(edges)
   size = ReduceMean<keepdims = 0>(sizes, whole)
   held = Add(size, least)
   fine = Log(held)
   last = Reshape(fine, column)
   FEATURES = Concat<axis = 1>(given, last)
}"""
_HEAD = """<ir_version: 10, opset_import: ["" : 18]>
head (float[batch, features] FEATURES) => (float[batch, 1] FAKE_LOGIT) {
   FAKE_LOGIT = Gemm(FEATURES, weight, bias)
}"""


@dataclass(frozen=True, eq=False)
class Head:
    """Weights [features] and bias of the log odds."""

    weight: Array
    bias: float

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What a checkpoint keeps."""
        return {"weight": np.asarray(self.weight, np.float64), "bias": np.array([self.bias], np.float64)}

    def __call__(self, seen: Array) -> Array:
        """Features [..., features] → log odds [..., 1]."""
        return np.asarray(seen @ self.weight[:, None] + self.bias)


def export(args: argparse.Namespace) -> None:
    """Write the model into args.repository, from args.checkpoint; raises ExportError.

    The faces' graph is taken from args.repository.
    """
    if args.checkpoint is None:
        raise ExportError(f"{MODEL} is trained in this repository: give its head with --checkpoint (see training/)")
    head, about = _read(args.checkpoint)
    learned = provenance.checkpoint(args.repository / BACKBONE)
    if about["backbone"] != learned:
        raise ExportError(f"{args.checkpoint.name} was taught on another {BACKBONE} than {args.repository} has")
    backbone = features(args.repository)
    graph = join(backbone, head)
    facts = {
        "source": "training/texture",
        "trained_on": about["trained_on"],
        "checkpoint_sha256": sha256(args.checkpoint),
        "backbone": {BACKBONE: learned},
        "precision": "fp32",
        "largest_error": largest_error(graph, backbone, head),
    }
    publish(graph.SerializeToString(), args.repository / MODEL, facts, ("onnx", "onnxruntime", "numpy"))


def _read(checkpoint: Path) -> tuple[Head, dict[str, Any]]:
    try:
        with np.load(checkpoint, allow_pickle=False) as file:
            head = Head(file["weight"], float(file["bias"][0]))
            return head, json.loads(file["about"].tobytes())
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ExportError(f"{checkpoint} is no checkpoint of python -m training texture: {error}") from error


def features(repository: Path) -> ModelProto:
    """FRAME uint8 [batch, 224, 224, 3] → FEATURES float32 [batch, 3 × channels + 1], of the faces' installed graph.

    The last feature is fineness. Raises ExportError where the graph is not there, or does not look as
    `networks/facecam.py` makes it.
    """
    path = repository / BACKBONE / GRAPH
    if not path.is_file():
        raise ExportError(f"{BACKBONE} is not installed in {repository}")
    whole = onnx.load(path)
    made_by = {output: node for node in whole.graph.node for output in node.output}
    first = next((node for node in whole.graph.node if "head.1.weight" in node.input), None)
    joined = made_by.get(first.input[0]) if first else None
    if joined is None or joined.op_type != "Concat":
        raise ExportError(f"{path} does not hold the faces' network")
    lower = Extractor(whole).extract_model(["FACE"], [joined.input[0]])
    lower = compose.add_prefix(lower, "lower/")
    pooled = parser.parse_model(_POOLED)
    lower.ir_version = pooled.ir_version
    both = compose.merge_models(lower, pooled, io_map=[(f"lower/{joined.input[0]}", "cells")])
    whole = compose.merge_models(both, parser.parse_model(_FINENESS), io_map=[("statistics", "given")])
    return _one_input(whole, "FRAME")


def join(backbone: ModelProto, head: Head) -> ModelProto:
    """The backbone and the head as one checked graph."""
    last = parser.parse_model(_HEAD)
    tensors = {"weight": np.asarray(head.weight, np.float32)[:, None], "bias": np.array([head.bias], np.float32)}
    last.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in tensors.items())
    whole = compose.merge_models(backbone, last, io_map=[("FEATURES", "FEATURES")])
    whole.graph.name = MODEL
    onnx.checker.check_model(whole, full_check=True)
    return whole


def _one_input(model: ModelProto, name: str) -> ModelProto:
    """The model with all its inputs, which are of one shape, as one of this name."""
    old = {given.name for given in model.graph.input}
    for node in model.graph.node:
        node.input[:] = [name if one in old else one for one in node.input]
    del model.graph.input[1:]
    model.graph.input[0].name = name
    return model


def largest_error(graph: ModelProto, backbone: ModelProto, head: Head) -> float:
    """How far the whole is from NumPy's head on the backbone's features; raises ExportError over TOLERANCE."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (3, SIZE, SIZE, 3)).astype(np.uint8)
    y, x = np.mgrid[:SIZE, :SIZE]
    soft = 127 + 100 * np.sin(x / 17)[..., None] * np.cos(y[..., None] / [13, 19, 29])
    cases = (noise, np.stack([soft, 255 - soft]).astype(np.uint8), noise[1:2])
    first, whole = session(backbone), session(graph)
    error = max(
        float(np.abs(whole.run(None, {"FRAME": case})[0] - head(first.run(None, {"FRAME": case})[0])).max())
        for case in cases
    )
    if not error <= TOLERANCE:
        raise ExportError(f"{MODEL}: the graph and NumPy differ by {error:.2g}, allowed is {TOLERANCE:g}")
    return error
