"""Every metric of ours: its name, its meaning, its labels; and what a verdict or an error adds to them.

Detectors and supervisor export them at the health port, the gateway at its own. Where several
of them see the same, the metric is the same and the label ``component`` tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from veracity_client.errors import BY_NAME, AnalysisTimeout, VeracityError
from veracity_client.verdict import InputInfo, Verdict

Kind = Literal["counter", "gauge", "histogram"]
Component = Literal["detector", "gateway", "bulk"]

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
PROBABILITIES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)

LABELS = ("fake", "real", "inconclusive")
LAYERS = ("1_audio", "2_visual", "3_lipsync", "4_semantic")


@dataclass(frozen=True)
class Family:
    """One metric, named as Prometheus shows it."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


class Sample(NamedTuple):
    """What is added to a counter or seen by a histogram; ``labels`` are values in the family's order, but for
    ``component``, which whoever exports it knows.
    """

    family: Family
    labels: tuple[str, ...]
    value: float


def _seen(name: str, kind: Kind, what: str, *labels: str, buckets: tuple[float, ...] = ()) -> Family:
    return Family(name, kind, what, ("component", *labels), buckets)


VERDICTS = _seen("veracity_verdicts_total", "counter", "Verdicts, by their label", "label")
ERRORS = _seen("veracity_errors_total", "counter", "Videos that got an error, by its class", "error")
DEGRADED = _seen(
    "veracity_degraded_verdicts_total", "counter", "Reasons why verdicts are degraded; one may have several", "code"
)
EARLY_STOPS = _seen(
    "veracity_early_stops_total", "counter", "Verdicts for which the policy left layers out (fail-fast)", "policy"
)
LAYER_RESULTS = _seen(
    "veracity_layer_results_total", "counter", "What became of each layer of a verdict; the code is the reason's",
    "layer", "status", "code",
)  # fmt: skip
LAYER_PROBABILITY = _seen(
    "veracity_layer_fake_probability", "histogram", "P(fake) of a layer that scored", "layer", buckets=PROBABILITIES
)
PROBABILITY = _seen(
    "veracity_fake_probability", "histogram", "P(fake) of verdicts that have one", buckets=PROBABILITIES
)
MEDIA_SECONDS = _seen(
    "veracity_media_seconds_total", "counter", "Length of the files that got a verdict: film, sound; a still has none",
    "kind",
)  # fmt: skip
STAGE_SECONDS = _seen(
    "veracity_stage_seconds", "histogram", "Time of one stage of an analysis; stages overlap", "stage", buckets=SECONDS
)
ANALYSIS_SECONDS = _seen(
    "veracity_analysis_seconds", "histogram", "From the arrival of a video to its verdict, or to its timeout",
    buckets=SECONDS,
)  # fmt: skip
QUEUE_SECONDS = _seen(
    "veracity_queue_seconds", "histogram", "What of that was no analysis: queues, sending, reading",
    buckets=SECONDS,
)  # fmt: skip
ANALYSES = (
    VERDICTS, ERRORS, DEGRADED, EARLY_STOPS, LAYER_RESULTS, LAYER_PROBABILITY, PROBABILITY, MEDIA_SECONDS,
    STAGE_SECONDS, ANALYSIS_SECONDS, QUEUE_SECONDS,
)  # fmt: skip

BUILD = Family("veracity_build_info", "gauge", "1; the version that runs", ("component", "version"))
READY = Family("veracity_ready", "gauge", "1 while verdicts can be had")
IN_FLIGHT = Family("veracity_requests_in_flight", "gauge", "Requests that the detectors work on")
MODEL_READY = Family(
    "veracity_model_ready", "gauge", "1 while an installed model, and what it calls, answers", ("model",)
)
MODEL_LOADED = Family(
    "veracity_model_loaded", "gauge", "1 while a model is in memory; a lazy one comes when it is needed", ("model",)
)
MODEL_INFO = Family("veracity_model_info", "gauge", "1; the digest of the graph that is served", ("model", "sha256"))
MODEL_MEASURED = Family(
    "veracity_model_measured", "gauge", "1 where the calibration was measured on the installed weights, else 0",
    ("model",),
)  # fmt: skip
CALIBRATED = Family(
    "veracity_calibration_timestamp_seconds",
    "gauge",
    "When the model's calibration was measured, Unix time",
    ("model",),
)
HEALS = Family(
    "veracity_heals_total", "counter", "Times that a part of the server ended or hung and was started again",
    ("part", "model"),
)  # fmt: skip
FAILED_HEALS = Family(
    "veracity_failed_heals_total", "counter", "Times that a part did not start again; the next attempt follows",
    ("part", "model"),
)  # fmt: skip
SUPERVISOR = (
    BUILD, READY, IN_FLIGHT, MODEL_READY, MODEL_LOADED, MODEL_INFO, MODEL_MEASURED, CALIBRATED, HEALS, FAILED_HEALS,
)  # fmt: skip

