"""What a verdict and an error add to the metrics, and what the supervisor says of models without a server."""

import dataclasses
import json
from pathlib import Path

import pytest
from canned import VERDICT
from prometheus_client import CollectorRegistry, generate_latest

from veracity.server.health import ModelState
from veracity.server.measured import Measured
from veracity.server.status import Status, StatusPages
from veracity.settings import CHECKOUT
from veracity_client import metrics
from veracity_client._meters import Analyses
from veracity_client.metrics import of_error, of_verdict

CALIBRATION = CHECKOUT / "veracity/decision/calibration.toml"


def page(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_a_verdict_and_an_error_in_a_registry() -> None:
    registry = CollectorRegistry()
    analyses = Analyses("gateway", registry)
    analyses.take(of_verdict(VERDICT, 2.0))
    analyses.take(of_error("AnalysisTimeout", 40.0))
    found = set(page(registry))
    layer = 'veracity_layer_results_total{code="%s",component="gateway",layer="%s",status="%s"} 1.0'
    assert found >= {
        'veracity_verdicts_total{component="gateway",label="fake"} 1.0',
        'veracity_verdicts_total{component="gateway",label="real"} 0.0',
        'veracity_errors_total{component="gateway",error="AnalysisTimeout"} 1.0',
        'veracity_errors_total{component="gateway",error="InternalError"} 0.0',
        layer % ("", "1_audio", "scored"),
        layer % ("model_down", "3_lipsync", "failed"),
        layer % ("weights_missing", "4_semantic", "abstained"),
        'veracity_degraded_verdicts_total{code="model_down",component="gateway"} 1.0',
        'veracity_layer_fake_probability_bucket{component="gateway",layer="1_audio",le="0.95"} 0.0',
        'veracity_layer_fake_probability_bucket{component="gateway",layer="1_audio",le="1.0"} 1.0',
        'veracity_media_seconds_total{component="gateway",kind="film"} 4.0',
        'veracity_stage_seconds_sum{component="gateway",stage="1_audio"} 0.5',
        'veracity_analysis_seconds_bucket{component="gateway",le="30.0"} 1.0',
        'veracity_analysis_seconds_count{component="gateway"} 2.0',
        'veracity_queue_seconds_sum{component="gateway"} 1.3',
    }


def test_a_model_with_other_weights_than_were_measured(tmp_path: Path) -> None:
    for name, checkpoint in (("audio_starter", "other"), ("visual_starter", None)):
        known = json.loads((CHECKOUT / "model_repository" / name / "provenance.json").read_text())
        (tmp_path / name).mkdir()
        known |= {"graph_sha256": "1" * 64} | ({"checkpoint_sha256": checkpoint} if checkpoint else {})
        (tmp_path / name / "provenance.json").write_text(json.dumps(known))
    registry = CollectorRegistry()
    registry.register(Measured(tmp_path, CALIBRATION, lambda: ["audio_starter", "visual_starter", "deepfake_detector"]))
    found = page(registry)
    assert 'veracity_model_measured{model="audio_starter"} 0.0' in found
    assert 'veracity_model_measured{model="visual_starter"} 1.0' in found
    assert f'veracity_model_info{{model="audio_starter",sha256="{"1" * 64}"}} 1.0' in found
    assert not [line for line in found if "deepfake_detector" in line]


def test_a_calibration_that_cannot_be_read_leaves_the_other_gauges(tmp_path: Path) -> None:
    (tmp_path / "calibration.toml").write_text("no toml")
    registry = CollectorRegistry()
    registry.register(Measured(CHECKOUT / "model_repository", tmp_path / "calibration.toml", lambda: ["audio_starter"]))
    assert [line.partition("{")[0] for line in page(registry)] == ["veracity_model_info"]


def test_a_model_that_is_not_installed_has_no_readiness() -> None:
    states = {"audio_starter": ModelState("ready"), "lipsync_syncnet": ModelState("missing", "no weights")}
    registry = CollectorRegistry()
    StatusPages(lambda: Status("serving", states, 0), dict, registry)
    assert [line for line in page(registry) if "veracity_model_ready" in line] == [
        'veracity_model_ready{model="audio_starter"} 1.0'
    ]


@pytest.mark.parametrize(
    ("codecs", "seconds", "kind"),
    [
        ({"video": "h264", "audio": "aac"}, 4.0, "film"),
        ({"video": "png"}, None, "still"),
        ({"audio": "mp3"}, 4.0, "sound"),
    ],
)
def test_kinds_of_files(codecs: dict[str, str], seconds: float | None, kind: str) -> None:
    assert metrics.kind_of(dataclasses.replace(VERDICT.input, codecs=codecs, seconds=seconds)) == kind
