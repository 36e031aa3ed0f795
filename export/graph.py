"""From a torch network to a graph that is worth publishing: export, check, compare."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import nn

from veracity.install.graphs.publish import ExportError, session

OPSET = 18  # read by ONNX Runtime from 1.15 on
MAX_RELATIVE_ERROR = 1e-4
TOOLS = ("torch", "onnx", "onnxscript", "onnxruntime")

Array = npt.NDArray[Any]
Inputs = Mapping[str, Array]  # by name, each [batch, …]


def to_onnx(net: nn.Module, example: Inputs, outputs: Sequence[str]) -> bytes:
    """The checked graph of ``net`` for a batch of any size.

    ``example`` holds the inputs by the names that they get, in the order of the network's arguments, with a batch of
    two or more. Raises ExportError.
    """
    given = tuple(torch.from_numpy(array) for array in example.values())
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            net.eval(),
            given,
            input_names=list(example),
            output_names=list(outputs),
            dynamic_shapes=tuple({0: batch} for _ in given),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ExportError("torch exported nothing")
    model = program.model_proto
    named = [value.name for value in model.graph.output]
    if named != list(outputs):
        raise ExportError(f"the network returns {named}, expected {list(outputs)}")
    del program
    forget(model.graph)
    graph = serialized(model)
    del model  # it may be a gigabyte, of which the checker makes two more
    onnx.checker.check_model(graph, full_check=True)
    return graph


def forget(graph: onnx.GraphProto) -> None:
    """Drop the exporter's notes on nodes and values: source lines with local paths."""
    del graph.metadata_props[:]
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]


def serialized(model: onnx.ModelProto) -> bytes:
    """The bytes of ``model``, which loses its weights on the way: they are written one after the other.

    Written at once they would take four times their size for as long. To protobuf, messages in a row are one message.
    """
    weights = list(model.graph.initializer)
    del model.graph.initializer[:]
    alone = (onnx.ModelProto(graph=onnx.GraphProto(initializer=[weight])) for weight in weights)
    return b"".join([model.SerializeToString(), *(one.SerializeToString() for one in alone)])


def torch_answer(net: nn.Module, case: Inputs) -> list[Array]:
    """The network's outputs, one array each."""
    with torch.inference_mode():
        answer = net(*(torch.from_numpy(array) for array in case.values()))
    return [one.numpy() for one in (answer if isinstance(answer, tuple) else (answer,))]


def error(found: Array, expected: Array) -> float:
    """The largest difference, relative to the larger of 1 and the largest expected value. NaN stays NaN."""
    if found.shape != expected.shape:
        raise ExportError(f"the shape is {found.shape}, and should be {expected.shape}")
    return float(np.max(np.abs(found - expected)) / max(1.0, float(np.max(np.abs(expected)))))


def largest_error(graph: bytes, net: nn.Module, cases: Sequence[Inputs]) -> float:
    """The largest relative error of ONNX Runtime against torch over the cases; raises ExportError where too large.

    Relative to the larger of 1 and what torch answers: a logit near 0 has no relative error worth the name.
    """
    loaded = session(graph)
    worst = 0.0
    for case in cases:
        pairs = zip(loaded.run(None, dict(case)), torch_answer(net, case))
        worst = float(np.max([worst, *(error(found, expected) for found, expected in pairs)]))  # NaN stays NaN
    if not worst <= MAX_RELATIVE_ERROR:
        raise ExportError(f"the graph differs from the network by {worst:.2e}; {MAX_RELATIVE_ERROR:.0e} is allowed")
    return worst
