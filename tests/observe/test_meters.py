"""Counts of several processes of two models in one tritonserver, over deaths and reloads."""

import os
import signal
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc
from prometheus import metrics
from server_models import OPEN, WAIT_SECONDS, eventually, write_python

from veracity.server import Server
from veracity.server.instances import processes

pytestmark = pytest.mark.triton

NAMES = ("one", "two")
INSTANCES = 2
MODEL = """
import os
import numpy as np
import triton_python_backend_utils as pb
from prometheus_client import CollectorRegistry
from veracity_client._meters import Analyses
from veracity_client.metrics import ANALYSIS_SECONDS, VERDICTS, Sample
class TritonPythonModel:
    def initialize(self, args):
        self.meters = Analyses("detector", CollectorRegistry())
    def execute(self, requests):
        return [self.answer(request) for request in requests]
    def answer(self, request):
        for _ in range(int(pb.get_input_tensor_by_name(request, "VIDEO").as_numpy()[0] or 0)):
            self.meters.take([Sample(VERDICTS, ("fake",), 1), Sample(ANALYSIS_SECONDS, (), 2.0)])
        return pb.InferenceResponse([pb.Tensor("VERDICT", np.array([str(os.getpid()).encode()], object))])
"""
CONFIG = f"""
backend: "python"
max_batch_size: 0
input [{{ name: "VIDEO" data_type: TYPE_STRING dims: [ 1 ] }}]
output [{{ name: "VERDICT" data_type: TYPE_STRING dims: [ 1 ] }}]
instance_group [{{ kind: KIND_CPU count: {INSTANCES} }}]
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    for name in NAMES:
        write_python(tmp_path / name, MODEL, CONFIG)
    with Server(tmp_path, access=OPEN, canary_seconds=0.5) as running:
        yield running


def ask(server: Server, name: str, times: int) -> None:
    """Have a model count so often, in whichever process."""
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        video = tritonclient.grpc.InferInput("VIDEO", [1], "BYTES")
        video.set_data_from_numpy(np.array([str(times).encode()], object))
        client.infer(name, [video])


def counted(server: Server) -> tuple[float, float, float]:
    found = metrics(server)
    return (
        found["veracity_verdicts_total", "detector", "fake"],
        found["veracity_analysis_seconds_count", "detector"],
        found["veracity_analysis_seconds_bucket", "detector", "2.5"],
    )


def healed(server: Server, name: str) -> float:
    """How often the model, or a process of it, was started again."""
    return sum(value for key, value in metrics(server).items() if key[:2] == ("veracity_heals_total", name))


def test_counts_go_on_over_deaths_and_reloads(server: Server) -> None:
    """Those of a process, of a whole model, of tritonserver; and no series is there twice."""
    pid, total = server.pid, 0

    def count() -> None:
        nonlocal total
        for name in NAMES * INSTANCES:
            ask(server, name, 5)
            total += 5
        eventually(lambda: counted(server) == (total, total, total))

    count()
    for name in NAMES:
        for most in (1, INSTANCES):  # one of its processes is replaced; all of them: it is unloaded and loaded again
            before = healed(server, name)
            for process in list(processes(server.pid, server._launch.repository / name))[:most]:
                os.kill(process, signal.SIGKILL)
            eventually(lambda name=name, before=before: healed(server, name) > before)  # type: ignore[misc]
            count()
    assert server.pid == pid, "tritonserver died"
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: server.pid != pid and all(model.state == "ready" for model in server.models.values()))
    count()
    with urllib.request.urlopen(server.health_url.replace("/health", "/metrics"), timeout=WAIT_SECONDS) as page:
        lines = [line.rpartition(" ")[0] for line in page.read().decode().splitlines() if line.startswith("veracity_")]
    assert [line for line, times in Counter(lines).items() if times > 1] == []
