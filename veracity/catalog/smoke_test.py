"""The smoke test of a graph: an input whose outputs its provenance records, at export; run again by the doctor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veracity.catalog import FACE_DETECTOR, Model, Tensor

# How far the outputs may be from the recorded ones, relative to the larger of 1 and those. Another processor or
# runtime sums in another order: 1e-6 to 1e-3 of a deep network's logit, while wrong weights are off by whole numbers.
# Fewer bits a number (fp16 has 11 of them, int8 7) are rounded anew by every runtime that fuses layers its own way.
EXACT, COARSE = 1e-2, 5e-2

FREE_SIDE = 320  # pixels, where the graph takes any
SHOWN = 8  # numbers of each output that the provenance holds
DTYPES: dict[str, type[np.generic]] = {"UINT8": np.uint8, "INT16": np.int16, "FP32": np.float32}


def inputs(model: Model) -> dict[str, NDArray[Any]]:
    """Return a batch of one of each input: pixels of every brightness, quiet noise; of faces a drawn one.

    The same on every machine. In noise there is no face, and "none" is what a broken detector answers too.
    """
    if model is FACE_DETECTOR:
        return {model.input.name: _face()}
    return {tensor.name: _noise(tensor) for tensor in model.inputs}


def _noise(tensor: Tensor) -> NDArray[Any]:
    shape = (1, *(FREE_SIDE if side < 0 else side for side in tensor.shape))
    numbers = (np.arange(np.prod(shape), dtype=np.uint64) * np.uint64(2_654_435_761)) >> np.uint64(16)
    levels = (numbers & np.uint64(255)).astype(np.int64)
    if tensor.dtype != "UINT8":
        levels = (levels - 128) * 16
    return levels.reshape(shape).astype(DTYPES[tensor.dtype])


# Ellipses of a face, from behind to the front: middle and half axes (x, y; 1 is half the picture), softness, colour.
_FACE = (
    (0.0, 0.82, 0.62, 0.40, 0.1, (60, 70, 110)),  # shoulders
    (0.0, 0.47, 0.16, 0.27, 0.1, (190, 145, 120)),  # neck
    (0.0, -0.06, 0.39, 0.52, 0.1, (50, 35, 28)),  # hair
    (0.0, 0.05, 0.31, 0.44, 0.1, (222, 176, 148)),
    *((side, -0.03, 0.085, 0.055, 0.5, (190, 140, 118)) for side in (-0.13, 0.13)),  # sockets
    *((side, -0.015, 0.062, 0.027, 0.1, (240, 238, 232)) for side in (-0.13, 0.13)),
    *((side, -0.015, 0.027, 0.028, 0.1, (45, 28, 20)) for side in (-0.13, 0.13)),
    *((side, -0.095, 0.085, 0.017, 0.3, (70, 45, 32)) for side in (-0.13, 0.13)),  # brows
    (0.0, 0.125, 0.055, 0.04, 0.5, (205, 150, 125)),  # nose
    *((side, 0.155, 0.02, 0.012, 0.4, (120, 75, 65)) for side in (-0.04, 0.04)),
    (0.0, 0.265, 0.11, 0.04, 0.3, (175, 85, 85)),  # lips
    (0.0, 0.26, 0.095, 0.006, 0.5, (95, 40, 40)),
)


def _face() -> NDArray[np.uint8]:
    """Draw a face that every detector here is sure of, uint8 [1, 320, 320, 3]."""
    y, x = np.mgrid[-1 : 1 : FREE_SIDE * 1j, -1 : 1 : FREE_SIDE * 1j]
    picture = np.full((FREE_SIDE, FREE_SIDE, 3), (90.0, 110.0, 120.0))
    for left, top, width, height, soft, colour in _FACE:
        inside = 1 - ((x - left) / width) ** 2 - ((y - top) / height) ** 2
        share = (0.5 + 0.5 * np.tanh(inside / soft / 2))[..., None]
        picture = picture * (1 - share) + np.array(colour) * share
    return picture.round().astype(np.uint8)[None]


def summary(outputs: Mapping[str, NDArray[Any]]) -> dict[str, list[float]]:
    """Return what the provenance keeps of the outputs: the first numbers of each."""
    return {name: [float(x) for x in np.asarray(a, np.float64).ravel()[:SHOWN]] for name, a in outputs.items()}


def difference(outputs: Mapping[str, NDArray[Any]], wanted: Mapping[str, list[float]]) -> float:
    """Return the largest difference from the recorded numbers, relative to the larger of 1 and those; NaN stays NaN."""
    found = summary(outputs)
    pairs = [(np.array(found.get(name, [np.nan])), np.array(values)) for name, values in wanted.items()]
    if any(a.shape != b.shape for a, b in pairs):
        return float("nan")
    return float(np.max([np.max(np.abs(a - b)) / max(1.0, float(np.max(np.abs(b)))) for a, b in pairs]))


def fault(model: Model, outputs: Mapping[str, NDArray[Any]], record: Mapping[str, Any], *, coarse: bool = False) -> str:
    """Return what is wrong with a model's outputs; empty where nothing is.

    ``record`` is what its provenance.json holds; without a recorded output there only shapes and finiteness count.
    ``coarse``: the server computes in fewer bits than the graph, as TensorRT's engines do.
    """
    wrong = [t.name for t in model.outputs if not _fits(outputs.get(t.name), t.shape)]
    if wrong:
        return f"answers {', '.join(wrong)} with another shape or with no numbers"
    if not record.get("known_answer"):
        return ""
    allowed = COARSE if coarse or record.get("precision", "fp32") != "fp32" else EXACT
    found = difference(outputs, record["known_answer"])
    return "" if found <= allowed else f"its smoke-test output is {found:.2g} off, over {allowed:g}"


def _fits(value: Any, shape: tuple[int, ...]) -> bool:
    return value is not None and tuple(value.shape) == (1, *shape) and bool(np.isfinite(value).all())
