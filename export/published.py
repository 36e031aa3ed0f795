"""Export of published detectors: the authors' network and checkpoint, our tensors, parity, provenance."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from export import inputs
from export.graph import OPSET, TOOLS, Inputs, largest_error, to_onnx
from export.precision import convert
from networks import checkpoints, name_seeded_weights
from veracity.catalog import MODELS, Model
from veracity.catalog.provenance import NOTHING
from veracity.install.files import sha256
from veracity.install.graphs.publish import ExportError, publish, refuse_over_trained
from veracity.install.store import require
from veracity.settings import Settings


@dataclass(frozen=True)
class Published:
    """A detector as its authors published it.

    ``network`` builds it with its weights named as in the checkpoint; ``unpack`` makes the state dict out of what
    the table's ``files`` hold, in their order; ``serve`` wraps the network so that the table's inputs go in and its
    outputs come out. ``describe`` returns facts of the same contents for the provenance. ``gain`` is that of
    name-seeded weights. ``upstream`` builds the authors' own module out of a checkout of theirs, with the same names.
    """

    model: str
    source: str
    trained_on: tuple[str, ...]
    network: Callable[[], nn.Module]
    serve: Callable[[nn.Module], nn.Module]
    unpack: Callable[..., Mapping[str, Tensor]]
    describe: Callable[..., Mapping[str, Any]] = lambda *_: {}
    gain: float = 1.0
    upstream: Callable[[Path], nn.Module] | None = None

    @property
    def table(self) -> Model:
        """Its line in the layer table."""
        return MODELS[self.model]


def state_dict(content: Any) -> Mapping[str, Tensor]:
    """Return the content of a checkpoint that is nothing but a state dict."""
    return checkpoints.tensors(content, "the checkpoint")


def under(key: str, prefix: str = "") -> Callable[[Any], Mapping[str, Tensor]]:
    """Return an ``unpack`` for a state dict that lies under ``key``, whose names may begin with ``prefix``."""

    def unpack(content: Any) -> Mapping[str, Tensor]:
        found = checkpoints.member(content, key, "the checkpoint")
        return {name.removeprefix(prefix): value for name, value in found.items()}

    return unpack


def export(detector: Published, args: argparse.Namespace) -> None:
    """Write the detector's graph and provenance into ``args.repository``; raises ExportError and WeightsError."""
    folder = args.repository / detector.model
    settings = Settings.from_env().replace(weights=args.weights)  # the faces are found by the installed detector
    theirs = None if args.upstream is None else authors(detector, args.upstream)
    net, origin = untrained(detector, folder) if args.untrained else trained(detector, args.weights)
    served = detector.serve(net).eval()
    cases = inputs.cases(detector.table, settings, args.clip)
    graph = graph_of(served, detector.table, cases[0])
    facts = {"largest_relative_error": largest_error(graph, served, cases)}
    if theirs is not None:
        checkpoints.load(theirs, net.state_dict(), "our state dict")
        facts |= {"largest_error_against_upstream": largest_error(graph, detector.serve(theirs).eval(), cases)}
    graph, precision = convert(graph, args.precision, detector.table, cases)
    provenance = {"source": detector.source, **origin, "opset": OPSET, **facts, **precision}
    publish(graph, folder, provenance, TOOLS)


def trained(detector: Published, folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network with its authors' weights, and their provenance; every file's sha256 is checked first."""
    files = {name: require(name, folder) for name in detector.table.files}
    net = detector.network()
    contents = [checkpoints.read(path) for path in files.values()]
    checkpoints.load(net, detector.unpack(*contents), ", ".join(files))
    origin = {
        **detector.describe(*contents),
        "trained_on": list(detector.trained_on),
        "checkpoints": {name: sha256(path) for name, path in files.items()},
    }
    return net.eval(), origin


def untrained(detector: Published, folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network filled by the names of its weights; raises ExportError where a graph is installed that is not so."""
    refuse_over_trained(folder)
    net = detector.network()
    name_seeded_weights.fill(net, detector.gain)
    return net.eval(), {"trained_on": [NOTHING], "untrained": True}


def graph_of(served: nn.Module, model: Model, example: Inputs) -> bytes:
    """The checked graph of a served network, with the table's names."""
    return to_onnx(served, example, [tensor.name for tensor in model.outputs])


def authors(detector: Published, checkout: Path) -> nn.Module:
    """The authors' own module out of a checkout of theirs; raises ExportError where there is no way to make it."""
    if detector.upstream is None:
        raise ExportError(f"{detector.model}: no way to run its authors' code is known; see patches/")
    return detector.upstream(checkout)