REQUESTS = Family(
    "veracity_gateway_requests_total", "counter", "Requests by route and status", ("method", "route", "status")
)
REQUEST_TIME = Family(
    "veracity_gateway_request_seconds", "histogram", "To the beginning of the answer", ("method", "route"),
    REQUEST_SECONDS,
)  # fmt: skip
JOBS = Family("veracity_gateway_jobs", "gauge", "Jobs that are kept, by state", ("state",))
WAITING = Family("veracity_gateway_waiting_seconds", "gauge", "How long the oldest job waits")
QUEUED_BYTES = Family("veracity_gateway_queued_bytes", "gauge", "Bytes of jobs that wait")
QUEUED_VIDEO = Family(
    "veracity_gateway_queued_video_seconds", "gauge",
    "Video of jobs that wait: their bytes, at what a byte was of those that ended here",
)  # fmt: skip
UNDER_WAY = Family("veracity_gateway_jobs_under_way", "gauge", "Jobs that this gateway works on")
GATEWAY = (BUILD, REQUESTS, REQUEST_TIME, JOBS, WAITING, QUEUED_BYTES, QUEUED_VIDEO, UNDER_WAY)

PLACES: dict[str, tuple[Family, ...]] = {
    "health port 8003 (`component=\"detector\"`), gateway (`component=\"gateway\"`)": ANALYSES,
    "health port 8003": SUPERVISOR,
    "gateway `/metrics`": GATEWAY,
}  # fmt: skip


def of_verdict(verdict: Verdict, seconds: float) -> Iterator[Sample]:
    """Yield what a verdict adds, so many seconds after its video arrived."""
    yield Sample(VERDICTS, (verdict.label,), 1)
    for code in sorted({reason.code for reason in verdict.degraded_reasons}):
        yield Sample(DEGRADED, (code,), 1)
    if any(result.code == "not_needed" for result in verdict.layer_results.values()):
        yield Sample(EARLY_STOPS, (verdict.policy,), 1)
    for layer, result in verdict.layer_results.items():
        yield Sample(LAYER_RESULTS, (layer, result.status, result.code or ""), 1)
        if result.fake_probability is not None:
            yield Sample(LAYER_PROBABILITY, (layer,), result.fake_probability)
    if verdict.fake_probability is not None:
        yield Sample(PROBABILITY, (), verdict.fake_probability)
    yield Sample(MEDIA_SECONDS, (kind_of(verdict.input),), verdict.input.seconds or 0.0)
    for stage, took in verdict.timings.items():
        yield Sample(STAGE_SECONDS, (stage,), took)
    yield Sample(ANALYSIS_SECONDS, (), seconds)
    yield Sample(QUEUE_SECONDS, (), max(0.0, seconds - verdict.processing_time))


def of_error(error: str, seconds: float) -> Iterator[Sample]:
    """Yield what an error of a class adds, so many seconds after the video arrived."""
    yield Sample(ERRORS, (error,), 1)
    if error == AnalysisTimeout.__name__:
        yield Sample(ANALYSIS_SECONDS, (), seconds)


def zeros() -> Iterator[Sample]:
    """Yield nothing for each series that may be missed: Prometheus sees no increase where a counter begins at 1."""
    for label in LABELS:
        yield Sample(VERDICTS, (label,), 0)
    for error in BY_NAME.keys() - {VeracityError.__name__}:
        yield Sample(ERRORS, (error,), 0)
    for layer in LAYERS:
        for status, code in (("scored", ""), ("failed", "model_down"), ("failed", "model_failed")):
            yield Sample(LAYER_RESULTS, (layer, status, code), 0)
    yield Sample(EARLY_STOPS, ("fail_fast",), 0)


def kind_of(about: InputInfo) -> str:
    """Return whether a file is a film, a sound or a still."""
    if "video" not in about.codecs:
        return "sound"
    return "film" if about.seconds else "still"


def table() -> str:
    """Return all of them as a table of Markdown."""
    rows = ["| metric | kind | labels | what it says |", "|---|---|---|---|"]
    for place, families in PLACES.items():
        rows.append(f"| **{place}** | | | |")
        rows += [_row(family) for family in families]
    return "\n".join(rows)


def _row(family: Family) -> str:
    labels: Sequence[str] = [f"`{label}`" for label in family.labels]
    return f"| `{family.name}` | {family.kind} | {', '.join(labels) or '–'} | {family.help} |"
