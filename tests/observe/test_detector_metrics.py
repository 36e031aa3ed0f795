"""What the detectors of a real tritonserver count, and what the health port says of the models."""

from collections import Counter
from pathlib import Path

import pytest
from prometheus import Series, series
from server_models import eventually

from veracity.server import Server
from veracity_client import Detector, Options, Verdict, metrics
from veracity_client.errors import BadVideo
from veracity_client.metrics import Family

pytestmark = pytest.mark.triton
EXHAUSTIVE = Options(policy="exhaustive")
DETECTORS = ("deepfake_detector", "deepfake_detector_stream")


def count(found: Series, family: Family, *labels: str) -> float:
    """A counter's value; labels in the order of the family, without the component."""
    named = dict(zip(family.labels, ("detector", *labels)))
    return found.get((family.name, *dict(sorted(named.items())).values()), 0.0)


def verdicts(server: Server) -> float:
    """How many verdicts the detectors counted, all labels together."""
    found = series(server.health_url.replace("/health", "/metrics"))
    return sum(count(found, metrics.VERDICTS, label) for label in metrics.LABELS)


def test_a_verdict_is_counted_with_its_layers_and_stages(server: Server, talking: Path) -> None:
    before = series(server.health_url.replace("/health", "/metrics"))
    with Detector(server.grpc_url) as detector:
        verdict = detector.analyze(talking, EXHAUSTIVE)
        *_, streamed = detector.stages(talking, Options(layers=("audio",)))
    assert isinstance(streamed, Verdict)
    verdicts_before = sum(count(before, metrics.VERDICTS, label) for label in metrics.LABELS)
    eventually(lambda: verdicts(server) == verdicts_before + 2)
    after = series(server.health_url.replace("/health", "/metrics"))
    expected = Counter((layer, result.status, result.code or "")
                       for each in (verdict, streamed) for layer, result in each.layer_results.items())  # fmt: skip
    for labels, times in expected.items():
        assert count(after, metrics.LAYER_RESULTS, *labels) - count(before, metrics.LAYER_RESULTS, *labels) == times
    for stage in verdict.timings:
        assert after["veracity_stage_seconds_count", "detector", stage] >= 1
    seconds = sum(each.input.seconds or 0.0 for each in (verdict, streamed))
    total = count(after, metrics.MEDIA_SECONDS, "film") - count(before, metrics.MEDIA_SECONDS, "film")
    assert total == pytest.approx(seconds)
    scored = [layer for layer, result in verdict.layer_results.items() if result.fake_probability is not None]
    for layer in scored:
        buckets = [
            value
            for key, value in after.items()
            if key[:3] == ("veracity_layer_fake_probability_bucket", "detector", layer)
        ]
        assert len(buckets) == len(metrics.PROBABILITIES) + 1  # one for infinity
        assert max(buckets) == after["veracity_layer_fake_probability_count", "detector", layer]


def test_an_error_is_counted_by_its_class_and_a_probe_is_not(server: Server) -> None:
    def errors() -> dict[str, float]:
        found = series(server.health_url.replace("/health", "/metrics"))
        return {key[2]: value for key, value in found.items() if key[0] == metrics.ERRORS.name and value}

    before = errors()
    with Detector(server.grpc_url) as detector:
        with pytest.raises(BadVideo):
            detector.analyze(b"no video")
        with pytest.raises(BadVideo):
            list(detector.stages(b"no video"))
        with pytest.raises(BadVideo):
            detector.analyze(b"")  # as the supervisor's probes
    eventually(lambda: errors().get("BadVideo", 0) == before.get("BadVideo", 0) + 2)
    assert {name for name in errors() if name != "BadVideo"} == before.keys() - {"BadVideo"}


def test_the_health_port_says_what_is_served_and_how_it_was_measured(server: Server) -> None:
    found = series(server.health_url.replace("/health", "/metrics"))
    digests = {key[1]: key[2] for key in found if key[0] == "veracity_model_info"}
    assert set(digests) >= {"audio_starter", "face_detector"}
    assert all(len(digest) == 64 for digest in digests.values())
    assert found["veracity_model_measured", "audio_starter"] == 1
    tiny = {"visual_starter", "lipsync_starter", "semantic_starter"}
    assert {name: found["veracity_model_measured", name] for name in tiny} == dict.fromkeys(tiny, 0)
    assert found["veracity_calibration_timestamp_seconds", "audio_starter"] > 1.7e9
