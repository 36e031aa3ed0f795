"""`--format tensorrt`: an engine out of the installed graph, built on the GPU that is to run it, and held against it.

The graph stays where it is: `1/model.plan` lies beside `1/model.onnx`, and `VERACITY_MODEL_CONFIG=tensorrt` chooses it.
Engines are strongly typed: what is fp16 stands in the graph (see precision.py), and TensorRT 11 knows no other way.
Needs no torch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from export import inputs, precision
from veracity.catalog import MODELS, Model, provenance, tensorrt
from veracity.install.graphs.publish import ExportError, sha256, write_model
from veracity.settings import Settings

Shape = tuple[int, ...]
PACKAGES = {"tensorrt": "tensorrt-cu12", "polygraphy": "polygraphy"}  # module → what brings it
TIMINGS = "tensorrt.timings"  # in the weights folder: what TensorRT measured of this GPU, so that it measures once
FP32_ERROR = 1e-3  # relative: sums in another order; TF32 is off
INTEGERS = {TensorProto.UINT8: TensorProto.UINT8, TensorProto.INT16: TensorProto.INT32}  # of the graph → of the engine


def export(name: str, args: argparse.Namespace) -> None:
    """Write ``1/model.plan`` and its measured error into the model's folder; raises ExportError."""
    if args.precision == "int8":
        raise ExportError("int8 is for CPUs, where its scales come with the data; an engine is fp32 or fp16")
    require()
    model, folder = MODELS[name], args.repository / name
    graph, facts = installed(model, folder)
    cases = inputs.cases(model, Settings.from_env().replace(weights=args.weights), args.clip)
    source, cost = precision.convert(graph, args.precision, model, cases)
    began = time.monotonic()
    plan = build(retyped(source), profile(model), args.weights / TIMINGS)
    engine = {
        **cost,
        "plan_sha256": sha256(plan),
        "graph_sha256": sha256(graph),
        "bytes": len(plan),
        "build_seconds": round(time.monotonic() - began, 1),
        "largest_error": compare(plan, graph, model, cases, args.precision),
        "profile": {name: [list(shape) for shape in shapes] for name, shapes in profile(model).items()},
        "gpu": tensorrt.gpus()[0],
        "versions": {name: import_module(name).__version__ for name in PACKAGES},  # of whichever package brought it
    }
    write_model(folder, {Path("1", tensorrt.PLAN): plan}, {**facts, "engine": engine})


def require() -> None:
    """Raise ExportError that names all that this machine lacks; costs nothing, and comes before any work."""
    missing = [] if tensorrt.gpus() else ["an NVIDIA GPU with its driver"]
    packages = [package for module, package in PACKAGES.items() if find_spec(module) is None]
    missing += [f"pip install {' '.join(packages)}"] if packages else []
    if missing:
        raise ExportError(
            f"a TensorRT engine is built on the GPU that runs it; this machine needs {', '.join(missing)}"
        )


def installed(model: Model, folder: Path) -> tuple[bytes, dict[str, Any]]:
    """Return a model's verified graph and its provenance; raises ExportError where there is none."""
    if model.layer is None:
        raise ExportError(f"{model.name} stays with ONNX Runtime: see docs/tensorrt.md")
    path = folder / provenance.GRAPH
    facts = provenance.read(folder)
    if not path.is_file() or not facts:
        raise ExportError(
            f"no graph of {model.name} is installed; an engine is made of it: python -m export {model.name}"
        )
    graph = path.read_bytes()
    if facts.get("graph_sha256") != sha256(graph):
        raise ExportError(f"{model.name}: the installed graph does not match its provenance; export it again")
    if (found := facts.get("precision", "fp32")) != "fp32":
        raise ExportError(f"{model.name}: the installed graph is {found}; an engine is made of the fp32 one")
    return graph, facts


