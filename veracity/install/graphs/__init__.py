"""Graphs that are built of fetched files without torch: what ``veracity install`` does behind the download."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from veracity.install.graphs.recipe import BUILDERS


def build(model: str, weights: Path, repository: Path) -> None:
    """Write a model's graph into ``repository`` (its folder's ``1/model.onnx`` and ``provenance.json``).

    ``weights`` is the folder of fetched files. Raises :class:`WeightsError` for a missing or wrong file, and
    :class:`ExportError` where the graph does not compute what its parts do; what was installed stays.
    """
    import_module(BUILDERS[model]).install(weights, repository)
