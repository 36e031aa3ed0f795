"""The face detector's graph: a published network between our own first and last steps, one contract for any of them.

    IMAGE      uint8   [batch, height, width, 3]  RGB, both sides multiples of 32
    BOXES      float32 [batch, 16, 4]             x0, y0, x1, y1 in input pixels; may reach over the edge
    SCORES     float32 [batch, 16]                descending; 0 where there is no face, and then the rest is 0 too
    LANDMARKS  float32 [batch, 16, 5, 2]          x, y of right eye, left eye, nose, right and left mouth corner;
                                                  the person's right: in an upright face the one at smaller x

Decoding, non-maximum suppression and the choice of the best 16 are part of the graph; no image sees its batch mates.
Before a file is written, a NumPy decoder that shares nothing with the graph must agree with it on a photograph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, compose, helper, inliner, version_converter

from veracity.catalog.assets import PORTRAIT_FILE
from veracity.catalog.detectors.face_detector import CENTERFACE, YUNET
from veracity.evidence.faces import letterbox
from veracity.install.graphs import face_graph, face_numpy
from veracity.install.graphs.publish import ExportError, publish, session
from veracity.install.graphs.recipe import recipe
from veracity.install.names import find
from veracity.install.store import require

TOOLS = ("onnx", "onnxscript", "onnxruntime", "numpy")
OPSET, IR_VERSION = 17, 8  # what ONNX Runtime reads since 1.13
TOLERANCE = 1e-3  # of a pixel and of the score: how far the graph may be from the NumPy decoder
OUTPUTS = ["BOXES", "SCORES", "LANDMARKS"]
SIDES = (320, 512, 640)  # pixels, longer side: the photograph is shown at each


@dataclass(frozen=True)
class Network:
    """A published detector: its file, its outputs by the names of our last steps' inputs, its steps, its NumPy twin."""

    file: str
    outputs: Mapping[str, str]
    prepare: Any  # ONNX Script functions
    finish: Any
    threshold: float
    decode: face_numpy.Decoder
    order: tuple[int, int, int] = (0, 1, 2)  # of the colours


NETWORKS = {
    "yunet": Network(
        YUNET.name,
        {f"{head}_{stride}": f"{head}_{stride}" for head in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32)},
        face_graph.prepare_bgr,
        face_graph.yunet,
        face_graph.YUNET_THRESHOLD,
        face_numpy.yunet,
        (2, 1, 0),
    ),
    "centerface": Network(
        CENTERFACE.name,
        {"537": "heat", "538": "size", "539": "offset", "540": "mark"},
        face_graph.prepare_rgb,
        face_graph.centerface,
        face_graph.CENTERFACE_THRESHOLD,
        face_numpy.centerface,
    ),
}


def install(weights: Path, repository: Path, detector: str = "centerface") -> None:
    """Write ``face_detector/1/model.onnx`` and ``face_detector/provenance.json`` into ``repository``.

    ``weights`` is the folder of fetched files, ``detector`` one of :data:`NETWORKS`. Raises :class:`WeightsError` for a
    missing or wrong file and :class:`ExportError` when graph and NumPy decoder differ.
    """
    network = NETWORKS[detector]
    published = onnx.load(require(network.file, weights))
    photograph = read_photograph(require(PORTRAIT_FILE, weights))
    model = build(network, published)
    error = largest_error(network, published, model, photograph)
    if not error <= TOLERANCE:
        raise ExportError(f"face_detector: graph and NumPy decoder differ by {error:.2g}, allowed is {TOLERANCE:g}")
    provenance = _provenance(network, error)
    publish(model.SerializeToString(), repository / "face_detector", provenance, TOOLS)


