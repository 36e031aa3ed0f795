"""The semantic starter: a published frozen encoder between our first step and our small head; joined without torch.

    FRAME       uint8   [batch, 224, 224, 3]  RGB, as `veracity.crops.whole_picture` brings it
    FAKE_LOGIT  float32 [batch, 1]            natural-log odds of fake

The head is what was learned, and is committed: `model_repository/semantic_starter/head.onnx`, from the encoder's class
token behind its tenth block to the log odds. The encoder is fetched, and what stands behind that block is left out.
Before a file is written, its parts, asked one after the other behind NumPy's own first step, must agree with it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto, TensorProto, compose, helper, numpy_helper, parser

from export.dequantised import dequantised
from export.publish import ExportError, publish, sha256
from veracity import weights
from veracity.assets import CLIP_FILE
from veracity.layers import MODELS
from veracity.weights import write

NAME = "semantic_starter"
HEAD, HEAD_PAPERS = "head.onnx", "head.json"  # beside config.pbtxt
TOOLS = ("onnx", "onnxruntime", "numpy")
OPSET, IR_VERSION = 14, 7  # the encoder's own
TOLERANCE = 1e-4  # of the log odds, relative to the larger of 1 and what NumPy says
SIZE = MODELS[NAME].size
# of the pictures that CLIP was trained on, red first: Radford et al. 2021
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)

TAP = "/vision_model/encoder/layers.9/Add_1_output_0"  # [batch, 197, 768]: the class token, then 14 x 14 patches
FEATURE = "class_token"

# (pixel / 255 - mean) / deviation, as planes
_PREPARE = f"""<ir_version: {IR_VERSION}, opset_import: ["" : {OPSET}]>
prepare (uint8[batch, {SIZE}, {SIZE}, 3] FRAME) => (float[batch, 3, {SIZE}, {SIZE}] pixels)
<float[3] level = {{{", ".join(repr(float(x)) for x in 255 * MEAN)}}},
 float[3] width = {{{", ".join(repr(float(x)) for x in 255 * DEVIATION)}}}> {{
   numbers = Cast<to = 1>(FRAME)
   above = Sub(numbers, level)
   scaled = Div(above, width)
   pixels = Transpose<perm = [0, 3, 1, 2]>(scaled)
}}"""

_HEAD = f"""<ir_version: {IR_VERSION}, opset_import: ["" : {OPSET}]>
head (float[batch, {{width}}] {FEATURE}) => (float[batch, 1] FAKE_LOGIT) {{{{
   apart = Sub({FEATURE}, middle)
   way = LpNormalization<axis = -1, p = 2>(apart)
   product = MatMul(way, weight)
   FAKE_LOGIT = Add(product, bias)
}}}}"""

Array = npt.NDArray[Any]


def export(args: argparse.Namespace) -> None:
    """Write ``semantic_starter`` into ``args.repository``: the committed head, or that of args.checkpoint.

    Needs ``args.weights`` (folder of fetched files); torch only for a checkpoint. Raises :class:`WeightsError` for a
    missing or wrong encoder and :class:`ExportError`.
    """
    encoder = features(onnx.load(weights.require(CLIP_FILE, args.weights)))
    if getattr(args, "checkpoint", None) is not None:
        write_head(args.checkpoint, args.repository / NAME)
    head, papers = read_head(args.repository / NAME)
    graph = join(encoder, head).SerializeToString()
    error = largest_error(graph, encoder, head)
    publish(graph, args.repository / NAME, {**papers, **_encoder(), "largest_relative_error": error}, TOOLS)


def features(published: ModelProto, tap: str = TAP) -> ModelProto:
    """The encoder in float up to ``tap``, whose first row is its one output: class_token [batch, 768]."""
    model = ModelProto()
    model.CopyFrom(published)
    graph = model.graph
    if tap not in {output for node in graph.node for output in node.output}:
        raise ExportError(f"the encoder has no {tap}, which the head is made for")
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(FEATURE, TensorProto.FLOAT, ["batch", None]))
    graph.initializer.append(helper.make_tensor(f"{FEATURE}/row", TensorProto.INT64, [], [0]))
    graph.node.append(helper.make_node("Gather", [tap, f"{FEATURE}/row"], [FEATURE], axis=1))
    return dequantised(model)


def write_head(checkpoint: Path, folder: Path) -> None:
    """Write head.onnx and its papers out of a checkpoint of `python -m training semantic`. Needs torch."""
    from export.graph import largest_error as error
    from training.nets import parameters
    from training.semantic.lesson import load, papers_of

    net = load(checkpoint)
    weight = net.plane.weight.detach().numpy().T * np.float32(net.width**0.5)
    model = head(net.middle.numpy(), weight, net.plane.bias.detach().numpy())
    noise = np.random.default_rng(0).standard_normal((3, net.width)).astype(np.float32)
    error(model.SerializeToString(), net, [{FEATURE: noise}, {FEATURE: noise[:1] * 100}])
    origin = {"source": "training/nets/semantic.py", "parameters": parameters(net)}
    papers = {**origin, **papers_of(checkpoint), "checkpoint_sha256": sha256(checkpoint.read_bytes())}
    page = json.dumps(papers, indent=2, ensure_ascii=False) + "\n"
    write({folder / HEAD: model.SerializeToString(), folder / HEAD_PAPERS: page.encode()})


def head(middle: Array, weight: Array, bias: Array) -> ModelProto:
    """The graph of a plane [width, 1] in directions from ``middle`` [width]."""
    model = parser.parse_model(_HEAD.format(width=len(middle)))
    tensors = {"middle": middle, "weight": weight, "bias": bias}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in tensors.items())
    onnx.checker.check_model(model, full_check=True)
    return model


def read_head(folder: Path) -> tuple[ModelProto, dict[str, Any]]:
    """The head of a model's folder with its papers; raises :class:`ExportError` where it is not there or not whole."""
    try:
        model, papers = onnx.load(folder / HEAD), json.loads((folder / HEAD_PAPERS).read_text(encoding="utf-8"))
        onnx.checker.check_model(model)
    except FileNotFoundError as error:
        raise ExportError(
            f"{folder.name}/{Path(error.filename).name} is gone: it comes with this version, bring it back; or teach "
            f"another and give it with --checkpoint (see training/)"
        ) from error
    except (OSError, ValueError, DecodeError, onnx.checker.ValidationError) as error:
        raise ExportError(f"{folder.name}: {HEAD} or {HEAD_PAPERS} is damaged: {error}") from error
    return model, papers


