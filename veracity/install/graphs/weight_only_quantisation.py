"""A dynamically quantised graph with its activations in float again; the weights stay the whole numbers that they are.

Such a graph (`onnxruntime.quantization.quantize_dynamic`) rounds the input of every product by the range that a whole
batch takes: a picture's answer hangs on its batch mates, and the last digit of one layer turns the next ones over. In
float none of that is left, a GPU can compute it, and the file is as small as it was: ONNX Runtime turns the weights
into floats once, when it loads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from veracity.install.graphs.publish import ExportError


def dequantised(model: ModelProto) -> ModelProto:
    """A copy without MatMulInteger; raises :class:`ExportError` where one is not as quantize_dynamic writes them."""
    copy = ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    made = {output: node for node in graph.node for output in node.output}
    read: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            read.setdefault(name, []).append(node)
    stored = {tensor.name for tensor in graph.initializer}
    floats = {}  # by the output of the last node that each replaces
    for node in graph.node:
        if node.op_type == "MatMulInteger":
            last = _last(node, read)
            floats[last.output[0]] = list(_product(node, last, made, stored))
    _replace(graph, floats)
    return copy


def _last(product: NodeProto, read: Mapping[str, list[NodeProto]]) -> NodeProto:
    """MatMulInteger → Cast → Mul by both scales: the Mul."""
    cast = read.get(product.output[0], [])
    scaled = read.get(cast[0].output[0], []) if len(cast) == 1 and cast[0].op_type == "Cast" else []
    if len(scaled) != 1 or scaled[0].op_type != "Mul":
        raise ExportError(f"{product.output[0]} is not followed by Cast and Mul: quantize_dynamic wrote another graph")
    return scaled[0]


def _product(
    product: NodeProto, last: NodeProto, made: Mapping[str, NodeProto], stored: set[str]
) -> Iterator[NodeProto]:
    """The nodes that answer the same in float: activation x ((weight - zero) · scale)."""
    activation, weight, _, zero = product.input
    rounding, scales = made.get(activation), next(made[name] for name in last.input if made[name].op_type == "Mul")
    scale = [name for name in scales.input if name in stored]
    if rounding is None or rounding.op_type != "DynamicQuantizeLinear" or len(scale) != 1 or weight not in stored:
        raise ExportError(f"{product.output[0]} is no product of a rounded input and a stored weight")
    name = last.output[0]
    steps = (("number", "Cast", [weight]), ("zero", "Cast", [zero]))
    yield from (helper.make_node(kind, given, [f"{name}/{step}"], to=TensorProto.FLOAT) for step, kind, given in steps)
    yield helper.make_node("Sub", [f"{name}/number", f"{name}/zero"], [f"{name}/above"])
    yield helper.make_node("Mul", [f"{name}/above", scale[0]], [f"{name}/weight"])
    yield helper.make_node("MatMul", [rounding.input[0], f"{name}/weight"], [name])


def _replace(graph: GraphProto, floats: Mapping[str, list[NodeProto]]) -> None:
    """Put the nodes in; leave out what nobody reads any more."""
    nodes = [new for node in graph.node for new in floats.get(node.output[0], [node])]
    wanted, kept = {value.name for value in graph.output}, []
    for node in reversed(nodes):  # nodes stand behind those that they read
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    tensors = [tensor for tensor in graph.initializer if tensor.name in wanted]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(tensors)
