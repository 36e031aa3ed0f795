"""From a torch network to a graph that is worth publishing: export, check, compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import nn

from export.publish import ExportError

OPSET = 18  # read by ONNX Runtime from 1.15 on
MAX_RELATIVE_ERROR = 1e-4
TOOLS = ("torch", "onnx", "onnxscript", "onnxruntime")

Array = npt.NDArray[Any]


def to_onnx(net: nn.Module, example: torch.Tensor, input_name: str, output_name: str) -> bytes:
    """The checked graph of `net` for one input whose first axis is a batch of any size."""
    program = torch.onnx.export(
        net.eval(),
        (example,),
        input_names=[input_name],
        output_names=[output_name],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise ExportError("torch exported nothing")
    model = program.model_proto
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def largest_error(graph: bytes, net: nn.Module, cases: Sequence[Array]) -> float:
    """Largest relative error of ONNX Runtime against torch over the cases, each [batch, …].

    Relative to the larger of 1 and what torch answers: a logit near 0 has no relative error worth the name.
    Raises ExportError above MAX_RELATIVE_ERROR.
    """
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    worst = 0.0
    for case in cases:
        with torch.inference_mode():
            expected = net(torch.from_numpy(case)).numpy()
        answer = session.run(None, {name: case})[0]
        if answer.shape != expected.shape:
            raise ExportError(f"the graph answers {answer.shape}, the network {expected.shape}")
        error = np.max(np.abs(answer - expected) / np.maximum(np.abs(expected), 1.0))
        worst = float(np.maximum(worst, error))  # unlike max(), NaN stays NaN
    if not worst <= MAX_RELATIVE_ERROR:
        raise ExportError(f"the graph differs from the network by {worst:.2e}; {MAX_RELATIVE_ERROR:.0e} is allowed")
    return worst
