"""What all analyses of one process share: settings, calibration, voice-activity detector, ffmpeg, installed models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from veracity import log
from veracity.analysis.installed import InstalledModels
from veracity.catalog.assets import VAD, VAD_FILE
from veracity.catalog.profiles import BENCH, PROFILES, Choice, Weighted, children, choose
from veracity.decision.calibration import FILE, Calibration
from veracity.evidence.speech import SileroVad, Vad, energy_vad
from veracity.install.files import sha256
from veracity.media import Limits, find_ffmpeg, isolation, trial
from veracity.media.decoders import DECODERS, Decoder
from veracity.settings import Settings
from veracity_client.errors import ModelUnavailable
from veracity_client.reasons import Reason
from veracity_client.verdict import LayerName, ModelInfo, Profile

logger = log.get(__name__)


@dataclass(frozen=True)
class AnalysisContext:
    """Made once a process, read by all analyses in it.

    ``measured`` is the calibration as it was read; :attr:`calibration` is what of it holds for the weights that are
    installed now.
    """

    settings: Settings
    measured: Calibration
    vad: Vad
    ffmpeg: Path
    installed: InstalledModels
    _calibrations: dict[frozenset[str], Calibration] = field(
        init=False, default_factory=dict, compare=False, repr=False
    )

    @classmethod
    def from_settings(cls, settings: Settings) -> AnalysisContext:
        """Log what decoders are not isolated from.

        Raises :class:`ModelUnavailable` for a missing or altered VAD, :class:`VeracityError` without an ffmpeg or
        an isolation that is required, or where the chosen decoder decodes nothing.
        """
        isolation.check(settings.decoder_isolation)
        trial.check(settings)
        installed = InstalledModels(settings.model_repository)
        context = cls(
            settings,
            Calibration.read(settings.calibration or FILE),
            _vad(settings),
            find_ffmpeg(settings.ffmpeg),
            installed,
        )
        _ = context.calibration  # what was not measured is logged when the process starts
        return context

    @property
    def limits(self) -> Limits:
        """What one file may cost."""
        s = self.settings
        return Limits(
            max_bytes=s.max_bytes,
            max_file_bytes=s.max_file_bytes,
            max_seconds=s.max_seconds,
            max_pixels=s.max_pixels,
            max_frames=s.max_frames,
            cpu_seconds=s.ffmpeg_cpu_seconds,
            memory_bytes=s.ffmpeg_memory_bytes,
            wall_seconds=s.ffmpeg_wall_seconds,
            isolation=s.decoder_isolation,
        )

    @property
    def decoder(self) -> Decoder:
        """What decodes pictures."""
        return DECODERS[self.settings.decoder]

    @property
    def choice(self) -> Choice:
        """The models of each layer, with their weights."""
        return choose(self.settings.profile, self.settings.models)

    def models(self, layer: LayerName) -> Weighted:
        """Return the layer's models in this profile, with their weights."""
        return self.choice[layer]

    @property
    def timing_only(self) -> bool:
        """Whether this is the profile ``bench``, whose scores are never judged."""
        return self.settings.profile == BENCH

    @property
    def calibration(self) -> Calibration:
        """What was measured of the weights that are installed now; the files are looked at, which blocks.

        The profile's own fusion holds where its own models have the weights that were measured.
        """
        choice = self.choice
        unmeasured = self.installed.with_other_weights(self.measured.checkpoints, children(choice))
        if unmeasured not in self._calibrations:
            if unmeasured:
                logger.warning("uncalibrated, these weights were not measured", models=sorted(unmeasured))
            own = choice == PROFILES[self.settings.profile] and not unmeasured
            self._calibrations[unmeasured] = self.measured.without(unmeasured).of(self.settings.profile if own else "")
        return self._calibrations[unmeasured]

    @property
    def profile(self) -> Profile:
        """The profile's name and how well it measured, with the weights that are installed now."""
        return self.profile_with(self.calibration)

    def profile_with(self, calibration: Calibration) -> Profile:
        """Return the profile's name and how well it measured; of other models in its layers each is named."""
        name, unmeasured, choice = self.settings.profile, calibration.unmeasured, self.choice
        if self.timing_only or (choice == PROFILES[name] and not unmeasured):
            return Profile(name, calibration.statements[name])
        own = _names(PROFILES[name]).keys() - unmeasured
        others = [model for model in {**_names(choice), **dict.fromkeys(sorted(unmeasured))} if model not in own]
        measurements = (f"{model}: {calibration.measurement(model)}" for model in others)
        renamed = choice != PROFILES[name]
        instead = "VERACITY_MODELS instead of its own" if renamed else "other weights than were measured"
        return Profile(name, f"with {instead}. " + ". ".join(measurements))

    def rejection(self, model: str) -> Reason | None:
        """Return why an installed model may not answer in this profile; None where it may, or none is installed."""
        return None if self.timing_only else self.installed[model].rejection

    def info(self, model: str) -> ModelInfo:
        """Return what is known of a model as it is installed now, and how well it measured."""
        return replace(self.installed[model].info, measured=self.calibration.measurement(model))


def _names(choice: Choice) -> Mapping[str, None]:
    return dict.fromkeys(model for models in choice.values() for model, _ in models)


def _vad(settings: Settings) -> Vad:
    if settings.vad == "energy":
        return energy_vad
    path = settings.weights / VAD_FILE
    if not path.is_file():
        raise ModelUnavailable(
            f"the voice-activity detector {VAD_FILE} is not installed: veracity weights fetch, or VERACITY_VAD=energy"
        )
    if (found := sha256(path)) != VAD.sha256:
        raise ModelUnavailable(
            f"{VAD_FILE}: its sha256 is {found[:12]}…, this version wants {str(VAD.sha256)[:12]}…: "
            f"veracity weights fetch {VAD_FILE}"
        )
    return SileroVad(path)