def build(network: Network, published: ModelProto) -> ModelProto:
    """Join first step, network and last steps into one checked graph of any batch, height and width."""
    prepare, finish = _model(network.prepare), _model(network.finish)
    middle = compose.add_prefix(_versioned(version_converter.convert_version(_free(published), OPSET)), "net/")
    whole = compose.merge_models(
        compose.add_prefix(prepare, "prepare/", rename_inputs=False),
        middle,
        io_map=[("prepare/pixels", middle.graph.input[0].name)],
        outputs=["prepare/pixels", *(f"net/{name}" for name in network.outputs)],
    )
    wanted = {value.name for value in finish.graph.input}
    given = {"prepare/pixels": "pixels", **{f"net/{theirs}": ours for theirs, ours in network.outputs.items()}}
    whole = compose.merge_models(
        whole,
        compose.add_prefix(finish, "finish/", rename_outputs=False),
        io_map=[(theirs, f"finish/{ours}") for theirs, ours in given.items() if ours in wanted],
        outputs=OUTPUTS,
    )
    del whole.graph.value_info[:]  # the published shapes are those of one size
    whole.graph.name = "face_detector"
    onnx.checker.check_model(_versioned(whole), full_check=True)
    return whole


def _model(function: Any) -> ModelProto:
    model: ModelProto = inliner.inline_local_functions(function.to_model_proto())
    return _versioned(model)


def _versioned(model: ModelProto) -> ModelProto:
    model.ir_version = IR_VERSION
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", OPSET))
    return model


def _free(published: ModelProto) -> ModelProto:
    """Return the network for any batch, height and width; its weights are no inputs, unread ones are gone."""
    model = ModelProto()
    model.CopyFrom(published)
    graph = model.graph
    read = {name for node in graph.node for name in node.input}
    held = {tensor.name: tensor for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in held]
    del graph.input[:], graph.value_info[:], graph.initializer[:]
    graph.input.extend(inputs)
    graph.initializer.extend(tensor for name, tensor in held.items() if name in read)
    for value in (*graph.input, *graph.output):
        for k, dim in enumerate(value.type.tensor_type.shape.dim):
            if k != 1 or len(value.type.tensor_type.shape.dim) != 4:
                dim.dim_param = f"{value.name}_{k}"
    return model


def read_photograph(path: Path) -> NDArray[np.uint8]:
    """Read a picture as uint8 [H, W, 3] RGB."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ExportError(f"{path.name} is no picture")
    return np.asarray(bgr[..., ::-1])


def largest_error(network: Network, published: ModelProto, model: ModelProto, photograph: NDArray[np.uint8]) -> float:
    """Return the largest difference of graph and NumPy decoder, on the photograph and its mirror image in one batch.

    Raises :class:`ExportError` where the photograph's face is not found: agreement on nothing proves nothing.
    """
    ours, theirs = session(model), session(_free(published))
    worst = 0.0
    for side in SIDES:
        batch, _ = letterbox([photograph, np.ascontiguousarray(photograph[:, ::-1])], side)
        found = ours.run(OUTPUTS, {"IMAGE": batch})
        if not (found[1][:, 0] > 0).all():
            raise ExportError(f"face_detector: no face in the photograph at {side} pixels")
        raw = _published_outputs(network, theirs, batch)
        sides = (batch.shape[1], batch.shape[2])
        wanted = face_numpy.detect(network.decode, raw, sides, network.threshold, face_graph.OVERLAP, face_graph.FACES)
        pairs = zip(found, wanted, strict=True)
        worst = float(np.max([worst, *(np.abs(a - b).max() for a, b in pairs)]))  # NaN stays NaN
    return worst


def _published_outputs(
    network: Network, net: onnxruntime.InferenceSession, batch: NDArray[np.uint8]
) -> dict[str, NDArray[np.float32]]:
    planes = batch.astype(np.float32).transpose(0, 3, 1, 2)[:, list(network.order)]
    answers = net.run(list(network.outputs), {net.get_inputs()[0].name: planes})
    return dict(zip(network.outputs.values(), answers))


def _provenance(network: Network, error: float) -> dict[str, Any]:
    (source,) = find([network.file])
    return {
        "source": {"url": source.url, "sha256": source.sha256, "licence": source.licence, "homepage": source.homepage},
        "threshold": network.threshold,
        "largest_error": error,
        "recipe_sha256": recipe(),
    }
