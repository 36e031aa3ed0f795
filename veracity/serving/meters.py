"""The metrics of :mod:`veracity_client.metrics` as Triton's custom metrics, at its metrics port."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import triton_python_backend_utils as pb

from veracity import log
from veracity_client.metrics import Family, Sample

COMPONENT = "detector"

logger = log.get(__name__)


class Meters:
    """What the detectors of one tritonserver see, added up by Triton, soon; any thread may say so.

    One thread counts: where two threads of a process count at one time, tritonserver 2.51 ends with SIGSEGV.

    Every process of both detectors has the same series: Triton gives each the same counter. It also takes a counter out
    of its registry when one process deletes it, whoever else holds it, and the next increment writes into freed memory.
    So none is ever deleted: counts go on over the death of a process and over a model that is loaded again, and end
    with tritonserver.
    """

    def __init__(self) -> None:
        self._families: dict[str, Any] = {}
        self._metrics: dict[tuple[str, tuple[str, ...]], Any] = {}
        self._thread = ThreadPoolExecutor(1, "meters")

    def take(self, samples: Iterable[Sample]) -> None:
        """Add samples, soon."""
        self._thread.submit(self._add, samples)

    def _add(self, samples: Iterable[Sample]) -> None:
        try:
            for family, labels, value in samples:
                metric = self._metric(family, labels)
                if family.kind == "histogram":
                    metric.observe(value)
                else:
                    metric.increment(value)
        except pb.TritonModelException:
            logger.exception("metrics were not counted")

    def _metric(self, family: Family, labels: tuple[str, ...]) -> Any:
        key = family.name, labels
        if key not in self._metrics:
            named = dict(zip(family.labels, (COMPONENT, *labels)))
            buckets = {"buckets": list(family.buckets)} if family.kind == "histogram" else {}
            self._metrics[key] = _kept(self._family(family).Metric(labels=named, **buckets))
        return self._metrics[key]

    def _family(self, family: Family) -> Any:
        if family.name not in self._families:
            kind = getattr(pb.MetricFamily, family.kind.upper())
            made = pb.MetricFamily(name=family.name, description=family.help, kind=kind)
            self._families[family.name] = _kept(made)
        return self._families[family.name]


def _kept(metric: Any) -> Any:
    """Return an object of Triton's that lives until the process ends, whose destructor would delete the series."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(metric))
    return metric
