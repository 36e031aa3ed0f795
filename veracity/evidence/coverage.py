"""How much of a clip a layer examined, as numbers and in words."""

from __future__ import annotations

from collections.abc import Iterable

from veracity.catalog.layers import FPS
from veracity_client.verdict import Coverage, LayerName

STILLS = ("visual", "semantic")  # layers that examine separate pictures


def measure(layer: LayerName, spans: Iterable[tuple[float, float]], seconds_total: float) -> Coverage:
    """Count the ``spans`` (start, end in seconds) that a layer examined; of pictures each moment is one frame."""
    moments = sorted(set(spans))
    if layer in STILLS:
        count = len({start for start, _ in moments})
        examined = count / FPS
    else:
        count, examined = len(moments), _union(moments)
    return Coverage(count, round(min(examined, seconds_total), 3), round(seconds_total, 3))


def words(layer: LayerName, coverage: Coverage) -> str:
    """Say it: "32 pictures over 720 s", "32.3 s of 720 s of sound"."""
    total = f"{coverage.seconds_total:.4g} s"
    if layer in STILLS:
        return f"{coverage.samples} picture{'s' * (coverage.samples != 1)} over {total}"
    kind = "sound" if layer == "audio" else "video"
    return f"{coverage.seconds_examined:.4g} s of {total} of {kind}"


def _union(moments: Iterable[tuple[float, float]]) -> float:
    total, reached = 0.0, float("-inf")
    for start, end in moments:
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
