"""Who can answer: decided once a request, and replaced only where a model fails or the sound cannot be used."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from veracity.analysis.context import AnalysisContext
from veracity.catalog import FACE_DETECTOR, LAYERS, MODELS, Layer
from veracity.catalog.layers import FileKind, kind_of_file
from veracity.catalog.profiles import FALLBACKS, Weighted
from veracity.decision import wording
from veracity.decision.calibration import Calibration
from veracity.decision.domain import Cues
from veracity.evidence.detector import detector
from veracity.evidence.requests import Infer, State
from veracity.install.advice import install_hint
from veracity_client.reasons import Reason
from veracity_client.verdict import LayerName, ModelInfo, OperatingPoint, Profile, Status

NOT_ANSWERING = ("model_down", "model_failed")


@dataclass(frozen=True)
class LayerRoster:
    """The models of one layer: ``own`` are the profile's with their weights; ``absent`` says why one cannot answer."""

    layer: Layer
    own: Weighted
    absent: Mapping[str, Reason]

    @property
    def candidates(self) -> Mapping[str, float]:
        """All that may answer, with their weights: the profile's own models, then their fallbacks."""
        own = dict(self.own)
        return own | {FALLBACKS[m]: w for m, w in own.items() if m in FALLBACKS and FALLBACKS[m] not in own}

    @property
    def answering(self) -> Mapping[str, float]:
        """The models that can answer, with their weights; the fallback of one that cannot."""
        found: dict[str, float] = {}
        for name, weight in self.own:
            model = FALLBACKS.get(name, name) if name in self.absent else name
            if model not in self.absent:
                found.setdefault(model, weight)
        return found

    def of(self, kind: FileKind) -> LayerRoster:
        """Return the models that are for this kind of file; where none is, all of them, each absent for that reason."""
        fit = tuple((name, weight) for name, weight in self.own if kind in MODELS[name].file_kinds)
        if fit:
            return replace(self, own=fit)
        return replace(self, absent={**self.absent, **{name: wording.other_kind(name) for name, _ in self.own}})

    def why_unable(self) -> tuple[Status, Reason] | None:
        """Return the status and the reason of a layer none of whose models can answer; None where one can."""
        if self.answering:
            return None
        down = [name for name in self.candidates if self.absent[name].code in NOT_ANSWERING]
        if down:
            return "failed", wording.reason("model_down", models=", ".join(down))
        return "abstained", wording.joined([self._why_absent(name) for name, _ in self.own])

    def _why_absent(self, model: str) -> Reason:
        """Return why a model is absent, and its fallback with it where that lacks something other than weights."""
        fallback = self.absent.get(FALLBACKS.get(model, ""))
        if fallback is None or fallback.code == "weights_missing":
            return self.absent[model]
        return wording.joined([self.absent[model], fallback])


@dataclass(frozen=True)
class Roster:
    """Who can answer in each layer, with what is known of the models as they are installed now."""

    layers: Mapping[LayerName, LayerRoster]
    face_detector: Reason | None  # why it cannot answer
    infos: Mapping[str, ModelInfo]  # of all candidates
    calibration: Calibration
    profile: Profile

    @classmethod
    def decide(cls, context: AnalysisContext, infer: Infer) -> Roster:
        """Look once at the runtime and at the disk, which blocks: call it in a thread."""
        calibration = context.calibration
        layers = {layer.name: LayerRoster(layer, context.models(layer.name), {}) for layer in LAYERS}
        names = [name for layer in layers.values() for name in layer.candidates]
        absent = {name: why for name in names if (why := why_absent(context, infer, name))}
        return cls(
            layers={name: replace(layer, absent=absent) for name, layer in layers.items()},
            face_detector=_by_state(context, FACE_DETECTOR.name, infer.state(FACE_DETECTOR.name)),
            infos={
                name: replace(context.installed[name].info, measured=calibration.measurement(name)) for name in names
            },
            calibration=calibration,
            profile=context.profile_with(calibration),
        )

    def why_unable(self, layer: Layer) -> tuple[Status, Reason] | None:
        """Return the status and the reason of a layer that cannot be scored; None where it can."""
        unable = self.layers[layer.name].why_unable()
        if unable is None and layer.needs_faces and self.face_detector:
            return ("failed" if self.face_detector.code in NOT_ANSWERING else "abstained"), self.face_detector
        return unable

    def is_silent(self, layer: Layer) -> bool:
        """Return whether all models that would answer for a layer were measured and separate nothing."""
        return self.calibration.uninformative(self.layers[layer.name].answering)

    def for_file(self, tracks: Collection[str], point: OperatingPoint) -> Roster:
        """Return the models and the calibration of a file that has these tracks, at an operating point."""
        kind = kind_of_file(tracks)
        layers = {name: layer.of(kind) for name, layer in self.layers.items()}
        return replace(self, layers=layers, calibration=self.calibration.for_file(kind, point))

    def met(self, tracks: Collection[str], cues: Cues) -> Roster:
        """Return the roster whose calibration knows what the file is like."""
        return replace(self, calibration=self.calibration.met(kind_of_file(tracks), cues))

    def without(self, absent: Mapping[str, Reason]) -> Roster:
        """Return the roster in which these models cannot answer, each with its reason."""
        layers = {name: replace(layer, absent={**layer.absent, **absent}) for name, layer in self.layers.items()}
        return replace(self, layers=layers)

    def without_sound(self, why: Reason) -> Roster:
        """Return the roster of a file whose sound cannot be used: what compares mouths with it cannot answer."""
        installed = {
            name
            for layer in self.layers.values()
            for name in layer.candidates
            if name not in layer.absent or layer.absent[name].code in NOT_ANSWERING
        }
        return self.without(
            {name: wording.needs_sound(name, why) for name in installed if detector(name).sound == "required"}
        )


def why_absent(context: AnalysisContext, infer: Infer, model: str) -> Reason | None:
    """Return why a model cannot answer; None where it can. This looks at the runtime and at the disk, which blocks."""
    rejection = context.rejection(model)
    return rejection or _by_state(context, model, infer.state(model))


def _by_state(context: AnalysisContext, model: str, state: State) -> Reason | None:
    if state == "ready":
        return None
    if state == "down":
        return wording.reason("model_down", models=model)
    return wording.reason("weights_missing", why=install_hint(model, untrained=context.timing_only))
