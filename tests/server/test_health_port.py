"""The health port: what it says of a server that starts, serves, loses parts of itself, and stops."""

import json
import os
import signal
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args

import canned
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from restartable import free_ports
from server_models import (
    OPEN,
    PYTHON_CONFIG,
    SLEEPER,
    TWO_INSTANCES,
    WAIT_SECONDS,
    ask_slow,
    eventually,
    make_repository,
    write_python,
)

from veracity import __version__
from veracity.server import Server
from veracity.server.instances import processes
from veracity.server.proxy.access import Access
from veracity.server.proxy.keys import KeyRing
from veracity.server.status import Phase, Status, StatusPages

KEY = "alice-0123456789abcdef"
NAMES = ("double", "deepfake_detector", "deepfake_detector_stream")
Samples = dict[tuple[str, ...], float]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[Server]:
    with Server(models, models=NAMES, access=OPEN, canary_seconds=0.5) as running:
        yield running


def get(url: str, key: str = "", tls: ssl.SSLContext | None = None) -> tuple[int, bytes]:
    """Return the status and the body of a page; 0 where nothing listens."""
    request = urllib.request.Request(url, headers={"x-api-key": key} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS, context=tls) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 0, b""


def page(server: Server, path: str = "") -> dict[str, Any]:
    content: dict[str, Any] = json.loads(get(server.health_url + path)[1])
    return content


def is_ready(server: Server) -> bool:
    return get(f"{server.health_url}/ready")[0] == 200


def metrics(server: Server) -> Samples:
    """Return each sample of ours by its name and the values of its labels, which are sorted by their names."""
    _, text = get(server.health_url.replace("/health", "/metrics"))
    families = text_string_to_metric_families(text.decode())
    return {(s.name, *dict(sorted(s.labels.items())).values()): s.value for f in families for s in f.samples}


def heals(server: Server, part: str, model: str = "") -> float:
    return metrics(server).get(("veracity_heals_total", model, part), 0.0)


def failed_heals(server: Server, part: str, model: str) -> float:
    return metrics(server).get(("veracity_failed_heals_total", model, part), 0.0)


@pytest.mark.triton
def test_a_server_that_serves(server: Server) -> None:
    assert page(server, "/live") == {"live": True}
    assert page(server, "/ready") == {"ready": True}
    whole = page(server)
    assert (whole["ready"], whole["phase"], whole["faults"], whole["requests_in_flight"]) == (True, "serving", [], 0)
    assert whole["models"] == {name: {"state": "ready", "reason": ""} for name in NAMES}
    version = json.loads(get(server.health_url.replace("/health", "/version"))[1])
    assert version == {"version": __version__, "models": {}}
    samples = metrics(server)
    assert samples["veracity_ready",] == 1
    assert {name: samples["veracity_model_ready", name] for name in NAMES} == dict.fromkeys(NAMES, 1)
    assert get(server.health_url.replace("/health", "/"))[0] == 404


def test_only_a_server_without_supervision_is_not_live() -> None:
    phases: tuple[Phase, ...] = get_args(Phase)
    pages = {phase: StatusPages(partial(Status, phase, {}, 0), dict, CollectorRegistry()) for phase in phases}
    codes = {phase: (page.get("/health/live").code, page.get("/health/ready").code) for phase, page in pages.items()}
    assert codes == {"starting": (200, 503), "serving": (200, 200), "stopping": (200, 503), "broken": (503, 503)}


@pytest.mark.triton
def test_starting_is_live_and_not_ready(models: Path) -> None:
    (port,) = free_ports(["127.0.0.1"], 1)
    server, seen = Server(models, models=NAMES, health_port=port), set()
    url = f"http://127.0.0.1:{port}/health"
    start = threading.Thread(target=server.start)
    start.start()
    try:
        while start.is_alive():
            seen.add((get(f"{url}/live")[0], get(f"{url}/ready")[0]))
        assert (200, 503) in seen
        assert is_ready(server)
    finally:
        start.join()
        server.stop()
    assert get(f"{url}/live")[0] == 0


