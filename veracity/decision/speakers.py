"""Which face each second of speech is linked to, by the log odds of *speaks* of the speakers' model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from veracity.catalog import LAYERS
from veracity.catalog.layers import FPS
from veracity.decision import wording
from veracity.decision.evidence import Evidence
from veracity.evidence.requests import ModelOutput
from veracity.evidence.speaking import SpeakingSeconds
from veracity_client.explanation import HeardFace, Speakers, SpeakingFace
from veracity_client.reasons import Reason
from veracity_client.span import Span

LIPS = LAYERS[2]
SPEAKS = 0.5  # P(speaks) of a face in a second from which the second's speech is linked to it
LEAST_SPEECH = 5  # frames: a second with less speech, 0.2 s, is not looked at

Speech = Sequence[tuple[float, float]]


def speakers(evidence: Evidence) -> Speakers:
    """Return who speaks in the examined seconds in which speech is heard; where there is none, why."""
    found, speech = evidence.speaking, evidence.speech or ()
    if not isinstance(found, SpeakingSeconds):
        return Speakers(reason=found)
    heard = {run[0] / FPS: frames for run in found.runs if (frames := _spoken(run, speech)).sum() >= LEAST_SPEECH}
    if not heard:
        return Speakers(reason=_nothing_heard(evidence))
    faces = _windows(found.output, heard) if found.output else {}
    seconds = tuple(_heard(start, faces) for start in heard)
    return Speakers(tuple(_face(face, faces[face], seconds, speech) for face in sorted(faces)), seconds)


def _spoken(run: range, speech: Speech) -> NDArray[np.bool_]:
    """Return in which frames of a second speech is heard, [25]."""
    middles = (np.array(run) + 0.5) / FPS
    spoken = np.zeros(len(run), bool)
    for start, end in speech:
        spoken |= (start <= middles) & (middles < end)
    return spoken


def _nothing_heard(evidence: Evidence) -> Reason:
    lips = evidence.results[LIPS.key]
    return wording.no_mouths(lips) if lips.code else wording.reason("no_speech")


def _windows(output: ModelOutput, heard: dict[float, NDArray[np.bool_]]) -> dict[int, list[Span]]:
    """Return of each face the seconds in which it was examined and speech is heard, with P(speaks)."""
    assert output.details is not None
    found: dict[int, list[Span]] = {}
    for item, odds in zip(output.items, output.details):
        if item.start in heard and item.face is not None:
            score = 1 / (1 + np.exp(-odds[heard[item.start]].mean()))
            found.setdefault(item.face, []).append(Span(item.start, item.end, round(float(score), 4)))
    return found


def _heard(start: float, faces: dict[int, list[Span]]) -> HeardFace:
    """Return whose speech is heard in the second from ``start`` on."""
    speaking = sorted(face for face, spans in faces.items() for s in spans if s.start == start and s.score >= SPEAKS)
    if len(speaking) == 1:
        return HeardFace(start, start + 1, speaking[0])
    if speaking:
        why = wording.reason("speaker_unclear", faces=", ".join(map(str, speaking)))
    else:
        why = wording.reason("nobody_speaks")
    return HeardFace(start, start + 1, None, why)


def _face(face: int, windows: list[Span], seconds: Sequence[HeardFace], speech: Speech) -> SpeakingFace:
    """Return a face with the stretches of speech that are linked to it: seconds in a row are one."""
    linked = [window for window in windows for s in seconds if s.face == face and s.start == window.start]
    rows: list[list[Span]] = []
    for window in linked:
        if rows and rows[-1][-1].end == window.start:
            rows[-1].append(window)
        else:
            rows.append([window])
    spoken = (_within(row, span) for row in rows for span in speech)
    return SpeakingFace(face, tuple(span for span in spoken if span), tuple(windows))


def _within(row: Sequence[Span], speech: tuple[float, float]) -> Span | None:
    """Return what of a stretch of speech lies in a row of seconds."""
    start, end = max(row[0].start, speech[0]), min(row[-1].end, speech[1])
    score = float(np.mean([window.score for window in row]))
    return Span(round(start, 3), round(end, 3), round(score, 4)) if start < end else None
