"""What the verdict shows of itself where it was asked to: made of what the analysis cut and heard anyway."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from veracity.catalog import LAYERS
from veracity.catalog.layers import FPS, SAMPLE_RATE
from veracity.decision.calibration import Calibration
from veracity.decision.evidence import Evidence, ScoredLayer
from veracity.decision.places import Box, frame_size, in_picture
from veracity.decision.scoring import threshold_label
from veracity.decision.speakers import speakers
from veracity.evidence import pictures
from veracity.evidence.crops import face_area
from veracity.evidence.detector import detector
from veracity.evidence.faces import Track
from veracity.evidence.requests import ModelOutput, Sample
from veracity.evidence.sound import is_audible
from veracity.evidence.spectrogram import log_mel
from veracity_client.explanation import (
    MOMENTS,
    MOST_BYTES,
    MOUTH_STRIPS,
    MOUTHS,
    SIDE,
    Cam,
    Explanation,
    Moment,
    MouthStrip,
    Signature,
    Spectrogram,
)
from veracity_client.verdict import InputInfo, Label

AUDIO, VISUAL, LIPSYNC, SEMANTIC = LAYERS
NUMBERS = 20_000  # bytes of JSON: 6 maps of 12 × 12 cells, 96 windows of the voice, 8 strips with their times
PICTURES = (MOST_BYTES - NUMBERS) * 3 // 4  # bytes of all PNG files: base64 takes 4 characters for 3
HEAT_MAP = 12_000  # bytes that are set aside for one
MOUTH_HEIGHT = 48  # pixels: the lip starter's own
WORDS: dict[Label, Signature] = {"fake": "strong", "real": "natural", "inconclusive": "moderate"}


def explain(evidence: Evidence, calibration: Calibration) -> Explanation:
    """Draw the explanation; this blocks for up to a second."""
    sound, mouths = _spectrogram(evidence, calibration), _mouths(evidence)
    left = PICTURES - sum(len(strip.png) for strip in mouths) - (len(sound.png) if sound else 0)
    moments, words = _moments(evidence, calibration, left), _signature_words(evidence, calibration)
    return Explanation(moments, sound, mouths, words, speakers(evidence))


def _counting(evidence: Evidence, key: str) -> ScoredLayer | None:
    """Return a layer if it has a score that counts."""
    layer = evidence.layers.get(key)
    return layer if layer and layer.result.status == "scored" and layer.result.weight else None


def _moments(evidence: Evidence, calibration: Calibration, most_bytes: int) -> tuple[Moment, ...]:
    """Return the worst moments of the faces, of whole pictures where no face counts, in files of so many bytes."""
    for key in (VISUAL.key, SEMANTIC.key):
        if layer := _counting(evidence, key):
            output = evidence.outputs[layer.model]
            scale = calibration.calibrator(output.model)
            scores = scale(scale.of_quality_alike(output).logits)
            worst = _worst(output.items, scores)
            share = most_bytes // max(1, len(worst)) - HEAT_MAP
            return tuple(_moment(key, output, k, float(scores[k]), evidence, share) for k in worst)
    return ()


def _worst(items: Sequence[Sample], scores: NDArray[np.float64]) -> list[int]:
    """Return the MOMENTS highest, each the highest of its face in its second."""
    best: dict[tuple[int | None, int], int] = {}
    for k in np.argsort(-scores, kind="stable"):
        best.setdefault((items[k].face, int(items[k].start)), int(k))
    return list(best.values())[:MOMENTS]


def _moment(layer: str, output: ModelOutput, k: int, score: float, evidence: Evidence, most_bytes: int) -> Moment:
    item = output.items[k]
    crop, side = pictures.png_within(item.tensor, SIDE, most_bytes)
    cam = None if output.maps is None else _cam(output.maps[k], side)
    box = _box(item, evidence.faces or ())
    return Moment(
        layer, round(item.start, 3), round(score, 4), item.face, box and in_picture(box, evidence.input), crop, cam,
        area=box and _area(box, output.model, evidence.input),
    )  # fmt: skip


def _box(item: Sample, tracks: Sequence[Track]) -> Box | None:
    """Return where a face was in its frame."""
    for track in tracks:
        if track.id == item.face:
            return track.detections[track.times.index(item.start)].box
    return None


def _area(box: Box, model: str, info: InputInfo | None) -> Box | None:
    """Return what of the picture a crop shows: the face with a margin."""
    size = frame_size(info)
    if size is None:
        return None
    return in_picture(face_area(size[::-1], box, detector(model).model.crop), info)


def _cam(evidence: NDArray[np.float32], side: int) -> Cam | None:
    """Return a model's map of log odds, [rows, columns]; None where it has no finite one."""
    if not np.isfinite(evidence).all():
        return None
    low, high = float(evidence.min()), float(evidence.max())
    values = (evidence - low) / (high - low) if high > low else np.zeros_like(evidence)
    rows = tuple(tuple(round(float(value), 4) for value in row) for row in values)
    return Cam(rows, round(low, 4), round(high, 4), pictures.heat_map(values, side))


def _spectrogram(evidence: Evidence, calibration: Calibration) -> Spectrogram | None:
    sound, layer = evidence.sound, _counting(evidence, AUDIO.key)
    if sound is None or not is_audible(sound):
        return None
    own = calibration.standalone_thresholds([model.name for model in layer.result.models]) if layer else None
    fake = own.fake if own else None
    spans = tuple(span for span in layer.spans if span.score >= fake) if layer and fake is not None else ()
    return Spectrogram(0.0, round(len(sound) / SAMPLE_RATE, 3), pictures.png(log_mel(sound)), spans, fake)


def _mouths(evidence: Evidence) -> tuple[MouthStrip, ...]:
    """Return a strip of each face that lips were scored of, the most suspicious first."""
    layer = evidence.layers.get(LIPSYNC.key)
    if layer is None or layer.result.status != "scored":
        return ()
    output = evidence.outputs[layer.model]
    means = {face: float(np.mean([span.score for span in spans])) for face, spans in (layer.faces or {}).items()}
    faces = sorted(means, key=lambda face: -means[face])[:MOUTH_STRIPS]
    return tuple(_strip(face, output, layer) for face in faces)


def _strip(face: int, output: ModelOutput, layer: ScoredLayer) -> MouthStrip:
    mouth = detector(output.model).mouth
    frames = [(item, k) for item in output.items if item.face == face for k in range(len(item.tensor))]
    chosen = [frames[k] for k in np.unique(np.linspace(0, len(frames) - 1, MOUTHS).astype(int))]
    times = tuple(round(item.start + k / FPS, 3) for item, k in chosen)
    strip = pictures.strip([item.tensor[k][mouth] for item, k in chosen], MOUTH_HEIGHT)
    return MouthStrip(face, times, strip, (layer.faces or {})[face] if layer.result.weight else None)


def _signature_words(evidence: Evidence, calibration: Calibration) -> Signature | None:
    layer = _counting(evidence, SEMANTIC.key)
    own = calibration.standalone_thresholds([model.name for model in layer.result.models]) if layer else None
    if layer is None or own is None or layer.result.fake_probability is None:
        return None
    return WORDS[threshold_label(layer.result.fake_probability, own)]
