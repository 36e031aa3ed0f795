"""What every analysis of one process shares: settings, calibration, voice-activity detector, ffmpeg, papers."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

from veracity import log
from veracity.catalog import MODELS, provenance
from veracity.catalog.assets import VAD_FILE
from veracity.catalog.profiles import BENCH, PROFILES, children, choose
from veracity.decision.calibration import FILE, Calibration
from veracity.evidence.speech import SileroVad, Vad, energy_vad
from veracity.media import Limits, find_ffmpeg
from veracity.settings import Settings
from veracity_client.errors import ModelUnavailable
from veracity_client.verdict import LayerName, ModelInfo, Profile

logger = log.get(__name__)


@dataclass(frozen=True)
class AnalysisContext:
    """Made once a process, read by all analyses in it."""

    settings: Settings
    calibration: Calibration
    vad: Vad
    ffmpeg: Path

    @classmethod
    def from_settings(cls, settings: Settings) -> AnalysisContext:
        """Raises :class:`ModelUnavailable` for a missing VAD, :class:`VeracityError` for a missing ffmpeg."""
        return cls(settings, _calibration(settings), _vad(settings), find_ffmpeg(settings.ffmpeg))

    @property
    def limits(self) -> Limits:
        """What one file may cost."""
        s = self.settings
        return Limits(
            max_bytes=s.max_bytes,
            max_seconds=s.max_seconds,
            max_pixels=s.max_pixels,
            max_frames=s.max_frames,
            cpu_seconds=s.ffmpeg_cpu_seconds,
            memory_bytes=s.ffmpeg_memory_bytes,
            wall_seconds=s.ffmpeg_wall_seconds,
        )

    @property
    def profile(self) -> Profile:
        """The profile's name and how well it measured, which says nothing of other models in its layers."""
        name, unmeasured = self.settings.profile, self.calibration.unmeasured
        choice = choose(name, self.settings.models)
        if self.measures_time or (choice == PROFILES[name] and not unmeasured):
            return Profile(name, self.calibration.statements[name])
        own = {model for layer in PROFILES[name].values() for model, _ in layer} - unmeasured
        asked = dict.fromkeys((*(model for layer in choice.values() for model, _ in layer), *sorted(unmeasured)))
        others = [model for model in asked if model not in own]
        said = (f"{model}: {self.calibration.measurement(model)}" for model in others)
        renamed = choice != PROFILES[name]
        instead = "VERACITY_MODELS instead of its own" if renamed else "other weights than were measured"
        return Profile(name, f"with {instead}. " + ". ".join(said))

    def models(self, layer: LayerName) -> tuple[tuple[str, float], ...]:
        """Return the layer's models in this profile, with their weights."""
        return choose(self.settings.profile, self.settings.models)[layer]

    @property
    def measures_time(self) -> bool:
        """Whether this is the profile ``bench``, whose answers are never judged."""
        return self.settings.profile == BENCH

    def barred(self, model: str) -> str:
        """Return why an installed model may not answer in this profile; empty where it may, or none is installed."""
        folder = self.settings.model_repository / model
        try:
            return "" if self.measures_time else provenance.rejection_reason(folder)
        except provenance.ProvenanceError as error:
            return error.message

    def info(self, model: str) -> ModelInfo:
        """Return the papers of an installed model, and how well it measured."""
        return replace(model_info(self.settings.model_repository, model), measured=self.calibration.measurement(model))


@functools.cache
def model_info(repository: Path, model: str) -> ModelInfo:
    """Read a model's ``provenance.json``, which every export writes beside the graph."""
    data = provenance.read(repository / model)
    return ModelInfo(
        name=model,
        version=str(data.get("version", "1")),
        sha256=data.get("graph_sha256", "unknown"),
        trained_on=provenance.NOTHING if data.get("untrained") else ", ".join(data.get("trained_on", ["unknown"])),
        licence=provenance.licence(MODELS[model]),
    )


def _calibration(settings: Settings) -> Calibration:
    """Read what was measured; the profile's fusion holds where its own models have the weights that were measured."""
    calibration, choice = Calibration.read(settings.calibration or FILE), choose(settings.profile, settings.models)
    known = {model: calibration.checkpoints[model] for model in children(choice) if model in calibration.checkpoints}
    found = {model: provenance.checkpoint(settings.model_repository / model) for model in known}
    unmeasured = [model for model, digest in found.items() if digest not in (None, known[model])]
    if unmeasured:
        logger.warning("uncalibrated, these weights were not measured", models=unmeasured)
    own = choice == PROFILES[settings.profile] and not unmeasured
    return calibration.without(unmeasured).of(settings.profile if own else "")


def _vad(settings: Settings) -> Vad:
    if settings.vad == "energy":
        return energy_vad
    path = settings.weights / VAD_FILE
    if not path.is_file():
        raise ModelUnavailable(
            f"the voice-activity detector {VAD_FILE} is not installed: veracity weights fetch, or VERACITY_VAD=energy"
        )
    return SileroVad(path)
