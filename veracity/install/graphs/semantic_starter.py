"""The semantic starter: a published frozen encoder between our first step and our small head; joined without torch.

    FRAME       uint8   [batch, 224, 224, 3]  RGB, as `veracity.evidence.crops.whole_picture` brings it
    FAKE_LOGIT  float32 [batch, 1]            natural-log odds of fake

The head, `model_repository/semantic_starter/head.onnx`, goes from the encoder's class token behind its tenth block to
the log odds (`veracity.install.graphs.encoder_with_head`). What stands behind that block is left out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, TensorProto, compose, helper, parser

from veracity.catalog import MODELS
from veracity.catalog.detectors.semantic_starter import CLIP
from veracity.install.graphs.encoder_with_head import Case, Head, encoder_provenance, named, read_head, write
from veracity.install.graphs.publish import ExportError, session
from veracity.install.graphs.weight_only_quantisation import dequantised
from veracity.install.store import require

NAME = "semantic_starter"
OPSET, IR_VERSION = 14, 7  # the encoder's own
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


def install(weights: Path, repository: Path, head: Head | None = None) -> None:
    """Write ``semantic_starter`` into ``repository``, with ``head`` or else the committed one.

    ``weights`` is the folder of fetched files. Raises :class:`WeightsError` for a missing or wrong encoder and
    :class:`ExportError`.
    """
    encoder, folder = features(onnx.load(require(CLIP.name, weights))), repository / NAME
    head = head or read_head(folder)
    graph = join(encoder, head.graph)
    write(graph, head, folder, encoder_provenance(CLIP.name, OPSET), cases(encoder, head.graph))


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
    return named(compose.add_prefix(whole, "", rename_outputs=False), NAME)


def _versioned(model: ModelProto) -> ModelProto:
    model.ir_version = IR_VERSION
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", OPSET))
    return model


def cases(encoder: ModelProto, head: ModelProto) -> list[Case]:
    """What the parts answer to pictures, behind NumPy's own first step."""
    first, last = session(encoder), session(head)
    (wanted,), (given,) = head.graph.input, first.get_inputs()
    answers = []
    for pictures in _pictures():
        planes = ((pictures / np.float32(255) - MEAN) / DEVIATION).transpose(0, 3, 1, 2).astype(np.float32)
        seen = first.run([wanted.name], {given.name: np.ascontiguousarray(planes)})[0]
        answers.append(Case({"FRAME": pictures}, last.run(None, {wanted.name: seen})[0]))
    return answers


def _pictures() -> list[npt.NDArray[np.uint8]]:
    """Noise, then a soft picture with its negative: batches of one and two."""
    noise = np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3))
    y, x = np.mgrid[:SIZE, :SIZE]
    soft = 127 + 100 * np.sin(x / 17)[..., None] * np.cos(y[..., None] / [13, 19, 29])
    return [case.astype(np.uint8) for case in (noise, np.stack([soft, 255 - soft]))]
