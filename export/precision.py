"""Smaller numbers where they cost nothing that matters: fp16 for GPUs, int8 for CPUs, measured before they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from export.graph import Inputs
from export.publish import ExportError
from veracity.layers import Model


def convert(graph: bytes, precision: str, model: Model, cases: Sequence[Inputs]) -> tuple[bytes, dict[str, Any]]:
    """Return the graph in ``precision`` and what that cost; raises ExportError where it costs too much."""
    if precision == "fp32":
        return graph, {"precision": "fp32"}
    raise ExportError(f"{model.name}: {precision} is not there yet ({len(cases)} cases)")
