"""Real graphs of one arithmetic step with the layers' final tensors, so that layers without weights can be served.

A picture's or sound's brightness (mean of the input) decides: every output is gain × (mean − middle).
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from veracity.catalog import MODELS, Model

TYPES = {"UINT8": TensorProto.UINT8, "INT16": TensorProto.INT16, "FP32": TensorProto.FLOAT}


def install(repository: Path, name: str, gain: float = 0.05, middle: float = 100.0) -> None:
    """Write ``repository/name/1/model.onnx`` with the tensors of the layer table, in place of what it had."""
    model = MODELS[name]
    folder = repository / name / "1"
    folder.mkdir(parents=True, exist_ok=True)
    (repository / name / "provenance.json").unlink(missing_ok=True)
    onnx.save(_graph(model, gain, middle), folder / "model.onnx")


def _graph(model: Model, gain: float, middle: float) -> onnx.ModelProto:
    axes = list(range(1, len(model.input.shape) + 1))
    nodes = [
        helper.make_node("Cast", [model.input.name], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "middle"], ["centred"]),
        helper.make_node("Mul", ["centred", "gain"], ["flat"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(axes, np.int64), "axes"),
        numpy_helper.from_array(np.array(middle, np.float32), "middle"),
        numpy_helper.from_array(np.array(gain, np.float32), "gain"),
    ]
    for tensor in model.outputs:  # a CAM, and what says something of each frame: the logit everywhere
        cell, tiles, column = (f"{what} of {tensor.name}" for what in ("cell", "tiles", "column"))
        constants += [
            numpy_helper.from_array(np.array([1, *tensor.shape], np.int64), tiles),
            numpy_helper.from_array(np.array([-1, *[1] * len(tensor.shape)], np.int64), column),
        ]
        nodes += [
            helper.make_node("Reshape", ["flat", column], [cell]),
            helper.make_node("Tile", [cell, tiles], [tensor.name]),
        ]
    value = helper.make_tensor_value_info
    inputs = [value(t.name, TYPES[t.dtype], ["batch", *t.shape]) for t in model.inputs]  # more than one: not looked at
    outputs = [value(t.name, TYPES[t.dtype], ["batch", *t.shape]) for t in model.outputs]
    graph = helper.make_graph(nodes, model.name, inputs, outputs, constants)
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(built)
    return built