def join(encoder: ModelProto, head: ModelProto) -> ModelProto:
    """First step, encoder and head as one checked graph of any batch; what the head does not ask for is left out."""
    prepare = parser.parse_model(_PREPARE)
    (wanted,) = (value.name for value in head.graph.input)
    if wanted not in (value.name for value in encoder.graph.output):
        raise ExportError(f"the encoder has no output {wanted}, which the head is made for")
    middle, end = (_versioned(compose.add_prefix(part, name)) for part, name in ((encoder, "net/"), (head, "head/")))
    whole = compose.merge_models(
        compose.add_prefix(prepare, "prepare/", rename_inputs=False),
        middle,
        io_map=[("prepare/pixels", middle.graph.input[0].name)],
        outputs=[f"net/{wanted}"],
    )
    whole = compose.merge_models(whole, end, io_map=[(f"net/{wanted}", f"head/{wanted}")])
    model: ModelProto = compose.add_prefix(whole, "", rename_outputs=False)
    _rename_output(model, "FAKE_LOGIT")
    model.graph.name = NAME
    onnx.checker.check_model(model, full_check=True)
    return model


def _versioned(model: ModelProto) -> ModelProto:
    model.ir_version = IR_VERSION
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", OPSET))
    return model


def _rename_output(model: ModelProto, name: str) -> None:
    old = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = [name if output == old else output for output in node.output]
    model.graph.output[0].name = name


def largest_error(graph: bytes, encoder: ModelProto, head: ModelProto) -> float:
    """How far the joined graph is from its parts, asked one after the other behind NumPy's own first step.

    Relative to the larger of 1 and what the parts say; raises :class:`ExportError` where too large.
    """
    (joined, first, last), worst = (_session(part) for part in (graph, encoder, head)), 0.0
    (wanted,) = (value.name for value in head.graph.input)
    for case in _cases():
        planes = ((case / np.float32(255) - MEAN) / DEVIATION).transpose(0, 3, 1, 2).astype(np.float32)
        features = first.run([wanted], {first.get_inputs()[0].name: np.ascontiguousarray(planes)})[0]
        expected, found = last.run(None, {wanted: features})[0], joined.run(None, {"FRAME": case})[0]
        if found.shape != (len(case), 1):
            raise ExportError(f"{NAME} answers the shape {found.shape}, and should answer {(len(case), 1)}")
        worst = float(np.max([worst, np.max(np.abs(found - expected)) / max(1.0, float(np.max(np.abs(expected))))]))
    if not worst <= TOLERANCE:
        raise ExportError(f"{NAME}: graph and parts differ by {worst:.2g}, allowed is {TOLERANCE:g}")
    return worst


def _session(graph: bytes | ModelProto) -> onnxruntime.InferenceSession:
    content = graph if isinstance(graph, bytes) else graph.SerializeToString()
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def _cases() -> list[npt.NDArray[np.uint8]]:
    """Noise, then a soft picture with its negative: batches of one and two."""
    noise = np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3))
    y, x = np.mgrid[:SIZE, :SIZE]
    soft = 127 + 100 * np.sin(x / 17)[..., None] * np.cos(y[..., None] / [13, 19, 29])
    return [case.astype(np.uint8) for case in (noise, np.stack([soft, 255 - soft]))]


def _encoder() -> dict[str, Any]:
    (source,) = weights.find([CLIP_FILE])
    return {
        "encoder": {"url": source.url, "sha256": source.sha256, "licence": source.licence, "homepage": source.homepage},
        "opset": OPSET,
    }
