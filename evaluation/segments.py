"""How well the fake seconds of partly fake clips are found: average precision at an overlap, as LAV-DF defines it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from veracity.calibrate.metrics import Unmeasurable
from veracity_client.verdict import Span

IOUS = (0.5, 0.75, 0.9, 0.95)  # of LAV-DF and AV-Deepfake1M
Seconds = tuple[float, float]
"""Start and end in a clip."""


@dataclass(frozen=True)
class Proposal:
    """Seconds of a clip that are called fake, and how surely; any scale on which more is surer."""

    clip: str
    seconds: Seconds
    score: float


def iou(a: Seconds, b: Seconds) -> float:
    """Seconds in both over seconds in either, 0 to 1."""
    both = min(a[1], b[1]) - max(a[0], b[0])
    return max(0.0, both) / (max(a[1], b[1]) - min(a[0], b[0])) if both > 0 else 0.0


def average_precision(proposals: Iterable[Proposal], truth: Mapping[str, Sequence[Seconds]], least_iou: float) -> float:
    """Area under precision over recall of the proposals of all clips, the surest first, 0 to 1.

    ``truth`` maps clips to their fake seconds; real clips have none, and each proposal in them is a false one. A
    proposal is right if a span of its clip that no surer one has taken overlaps it by ``least_iou``; it takes the one
    that overlaps most. Precision is interpolated: the best at this recall or more. Source: Cai et al., "Do You Really
    Mean That? Content Driven Audio-Visual Deepfake Dataset and Multimodal Method for Temporal Forgery Localization",
    2022. Raises :class:`Unmeasurable` where no clip has fake seconds.
    """
    spans = sum(map(len, truth.values()))
    if not spans:
        raise Unmeasurable("no clip has fake seconds to find")
    left = {clip: list(seconds) for clip, seconds in truth.items()}
    surest = sorted(proposals, key=lambda one: -one.score)
    right = np.cumsum([_take(left.get(one.clip, []), one.seconds, least_iou) for one in surest])
    precision = right / np.arange(1, len(surest) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(right, prepend=0) * best).sum() / spans)


def _take(left: list[Seconds], seconds: Seconds, least: float) -> bool:
    """Whether a span overlaps enough; it is taken out of those ``left``."""
    most = max(left, key=lambda span: iou(span, seconds), default=None)
    if most is None or iou(most, seconds) < least:
        return False
    left.remove(most)
    return True


def proposals_of(clip: str, timeline: Iterable[Span], threshold: float = 0.5) -> list[Proposal]:
    """Join what touches among a layer's spans of a P(fake) of at least ``threshold``; the highest is the score."""
    found: list[Proposal] = []
    for span in sorted(timeline, key=lambda span: span.start):
        if span.score < threshold:
            continue
        start, end, score = span.start, span.end, span.score
        if found and start <= found[-1].seconds[1]:
            last = found.pop()
            start, end, score = last.seconds[0], max(end, last.seconds[1]), max(score, last.score)
        found.append(Proposal(clip, (start, end), score))
    return found
