"""Where things stand in the drawings, in per cent of their width or height."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from veracity_client.verdict import Face, LikelihoodRatio, Span, Verdict
from veracity_gateway.report.limits import layer_words

THINNEST = 0.4  # per cent: a moment of a long film is still seen
STILL = 0.04  # seconds of a frame


@dataclass(frozen=True)
class Bar:
    """One stretch of a timeline."""

    x: float
    width: float
    height: float


@dataclass(frozen=True)
class Row:
    """One timeline: its bars, and the stretches that they stand for."""

    title: str
    bars: tuple[Bar, ...]
    spans: tuple[Span, ...]

    @property
    def highest(self) -> Span:
        """The stretch with the highest score."""
        return max(self.spans, key=lambda span: span.score)


@dataclass(frozen=True)
class Scale:
    """The likelihood ratio on a line from ``-end`` to ``end``; all the rest in per cent of it."""

    ticks: tuple[tuple[float, int], ...]
    low: float
    width: float
    value: float


def scale(ratio: LikelihoodRatio) -> Scale:
    """Lay out a likelihood ratio and its bounds."""
    end = max(3, math.ceil(max(abs(ratio.low), abs(ratio.high), abs(ratio.log10))))

    def place(value: float) -> float:
        return round(4 + 92 * (value + end) / (2 * end), 2)

    step = math.ceil(end / 4)
    ticks = tuple((place(tick), tick) for tick in range(-(end // step) * step, end + 1, step))
    low, high = place(ratio.low), place(ratio.high)
    return Scale(ticks, low, round(high - low, 2), place(ratio.log10))


def length(verdict: Verdict) -> float:
    """Return how many seconds the timelines show."""
    ends = [span.end for spans in verdict.timeline.values() for span in spans] + [face.end for face in verdict.faces]
    return max([verdict.input.seconds or 0.0, *ends, STILL])


def layer_rows(verdict: Verdict) -> list[Row]:
    """Return a timeline for each layer that has one."""
    whole = length(verdict)
    return [
        _row(f"{layer_words(key).title} ({key})", spans, whole)
        for key, spans in sorted(verdict.timeline.items())
        if spans
    ]


def face_row(verdict: Verdict, face: Face) -> Row | None:
    """Return the timeline of one face: its frames as far as a layer tells them, else its worst stretches."""
    scored = [
        Span(frame.time, frame.time + STILL, frame.score)
        for result in verdict.layer_results.values()
        for frame in result.frame_scores or ()
        if frame.face == face.id
    ]
    spans = scored or face.worst
    return _row(f"Face {face.id}", spans, length(verdict)) if spans else None


def _row(title: str, spans: Iterable[Span], whole: float) -> Row:
    ordered = tuple(sorted(spans, key=lambda span: (span.start, span.end)))
    return Row(title, tuple(_bar(span, whole) for span in ordered), ordered)


def _bar(span: Span, whole: float) -> Bar:
    width = max(THINNEST, 100 * (span.end - span.start) / whole)
    x = min(100 * span.start / whole, 100 - THINNEST)
    return Bar(round(x, 3), round(min(width, 100 - x), 3), round(100 * min(max(span.score, 0.02), 1.0), 2))
