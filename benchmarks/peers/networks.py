"""The networks as peers run them: eager torch where there is one to build, else the graph in ONNX Runtime.

Of published networks, and so in profile ``bench``, torch modules are built as the export builds them. What the starter
has is graphs, with encoders that are published as such, so that there all run the same graphs and only the serving
differs; and so is the face detector.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module

import onnxruntime
import torch

from benchmarks.peers.arrays import Arrays
from export import published
from export.graph import torch_answer
from veracity.catalog import MODELS, Model, provenance
from veracity.catalog.profiles import children, choose
from veracity.settings import Settings

Net = Callable[[Arrays], Arrays]
THREADS = len(os.sched_getaffinity(0))
TORCH, GRAPH = "eager torch", "ONNX Runtime"


def installed(settings: Settings) -> list[str]:
    """Return the models of the profile that have a graph, as the product serves them."""
    names = children(choose(settings.profile, settings.models))
    return [name for name in names if (settings.model_repository / name / provenance.GRAPH).is_file()]


def runtime(name: str) -> str:
    """Return what runs a model here."""
    return TORCH if MODELS[name].layer and not MODELS[name].trained_here else GRAPH


def load(name: str, settings: Settings) -> Net:
    """Return a model with the weights of its installed graph; raises ExportError and WeightsError."""
    torch.set_num_threads(THREADS)  # Ray would have it one
    return (_eager if runtime(name) == TORCH else _graph)(MODELS[name], settings)


def _eager(model: Model, settings: Settings) -> Net:
    detector, folder = import_module(model.export).DETECTORS[model.name], settings.model_repository / model.name
    made_up = provenance.untrained(folder)
    net, _ = published.untrained(detector, folder) if made_up else published.trained(detector, settings.weights)
    served, outputs = detector.serve(net).eval(), [tensor.name for tensor in model.outputs]
    return lambda batch: dict(zip(outputs, torch_answer(served, {t.name: batch[t.name] for t in model.inputs})))


def _graph(model: Model, settings: Settings) -> Net:
    path, outputs = settings.model_repository / model.name / provenance.GRAPH, [t.name for t in model.outputs]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda batch: dict(zip(outputs, session.run(outputs, dict(batch))))
