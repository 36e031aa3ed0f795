"""A published frozen encoder and a trained head of ours, joined into one graph and checked, without torch.

The head is committed beside its model's config.pbtxt, with its provenance; the encoder is fetched. Nothing is written
unless the joined graph computes what encoder and head compute one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto

from veracity.install.graphs.publish import ExportError, as_page, publish, session
from veracity.install.graphs.recipe import HEAD_FILES, head_files, recipe
from veracity.install.names import find

HEAD, PROVENANCE = HEAD_FILES
TOOLS = ("onnx", "onnxruntime", "numpy")
TOLERANCE = 1e-4  # of the log odds, relative to the larger of 1 and what the parts say

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Head:
    """A head's graph, and its provenance: the sources that taught it, its checkpoint's digest.

    ``new`` is one out of a checkpoint, which its model's folder does not hold yet.
    """

    graph: ModelProto
    provenance: Mapping[str, Any]
    new: bool = False

    def files(self) -> dict[str, bytes]:
        """What a model's folder holds of it."""
        return {HEAD: self.graph.SerializeToString(), PROVENANCE: as_page(self.provenance)}


@dataclass(frozen=True)
class Case:
    """A question by its input's name, and the log odds [batch, 1] that the parts answer one after the other."""

    question: Mapping[str, Array]
    expected: Array


def read_head(folder: Path) -> Head:
    """The head in a model's folder; raises ExportError where it is not there or not whole."""
    try:
        graph, provenance = onnx.load(folder / HEAD), json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
        onnx.checker.check_model(graph)
        if not isinstance(provenance, dict):
            raise ValueError(f"a {type(provenance).__name__} is no paper")
    except FileNotFoundError as error:
        raise ExportError(
            f"{folder.name}/{Path(error.filename).name} is gone: it comes with this version, bring it back; or teach "
            f"another and give it with --checkpoint (see training/)"
        ) from error
    except (OSError, ValueError, DecodeError, onnx.checker.ValidationError) as error:
        raise ExportError(f"{folder.name}: {HEAD} or {PROVENANCE} is damaged: {error}") from error
    return Head(graph, provenance)


def named(model: ModelProto, name: str) -> ModelProto:
    """The joined graph under its name, its one output called FAKE_LOGIT, checked."""
    (output,) = model.graph.output
    old, output.name = output.name, "FAKE_LOGIT"
    for node in model.graph.node:
        node.output[:] = ["FAKE_LOGIT" if one == old else one for one in node.output]
    model.graph.name = name
    onnx.checker.check_model(model, full_check=True)
    return model


def write(graph: ModelProto, head: Head, folder: Path, encoder: Mapping[str, Any], cases: Sequence[Case]) -> None:
    """Prove the joined graph, then write it with its provenance and a new head, all or none; raises ExportError.

    ``encoder`` is what the provenance say of it.
    """
    facts = {"precision": "fp32", "largest_relative_error": largest_error(graph, cases)}
    beside = head.files() if head.new else {}
    facts["recipe_sha256"] = recipe(beside or head_files(folder))
    publish(graph.SerializeToString(), folder, {**head.provenance, **encoder, **facts}, TOOLS, beside)


def largest_error(graph: ModelProto, cases: Sequence[Case]) -> float:
    """How far the joined graph is from its parts; raises ExportError where too far.

    Relative to the larger of 1 and what the parts say.
    """
    joined, name, worst = session(graph), graph.graph.name, 0.0
    for case in cases:
        found, shape = joined.run(["FAKE_LOGIT"], dict(case.question))[0], (len(case.expected), 1)
        if found.shape != shape:
            raise ExportError(f"{name} answers the shape {found.shape}, and should answer {shape}")
        difference = np.max(np.abs(found - case.expected)) / max(1.0, float(np.max(np.abs(case.expected))))
        worst = float(np.max([worst, difference]))  # NaN stays NaN
    if not worst <= TOLERANCE:
        raise ExportError(f"{name}: graph and parts differ by {worst:.2g}, allowed is {TOLERANCE:g}")
    return worst


def encoder_provenance(file: str, opset: int) -> dict[str, Any]:
    """What a graph's provenance say of its encoder, by the name of its fetched file."""
    (source,) = find([file])
    facts = {"url": source.url, "sha256": source.sha256, "licence": source.licence, "homepage": source.homepage}
    return {"encoder": facts, "opset": opset}
