"""The scored outputs: the verdict, every layer, and every model of a layer with several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from veracity.calibrate.scores import ScoredClip
from veracity.catalog import LAYERS, MODELS
from veracity.catalog.layers import kind_of_file
from veracity.decision.calibration import Calibration, Calibrator
from veracity.evidence.detector import detector

VERDICT = "verdict"
LABELS = ("real", "fake")
_SURE = 1e-5  # verdicts round probabilities to four places
_ITEMS = {"audio": "window", "visual": "frame, its worst face", "lipsync": "mouth clip", "semantic": "frame"}


@dataclass(frozen=True)
class ScoredOutput:
    """One scored output: the verdict, a layer or a model."""

    name: str
    item: str  # what a clip has many of; empty for the verdict
    probability: Callable[[ScoredClip], float | None]
    items: Callable[[ScoredClip], Sequence[float]]
    silence: Callable[[ScoredClip], str]

    def scored(self, clips: Iterable[ScoredClip]) -> list[ScoredClip]:
        """The clips that have a score."""
        return [one for one in clips if self.probability(one) is not None]

    def scores(self, clips: Iterable[ScoredClip]) -> npt.NDArray[np.float64]:
        """Log odds of fake of clips that have a score, [n]."""
        return log_odds([p for one in clips if (p := self.probability(one)) is not None])


def log_odds(probability: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Log odds of probabilities of any shape; clipped to what four places can resolve."""
    p = np.clip(np.asarray(probability, np.float64), _SURE, 1 - _SURE)
    return np.asarray(np.log(p / (1 - p)))


def labels(clips: Iterable[ScoredClip]) -> npt.NDArray[np.bool_]:
    """Which of the clips are fake, [n]."""
    return np.array([one.label for one in clips], bool)


def scored_outputs(clips: Sequence[ScoredClip], calibration: Calibration) -> list[ScoredOutput]:
    """The verdict, every layer that ran, and every model where several answered for a clip, or one is uninformative."""
    asked = {layer.key: {m for one in clips for m in one.outputs if MODELS[m].layer == layer.name} for layer in LAYERS}
    found, heard = [_verdict()], [one for one in clips if one.error is None]
    for layer in LAYERS:
        if heard and all(one.layers[layer.key].status == "skipped" for one in heard):
            continue
        found.append(_layer(layer.key, _ITEMS[layer.name]))
        together = any(sum(MODELS[m].layer == layer.name for m in one.outputs) > 1 for one in clips)
        if together or calibration.uninformative(asked[layer.key]):
            found += [_model(name, layer.key, calibration) for name in sorted(asked[layer.key])]
    return found


def _verdict() -> ScoredOutput:
    def silence(one: ScoredClip) -> str:
        return _kind_of(one.error) if one.error else "no layer scored"

    return ScoredOutput(VERDICT, "", lambda one: one.fake_probability, lambda _one: (), silence)


def _layer(key: str, item: str) -> ScoredOutput:
    def silence(one: ScoredClip) -> str:
        return _kind_of(one.error) if one.error else f"{one.layers[key].status}: {one.layers[key].reason}"

    return ScoredOutput(
        key,
        item,
        lambda one: one.layers[key].fake_probability if key in one.layers else None,
        lambda one: [span.score for span in one.layers[key].spans],
        silence,
    )


def _model(name: str, key: str, calibration: Calibration) -> ScoredOutput:
    """One model: clip scores pooled and calibrated as in the verdict, uncalibrated where the model is uninformative."""
    pool = detector(name).pool

    def probability(one: ScoredClip) -> float | None:
        scale = model_scale(name, calibration, one)
        return pool(scale.of_quality_alike(one.outputs[name].output(name)), scale) if name in one.outputs else None

    def items(one: ScoredClip) -> Sequence[float]:
        scale = model_scale(name, calibration, one)
        return [float(p) for p in scale(scale.of_quality_alike(one.outputs[name].output(name)).logits)]

    return ScoredOutput(name, "item", probability, items, _layer(key, "").silence)


def model_scale(name: str, calibration: Calibration, one: ScoredClip) -> Calibrator:
    """How a model's logits are read where it is measured by itself: raw where it is uninformative.

    Else as calibrated for the clip's kind of file.
    """
    found = calibration.for_file(kind_of_file(one.tracks), calibration.operating_point).calibrator(name)
    return Calibrator() if found.uninformative else found


def _kind_of(error: str) -> str:
    return f"error: {error.partition(':')[0]}"
