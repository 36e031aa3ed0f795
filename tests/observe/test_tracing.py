"""One trace a video: from the caller's span through the gateway and the detector to every model that it calls."""

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import media_samples
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from gateway_server import gateway, settings_in
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from server_models import eventually

from veracity.server import Server
from veracity.settings import CHECKOUT, Settings
from veracity_client import Detector, Options, telemetry
from veracity_client.errors import BadOption, BadVideo

EXHAUSTIVE = Options(policy="exhaustive")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CALLED = {"face_detector", "audio_starter", "visual_starter", "lipsync_starter", "semantic_starter"}
BATCH = {"OTEL_BSP_SCHEDULE_DELAY": "300"}  # milliseconds; the default, 5 s, makes tests slow


def loaded(name: str) -> ModuleType:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, CHECKOUT / "examples" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


receiving = loaded("trace_receiver")


@pytest.fixture(scope="module")
def receiver() -> Iterator[Any]:
    made = receiving.Receiver()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture(scope="module")
def traced_server(receiver: Any, full_repository: Path, media_folder: Path, settings: Settings) -> Iterator[Server]:
    chosen = Settings(model_repository=full_repository, media_root=media_folder)
    env = {**chosen.to_env(), telemetry.ENDPOINT: receiver.url, **BATCH}
    with Server.from_settings(chosen, env=env) as running:
        yield running


@pytest.fixture(scope="module")
def tracing(receiver: Any) -> Iterator[None]:
    """This process traces, as ``veracity-client`` and ``veracity gateway`` do where the variable is set."""
    patch = pytest.MonkeyPatch()
    patch.setenv(telemetry.ENDPOINT, receiver.url)
    for name, value in BATCH.items():
        patch.setenv(name, value)
    telemetry.start("veracity-client")
    patch.undo()
    yield
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.shutdown()


def whole(receiver: Any, wanted: Callable[[list[Any]], bool]) -> list[Any]:
    """The one trace that has what is wanted, once it is there."""
    found: list[Any] = []

    def look() -> bool:
        found[:] = [spans for spans in receiver.traces().values() if wanted(spans)]
        return bool(found)

    eventually(look)
    (only,) = found
    return list(only)


def chain(spans: list[Any], span: Any) -> list[str]:
    """Names of a span and of all above it, the highest first."""
    by_id = {each.id: each for each in spans}
    names = [span.name]
    while span.parent in by_id:
        span = by_id[span.parent]
        names.insert(0, span.name)
    return names


def models(spans: list[Any]) -> dict[str, Any]:
    """Triton's own span of each model that was called."""
    found = {
        span.attributes.get("triton.model_name"): span for span in spans if span.name in CALLED | {"deepfake_detector"}
    }
    return {str(name): span for name, span in found.items() if name}


def has_stages(spans: list[Any]) -> bool:
    """The last to end are there, those of the analysis and of the client; the sender of each keeps their order."""
    return {"analyze", "analysis"} <= {span.name for span in spans}


def has_all(spans: list[Any]) -> bool:
    return has_stages(spans) and set(models(spans)) >= CALLED | {"deepfake_detector"}


def called_by_stages(spans: list[Any], above: str) -> set[str]:
    """The models that stages of the detector called, as these saw it; ``above`` is what its analysis lies below."""
    found = [chain(spans, span) for span in spans if span.name.startswith("infer ")]
    at = [names.index("analysis") for names in found]
    assert all(names[k - 1] == above for names, k in zip(found, at))
    return {names[-1].removeprefix("infer ") for names, k in zip(found, at) if len(names) > k + 2}


@pytest.mark.triton
def test_one_trace_over_http_has_the_spans_of_triton(
    receiver: Any, traced_server: Server, tracing: None, talking: Path
) -> None:
    receiver.spans.clear()
    with Detector(f"http://{traced_server.http_url}") as detector:
        detector.analyze(talking, EXHAUSTIVE)
    spans = whole(receiver, has_all)
    for name in CALLED:
        assert chain(spans, models(spans)[name])[:3] == ["analyze", "InferRequest", "deepfake_detector"], name
    assert called_by_stages(spans, "deepfake_detector") >= CALLED
    assert {span.service for span in spans} == {"veracity-client", "veracity-server"}


@pytest.mark.triton
@pytest.mark.parametrize("stream", [False, True])
def test_one_trace_over_grpc(receiver: Any, traced_server: Server, tracing: None, talking: Path, stream: bool) -> None:
    receiver.spans.clear()
    pid = traced_server.pid
    with Detector(traced_server.grpc_url) as detector:
        if stream:
            list(detector.stages(talking, EXHAUSTIVE))
        else:
            detector.analyze(talking, EXHAUSTIVE)
    spans = whole(receiver, has_stages)
    assert called_by_stages(spans, "analyze") >= CALLED
    assert not models(spans)
    assert {span.service for span in spans} == {"veracity-client", "veracity-server"}
    assert traced_server.pid == pid, "tritonserver died"