def profile(model: Model) -> dict[str, tuple[Shape, Shape, Shape]]:
    """Return by input the smallest, the usual and the largest shape: one item, a video's request, a full batch."""
    usual, largest = model.request_items, model.max_batch
    return {t.name: ((1, *t.shape), (usual, *t.shape), (largest, *t.shape)) for t in model.inputs}


def retyped(graph: bytes) -> bytes:
    """Return the graph with inputs of types that engines take, made float right behind.

    TensorRT has no INT16, and of UINT8 it can do nothing but make floats; every whole number of either is exact in
    float32, so that permuting and cutting after the cast answers the same.
    """
    model = onnx.load_from_string(graph)
    casts = []
    for value in model.graph.input:
        if value.type.tensor_type.elem_type not in INTEGERS:
            continue
        for node in model.graph.node:
            node.input[:] = [f"{value.name}/float" if name == value.name else name for name in node.input]
        value.type.tensor_type.elem_type = INTEGERS[value.type.tensor_type.elem_type]
        casts.append(helper.make_node("Cast", [value.name], [f"{value.name}/float"], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:], model.graph.value_info[:]  # the types that tensors had
    model.graph.node.extend(nodes)
    made = bytes(model.SerializeToString())
    onnx.checker.check_model(made, full_check=True)
    return made


def build(graph: bytes, shapes: Mapping[str, tuple[Shape, Shape, Shape]], timings: Path) -> bytes:
    """Return the engine of a graph; raises ExportError with TensorRT's reason."""
    from polygraphy.backend.trt import CreateConfig, EngineBytesFromNetwork, NetworkFromOnnxBytes, Profile

    sides = Profile()
    for name, (least, usual, most) in shapes.items():
        sides.add(name, min=least, opt=usual, max=most)
    known = str(timings) if timings.is_file() else None
    network = NetworkFromOnnxBytes(graph, strongly_typed=True)  # what 11 always does, and 10 when told to
    config = CreateConfig(profiles=[sides], load_timing_cache=known)
    try:
        return bytes(EngineBytesFromNetwork(network, config, save_timing_cache=str(timings))())
    except Exception as error:  # polygraphy's, and those of the bindings, which have no common base
        raise ExportError(f"TensorRT built no engine: {' '.join(str(error).split())}") from error


def compare(plan: bytes, graph: bytes, model: Model, cases: Sequence[inputs.Inputs], kind: str) -> float:
    """Return how far the engine is from the graph; raises ExportError where that is too far.

    In fp32 over all cases, relative; in fp16 what a logit of the real items moves, as in :mod:`export.precision`.
    """
    asked = cases if kind == "fp32" else cases[-1:]
    wanted, found = precision.answers(graph, model, asked), engine_answers(plan, model, asked)
    limit, measure = (FP32_ERROR, _relative) if kind == "fp32" else (precision.FP16_DRIFT, precision.drift)
    error = measure(found, wanted)
    if not error <= limit:
        raise ExportError(f"{model.name}: the engine differs from the graph by {error:.3g}; {limit:g} is allowed")
    return error


def _relative(found: Sequence[NDArray[Any]], wanted: Sequence[NDArray[Any]]) -> float:
    """The largest difference, relative to the larger of 1 and the largest number of the same output. NaN stays NaN."""
    pairs = zip(found, wanted, strict=True)
    return float(np.max([np.max(np.abs(a - b)) / max(1.0, float(np.max(np.abs(b)))) for a, b in pairs]))


def engine_answers(plan: bytes, model: Model, cases: Sequence[inputs.Inputs]) -> list[NDArray[Any]]:
    """The measured outputs of an engine, as :func:`export.precision.answers`."""
    from polygraphy.backend.trt import EngineFromBytes, TrtRunner

    found: list[NDArray[Any]] = []
    with TrtRunner(EngineFromBytes(plan)) as runner:
        for case in cases:
            answer = runner.infer(dict(tensorrt.taken(case, tensorrt.TENSORRT)))
            found += [np.array(answer[name]) for name in precision.counted(model)]  # the next run writes over them
    return found
