"""The metrics of :mod:`veracity_client.metrics` with prometheus_client, which whoever imports this brings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from veracity_client.metrics import ANALYSES, Component, Family, Sample, zeros


def counter(family: Family, registry: CollectorRegistry) -> Counter:
    """Return the counter of a family; the client adds ``_total`` to its name by itself."""
    return Counter(family.name, family.help, family.labels, registry=registry)


def gauge(family: Family, registry: CollectorRegistry) -> Gauge:
    """Return the gauge of a family."""
    return Gauge(family.name, family.help, family.labels, registry=registry)


def histogram(family: Family, registry: CollectorRegistry) -> Histogram:
    """Return the histogram of a family."""
    return Histogram(family.name, family.help, family.labels, registry=registry, buckets=family.buckets)


class Analyses:
    """What one component sees of verdicts and errors."""

    def __init__(self, component: Component, registry: CollectorRegistry) -> None:
        make: Mapping[str, Callable[[Family, CollectorRegistry], MetricWrapperBase]]
        make = {"counter": counter, "histogram": histogram, "gauge": gauge}
        self._component = component
        self._metrics: dict[str, MetricWrapperBase] = {
            family.name: make[family.kind](family, registry) for family in ANALYSES
        }
        self.take(zeros())

    def take(self, samples: Iterable[Sample]) -> None:
        """Add samples."""
        for family, labels, value in samples:
            metric = self._metrics[family.name].labels(self._component, *labels)
            if isinstance(metric, Histogram):
                metric.observe(value)
            elif isinstance(metric, Counter):
                metric.inc(value)
