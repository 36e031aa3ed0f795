"""Golden cases of published detectors, run by their authors' own code, against ours: `python -m export parity DIR`.

A case is a pair of files of one name: ``.json`` with the state dict's keys and shapes and what goes in and comes out,
``.npz`` with the arrays; what is no network's may have one of them. Allowed is |ours − theirs| / max(1, max |theirs|)
up to 1e-4, in torch and in ONNX Runtime.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from export.graph import MAX_RELATIVE_ERROR, Array, error, to_onnx, torch_answer
from export.published import Published
from networks import checkpoints, name_seeded_weights
from veracity.catalog import MODELS
from veracity.install.graphs.publish import ExportError, session
from veracity.install.store import require

Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Row:
    """What one case showed; an error is None where the case has no such side."""

    case: str
    keys: str
    torch: float | None
    onnx: float | None
    differing: int = 0  # keys of the state dict

    @property
    def passed(self) -> bool:
        """Whether the keys are the authors' and every side is within the limit."""
        return self.said == "ok"

    @property
    def said(self) -> str:
        """``ok``, or what is wrong. NaN is over any limit."""
        if self.differing:
            return "other keys"
        within = all(one is None or one <= MAX_RELATIVE_ERROR for one in (self.torch, self.onnx))
        return "ok" if within else f"over {MAX_RELATIVE_ERROR:g}"


@dataclass(frozen=True)
class Golden:
    """How a case is run: ``given`` and ``wanted`` name its arrays, in the order of the wrapped network's arguments.

    ``wrap`` leads from the authors' network to what takes and answers those arrays. ``weights`` names the arrays that
    are weights themselves, by their place in the network. ``numpy`` compares what is no network's and answers the
    largest error.
    """

    detector: Published | None = None
    given: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    wrap: Callable[[nn.Module], nn.Module] = lambda net: net
    weights: Mapping[str, str] = field(default_factory=dict)
    numpy: Callable[[dict[str, Any], Arrays], float] | None = None


CASES = {case: module for model in MODELS.values() for case, module in model.golden.items()}


def run(folder: Path, weights_folder: Path, case: str) -> Row:
    """Run one case of ``folder``; raises ExportError for an unknown case."""
    if case not in CASES:
        raise ExportError(f"unknown case {case!r}; known: {', '.join(CASES)}")
    golden: Golden = import_module(CASES[case]).CASES[case]
    facts, arrays = _read(folder, case)
    ours = golden.numpy(facts, arrays) if golden.numpy else None
    if golden.detector is None:
        return Row(case, "–", ours, None)
    lacking = [name for name in (*golden.given, *golden.wanted) if name not in arrays]
    if lacking or "keys" not in facts:
        raise ExportError(f"the case {case!r} is not whole: it has no {', '.join(lacking) or 'keys'}")
    carried = {place: torch.from_numpy(arrays[name]) for place, name in golden.weights.items()}
    net, theirs, differing = _network(golden.detector, facts, carried, weights_folder)
    wrapped = golden.wrap(net).eval()
    given = {name: arrays[name] for name in golden.given}
    by_torch = _worst(torch_answer(wrapped, given), arrays, golden)
    graph = to_onnx(wrapped, given, [f"out_{name}" for name in golden.wanted])
    by_onnx = _worst(session(graph).run(None, given), arrays, golden)
    keys = f"{differing} differ" if differing else f"{theirs} match"
    return Row(case, keys, float(np.max([by_torch, ours or 0.0])), by_onnx, differing)


def _read(folder: Path, case: str) -> tuple[dict[str, Any], Arrays]:
    """The content of a case's files; some have no facts, some no arrays."""
    facts, arrays = folder / f"{case}.json", folder / f"{case}.npz"
    if not facts.is_file() and not arrays.is_file():
        raise ExportError(f"no case {case!r} in {folder}: neither {facts.name} nor {arrays.name} is there")
    try:
        return (
            dict(json.loads(facts.read_text(encoding="utf-8"))) if facts.is_file() else {},
            _arrays(arrays) if arrays.is_file() else {},
        )
    except Exception as error:  # json, numpy, zipfile and zlib have no error in common
        raise ExportError(f"the case {case!r} cannot be read: {error}") from None


def _arrays(path: Path) -> Arrays:
    with path.open("rb") as file:  # which NumPy leaves open where it cannot read it
        return dict(np.load(file))


def _network(
    detector: Published, facts: Mapping[str, Any], carried: Mapping[str, Tensor], folder: Path
) -> tuple[nn.Module, int, int]:
    """The network with the case's weights, how many keys its authors' has, and how many differ from ours."""
    net = detector.network()
    theirs = {key: tuple(shape) for key, shape in facts["keys"]}
    theirs |= {key: tuple(value.shape) for key, value in carried.items()}
    ours = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    differing = [key for key in {*theirs, *ours} if theirs.get(key) != ours.get(key)]
    if facts.get("weights"):
        state = detector.unpack(*(checkpoints.read(require(n, folder)) for n in detector.table.files))
    else:
        state = name_seeded_weights.state(theirs, facts.get("gain", 1.0)) | dict(carried)
    checkpoints.load(net, state, detector.model)
    return net, len(theirs), len(differing)


def _worst(found: list[Array], arrays: Arrays, golden: Golden) -> float:
    return float(np.max([error(one, arrays[name]) for one, name in zip(found, golden.wanted, strict=True)]))


def cases(folder: Path) -> list[str]:
    """The cases of a folder; raises ExportError where it has none."""
    found = sorted(path.stem for path in folder.glob("*.json")) or sorted(path.stem for path in folder.glob("*.npz"))
    if not found:
        raise ExportError(f"no cases in {folder}: a case is NAME.json, with NAME.npz")
    return sorted({*found, *(path.stem for path in folder.glob("*.npz"))})
