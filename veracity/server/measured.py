"""What is served and how it was measured, as gauges: digests, and the age of the calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, time, timezone
from functools import cached_property
from pathlib import Path

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from veracity import log
from veracity.analysis.installed import InstalledModels
from veracity.catalog import MODELS
from veracity.decision.calibration import Calibration
from veracity.decision.toml_table import CalibrationError
from veracity.server.status import gauge
from veracity_client import metrics

_log = log.get(__name__)


class Measured(Collector):
    """Gauges of the models that ``served`` names, of a repository and by a calibration."""

    def __init__(self, repository: Path, calibration: Path, served: Callable[[], Iterable[str]]) -> None:
        self._installed, self._file, self._served = InstalledModels(repository), calibration, served

    @cached_property
    def _calibration(self) -> Calibration | None:
        try:
            return Calibration.read(self._file)
        except CalibrationError as error:  # the detectors do not load with it, and say why
            _log.error("no gauges of the calibration", reason=error.message)
            return None

    def collect(self) -> Iterable[Metric]:
        """Look at the files, where they changed."""
        served = [name for name in self._served() if name in MODELS]
        yield gauge(metrics.MODEL_INFO, {(name, self._installed[name].info.sha256): 1.0 for name in served})
        if (calibration := self._calibration) is None:
            return
        known = [name for name in served if name in calibration.checkpoints]
        others = self._installed.with_other_weights(calibration.checkpoints, known)
        yield gauge(metrics.MODEL_MEASURED, {(name,): float(name not in others) for name in known})
        dates = {name: calibration.dates[name] for name in served if name in calibration.dates}
        midnight = {(name,): datetime.combine(date, time(), timezone.utc) for name, date in dates.items()}
        yield gauge(metrics.CALIBRATED, {labels: moment.timestamp() for labels, moment in midnight.items()})