@pytest.mark.triton
def test_a_detector_is_ready_only_while_its_models_are(server: Server) -> None:
    before = heals(server, "model", "double")
    for pid in processes(server.pid, server._launch.repository / "double"):
        os.kill(pid, signal.SIGKILL)
    with_models_down = ("deepfake_detector: waits for double", "deepfake_detector_stream: waits for double")
    eventually(lambda: set(with_models_down) <= set(page(server)["faults"]))
    eventually(lambda: is_ready(server))
    assert heals(server, "model", "double") == before + 1


@pytest.mark.triton
def test_a_gauge_falls_with_the_model(server: Server, models: Path) -> None:
    graph = models / "double/1/model.onnx"
    whole = graph.read_bytes()
    try:
        graph.write_bytes(b"no graph")
        for pid in processes(server.pid, models / "double"):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: metrics(server)["veracity_model_ready", "double"] == 0)
        samples = metrics(server)
        assert (samples["veracity_ready",], samples["veracity_model_ready", "deepfake_detector"]) == (0, 0)
        eventually(lambda: failed_heals(server, "model", "double") >= 1)
        reason = page(server)["models"]["double"]["reason"]
        assert reason
        assert str(models) not in reason
        assert "/" not in reason.replace("https://", "")
    finally:
        graph.write_bytes(whole)
    eventually(lambda: is_ready(server))


@pytest.mark.triton
def test_tritonserver_and_proxy_are_counted(server: Server) -> None:
    os.kill(server.pid, signal.SIGKILL)
    eventually(lambda: page(server).get("ready") is False)
    assert page(server, "/live") == {"live": True}
    eventually(lambda: is_ready(server))
    assert heals(server, "tritonserver") == 1
    os.kill(server.proxy_pid, signal.SIGKILL)
    eventually(lambda: heals(server, "proxy") == 1)


@pytest.mark.triton
@pytest.mark.slow
def test_giving_up_is_said(tmp_path: Path) -> None:
    models = make_repository(tmp_path)
    with Server(models, models=NAMES, access=OPEN, canary_seconds=0.5) as server:
        file = models / "double/config.pbtxt"
        whole = file.read_text()
        file.write_text(whole + "no config")
        for pid in processes(server.pid, models / "double"):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: "given up after 5 attempts" in page(server)["models"]["double"]["reason"])
        assert not is_ready(server)
        assert failed_heals(server, "model", "double") == 5


@pytest.mark.triton
def test_a_server_that_stops_is_not_ready(tmp_path: Path) -> None:
    write_python(tmp_path / "models/sleeper", SLEEPER, PYTHON_CONFIG + TWO_INSTANCES)
    (tmp_path / "busy").mkdir()
    with Server(tmp_path / "models", access=OPEN, env={"BUSY_FOLDER": str(tmp_path / "busy")}) as server:
        asking = threading.Thread(target=ask_slow, args=(server.grpc_url, "sleeper", 3.0))
        asking.start()
        eventually(lambda: any((tmp_path / "busy").iterdir()))
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        eventually(lambda: page(server).get("faults") == ["the server is stopping"])
        assert page(server, "/live") == {"live": True}
        asking.join()
        stopping.join()


@pytest.mark.triton
def test_only_probes_need_no_key(models: Path, tmp_path: Path) -> None:
    canned.install(tmp_path)
    access = Access(keys=KeyRing(f"alice:{KEY}"))
    with Server(tmp_path, models=["deepfake_detector"], access=access) as server:
        origin = server.health_url.removesuffix("/health")
        for path, without in (("/health/live", 200), ("/health/ready", 200), ("/health", 401), ("/version", 401)):
            assert get(origin + path)[0] == without, path
            assert get(origin + path, KEY)[0] == 200, path
        assert get(f"{origin}/metrics")[0] == 401
        assert b"veracity_ready 1.0" in get(f"{origin}/metrics", KEY)[1]