@pytest.mark.triton
def test_no_trace_is_lost(receiver: Any, traced_server: Server, tracing: None, media_folder: Path) -> None:
    receiver.spans.clear()
    voice = media_samples.speech(media_folder)
    for _ in range(20):
        with Detector(traced_server.grpc_url) as detector:
            detector.analyze(voice)
    eventually(lambda: [has_stages(spans) for spans in receiver.traces().values()] == [True] * 20)


@pytest.mark.triton
@pytest.mark.parametrize("given", ["", "00-nonsense", f"{PARENT[:-2]}00"])
def test_what_is_no_trace_to_follow_is_none(
    receiver: Any, traced_server: Server, media_folder: Path, given: str
) -> None:
    """Such a header comes from anywhere; a caller that does not record wants no spans."""
    receiver.spans.clear()
    voice = media_samples.speech(media_folder).read_bytes()
    with triton_grpc.InferenceServerClient(traced_server.grpc_url) as client:
        video = triton_grpc.InferInput("VIDEO", [1, 1], "BYTES")
        video.set_data_from_numpy(np.array([[voice]], dtype=object))
        client.infer("deepfake_detector", [video], headers={"traceparent": given})
    time.sleep(2.0)
    assert receiver.spans == []


@pytest.mark.triton
def test_a_caller_who_does_not_trace_is_not_traced(receiver: Any, traced_server: Server, talking: Path) -> None:
    receiver.spans.clear()
    ask = f"""
import sys
from veracity_client import Detector
with Detector({traced_server.grpc_url!r}) as detector:
    detector.analyze({str(talking)!r})
assert "opentelemetry" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", ask], check=True)
    time.sleep(2.0)
    assert receiver.spans == []


@pytest.mark.triton
def test_a_job_of_the_gateway_is_in_the_trace_of_the_request_that_made_it(
    receiver: Any, traced_server: Server, tracing: None, talking: Path, tmp_path: Path
) -> None:
    receiver.spans.clear()
    with gateway(settings_in(tmp_path, urls=(traced_server.grpc_url,))) as url, httpx.Client(base_url=url) as client:
        with talking.open("rb") as file:
            made = client.post(
                "/analyze-video", files={"video": file}, data={"policy": "exhaustive"}, headers={"traceparent": PARENT}
            )
        job = made.json()["job_id"]
        eventually(lambda: client.get(f"/jobs/{job}").json()["state"] == "COMPLETE")
    spans = whole(receiver, has_stages)
    assert {span.trace for span in spans} == {PARENT.split("-")[1]}
    request = next(span for span in spans if span.parent == PARENT.split("-")[2])
    assert request.name == "POST /analyze-video"
    (analysis,) = (span for span in spans if span.name == "analysis")
    assert chain(spans, analysis) == ["POST /analyze-video", "job", "analyze", "analysis"]
    assert called_by_stages(spans, "analyze") >= CALLED


def test_nothing_is_sent_unless_an_endpoint_is_set() -> None:
    assert telemetry.endpoint({}) is None
    assert telemetry.endpoint({telemetry.ENDPOINT: "http://here:4318/"}) == "http://here:4318/v1/traces"
    assert telemetry.endpoint({telemetry.TRACES_ENDPOINT: "http://here/spans"}) == "http://here/spans"
    for off in ({"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}):
        assert telemetry.endpoint({telemetry.ENDPOINT: "http://here:4318", **off}) is None
    with pytest.raises(BadOption, match="OTEL_EXPORTER_OTLP_PROTOCOL: spans are sent over HTTP alone"):
        telemetry.endpoint({telemetry.ENDPOINT: "http://here:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})


def test_an_endpoint_without_the_packages_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry.check()
    monkeypatch.setenv(telemetry.ENDPOINT, "http://localhost:4318")
    monkeypatch.setattr(telemetry, "PACKAGES", ("opentelemetry.nowhere",))
    with pytest.raises(BadOption, match=r"opentelemetry\.nowhere is missing: it comes with the extra 'telemetry'"):
        Server.from_settings(Settings())


def test_an_error_marks_the_span_of_the_call(receiver: Any, tracing: None, doubles: Server) -> None:
    receiver.spans.clear()
    with Detector(doubles.grpc_url) as detector, pytest.raises(BadVideo):
        detector.analyze(b"error BadVideo: no moov atom")
    (span,) = whole(receiver, bool)
    assert span.name == "analyze"
    assert "no moov atom" in json.dumps(span.events)


def test_a_stream_that_is_left_early_ends_its_span(
    receiver: Any, tracing: None, doubles: Server, tmp_path: Path
) -> None:
    receiver.spans.clear()
    with Detector(doubles.grpc_url) as detector:
        events = detector.stages(f"watch {tmp_path / 'left'}".encode())
        next(events)
        assert not trace.get_current_span().get_span_context().is_valid  # no other work falls below it
        events.close()
    (span,) = whole(receiver, bool)
    assert span.events == []
