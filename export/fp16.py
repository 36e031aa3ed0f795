"""Conversion to fp16: which nodes are converted, which stay fp32, and the effect on the outputs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from veracity.install.graphs.publish import session

Array = NDArray[Any]
FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
LARGEST = 65_504 / 2  # fp16's largest number, and room for a clip that is louder than those measured
SMALLEST = 2.0**-14  # fp16's smallest normal number: an epsilon of 1e-7 keeps one bit of ten

# Sums of exponentials or squares, and what leaves the range of fp16 within one step.
DELICATE = {
    "Softmax", "LogSoftmax", "LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization",
    "LpNormalization", "BatchNormalization", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp", "Pow", "Sqrt",
    "Reciprocal", "Exp", "Log", "CumSum", "Range", "Resize",
}  # fmt: skip
# A norm as the exporter decomposes it, around its Pow and Sqrt: x − mean(x), mean of squares, + epsilon, ÷.
AROUND = {"Sub", "Add", "Div", "Mul", "Clip", "Max", "Min", "ReduceMean", "ReduceSum"}
WEIGHED = {"Conv", "MatMul", "Gemm"}


def kept(model: ModelProto, cases: Sequence[Mapping[str, Array]]) -> set[str]:
    """Return the names of the nodes that stay fp32, from their kind and from the numbers that pass in ``cases``."""
    nodes = list(model.graph.node)
    delicate = {node.name for node in nodes if node.op_type in DELICATE}
    around = _beside(nodes, delicate)
    return delicate | around | _scales(model) | _front(model) | _out_of_range(model, cases)


def to_fp16(model: ModelProto, keep: set[str]) -> ModelProto:
    """Return the graph in fp16 but for the nodes of ``keep``; inputs and outputs have the types that they had."""
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    blocked = sorted({*DEFAULT_OP_BLOCK_LIST, *DELICATE})
    made: ModelProto = convert_float_to_float16(
        _copy(model), keep_io_types=True, op_block_list=blocked, node_block_list=sorted(keep)
    )
    _straighten(made)
    OnnxModel(made).topological_sort()  # the casts were put at the end
    del made.graph.value_info[:]  # the types that the tensors had
    onnx.checker.check_model(made, full_check=True)
    return made


def _straighten(made: ModelProto) -> None:
    """Remove the casts between consecutive fp32 nodes, which the converter inserts."""
    nodes, outputs = made.graph.node, {value.name for value in made.graph.output}
    source = {node.output[0]: node.input[0] for node in nodes if _casts(node, HALF)}
    whole = {node.output[0]: source[node.input[0]] for node in nodes if _casts(node, FLOAT) and node.input[0] in source}
    for node in nodes:
        if node.output[0] in whole.keys() & outputs:
            node.CopyFrom(helper.make_node("Identity", [whole[node.output[0]]], [node.output[0]], node.name))
        else:
            node.input[:] = [whole.get(name, name) for name in node.input]
    left = [node for node in nodes if node.output[0] not in whole or node.output[0] in outputs]
    read = {name for node in left for name in node.input} | outputs
    left = [node for node in left if node.output[0] in read or not _casts(node, HALF)]
    del nodes[:]
    nodes.extend(left)


def _casts(node: NodeProto, to: int) -> bool:
    return node.op_type == "Cast" and any(a.name == "to" and a.i == to for a in node.attribute)


def rounded(model: ModelProto, keep: set[str]) -> ModelProto:
    """Return the fp32 graph with every number rounded to fp16 that :func:`to_fp16` would hold so.

    ONNX Runtime has few fp16 kernels on the CPU: it computes in fp32 there, and drops the roundings between them.
    """
    made = _copy(model)
    types = tensor_types(made)
    converted = {n.name for n in made.graph.node} - keep
    weights = {name for node in made.graph.node if node.name in converted for name in node.input}
    for tensor in made.graph.initializer:
        if tensor.data_type == FLOAT and tensor.name in weights:
            with np.errstate(over="ignore"):
                values = numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    nodes = [made for node in made.graph.node for made in _rounding(node, node.name in converted, types)]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def named(graph: bytes) -> ModelProto:
    """Return the graph as a model whose nodes all have names of their own."""
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(graph))
    for number, node in enumerate(model.graph.node):
        node.name = f"{number}/{node.op_type}"
    return model


def tensor_types(model: ModelProto) -> dict[str, int]:
    """Return the element type of every tensor whose type is known."""
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    return {value.name: value.type.tensor_type.elem_type for value in values}


def _rounding(node: NodeProto, convert: bool, types: Mapping[str, int]) -> Iterator[NodeProto]:
    yield node
    for place, name in enumerate(node.output):
        if convert and types.get(name) == FLOAT:
            node.output[place] = f"{name}/exact"
            yield helper.make_node("Cast", [f"{name}/exact"], [f"{name}/half"], f"{name}/to_half", to=HALF)
            yield helper.make_node("Cast", [f"{name}/half"], [name], f"{name}/to_float", to=FLOAT)


def _beside(nodes: Sequence[NodeProto], delicate: set[str]) -> set[str]:
    """The arithmetic within two steps of a Pow or Sqrt: the parts of a norm."""
    readers, writer = _links(nodes)
    reached = {node.name for node in nodes if node.name in delicate and node.op_type in {"Pow", "Sqrt", "Reciprocal"}}
    found: set[str] = set()
    for _ in range(2):
        near = [node for node in nodes if node.name in reached]
        beside = [n for node in near for n in (*_after(node, readers), *_before(node, writer))]
        reached |= {node.name for node in beside if node.op_type in AROUND}
        found |= reached
    return found


def _scales(model: ModelProto) -> set[str]:
    """What is multiplied by a constant on its way into a matrix product: the scale of attention, before its softmax.

    Halved, several of them crash ONNX Runtime 1.23 while it fuses them (a ViT of two layers is enough).
    """
    nodes = list(model.graph.node)
    readers, _ = _links(nodes)
    held = {tensor.name for tensor in model.graph.initializer}
    scaled = [node for node in nodes if node.op_type == "Mul" and held & set(node.input)]
    return {node.name for node in scaled if any(after.op_type == "MatMul" for after in _after(node, readers))}


def _front(model: ModelProto) -> set[str]:
    """What lies between int16 samples and the features: the first weighed node, and all that ends in a logarithm."""
    nodes = list(model.graph.node)
    sounds = {v.name for v in model.graph.input if v.type.tensor_type.elem_type == TensorProto.INT16}
    _, writer = _links(nodes)
    front: set[str] = set()
    raw = set(sounds)  # tensors that only light arithmetic separates from the samples
    for node in nodes:  # in order of computation
        if raw & set(node.input):
            front.add(node.name)
            raw |= set() if node.op_type in WEIGHED else set(node.output)
    to_visit = [node for node in nodes if sounds and node.op_type == "Log"]
    while to_visit:
        node = to_visit.pop()
        to_visit += [before for before in _before(node, writer) if before.name not in front]
        front.add(node.name)
    return front


def _out_of_range(model: ModelProto, cases: Sequence[Mapping[str, Array]]) -> set[str]:
    """Nodes that read or write what fp16 cannot hold: too large in one of the cases, or a constant too small."""
    peaks = _peaks(model, cases)
    small = {
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == FLOAT and 0 < np.max(np.abs(numpy_helper.to_array(tensor)), initial=0.0) < SMALLEST
    }
    wide = {name for name, peak in peaks.items() if not peak < LARGEST} | small
    return {node.name for node in model.graph.node if wide & {*node.input, *node.output}}


def _peaks(model: ModelProto, cases: Sequence[Mapping[str, Array]]) -> dict[str, float]:
    """Return the largest magnitude of every float tensor over the cases, measured item by item."""
    measured = _copy(model)
    types = tensor_types(model)
    names = [name for node in model.graph.node for name in node.output if types.get(name) == FLOAT]
    for name in names:
        measured.graph.node.append(helper.make_node("Abs", [name], [f"{name}/abs"]))
        measured.graph.node.append(helper.make_node("ReduceMax", [f"{name}/abs"], [f"{name}/peak"], keepdims=0))
        measured.graph.output.append(helper.make_tensor_value_info(f"{name}/peak", FLOAT, []))
    loaded = session(measured)
    wanted = [f"{name}/peak" for name in names]
    runs = [loaded.run(wanted, one) for case in cases for one in items(case)]
    return {name: float(np.max(values)) for name, values in zip(names, zip(*runs))}


def items(case: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    """Yield the items of a batch, each as a batch of one."""
    for k in range(len(next(iter(case.values())))):
        yield {name: array[k : k + 1] for name, array in case.items()}


def _links(nodes: Iterable[NodeProto]) -> tuple[dict[str, list[NodeProto]], dict[str, NodeProto]]:
    readers: dict[str, list[NodeProto]] = defaultdict(list)
    writer: dict[str, NodeProto] = {}
    for node in nodes:
        for name in node.input:
            readers[name].append(node)
        for name in node.output:
            writer[name] = node
    return readers, writer


def _after(node: NodeProto, readers: Mapping[str, list[NodeProto]]) -> list[NodeProto]:
    return [reader for name in node.output for reader in readers.get(name, [])]


def _before(node: NodeProto, writer: Mapping[str, NodeProto]) -> list[NodeProto]:
    return [writer[name] for name in node.input if name in writer]


def _copy(model: ModelProto) -> ModelProto:
    made = ModelProto()
    made.CopyFrom(model)
    return made
