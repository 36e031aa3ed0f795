"""``veracity gateway`` as people start it: in front of several servers, and with one of its own."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import media_samples
import psutil
import pytest
from gateway_server import COMMAND, running_gateway
from server_models import alive, descendants

from veracity.server import Server
from veracity.settings import Settings

pytestmark = [pytest.mark.triton, pytest.mark.slow]

SECONDS = 120.0
STARTED = "gateway  http://"


def test_a_job_goes_to_the_server_that_answers(server: Server, media_folder: Path, tmp_path: Path) -> None:
    film = media_samples.talking(media_folder)
    arguments = ("--url", server.grpc_url, "--data", tmp_path)  # after one where nobody answers
    with running_gateway(*arguments) as (url, _), httpx.Client(base_url=url, timeout=SECONDS) as client:
        assert client.get("/health/ready").json() == {"status": "ready"}
        file = {"video": ("a.mp4", film.read_bytes())}
        job = client.post("/analyze-video", files=file).raise_for_status().json()["job_id"]
        said = client.get(f"/jobs/{job}/events").text  # until it ends
        assert said.rstrip().endswith('event: end\r\ndata: {"state": "COMPLETE"}')
        found = client.get(f"/jobs/{job}").json()
        assert (found["state"], found["attempts"]) == ("COMPLETE", 1)
        assert client.post("/predict", files=file).status_code == 200


def heeding_ctrl_c() -> None:
    """What a shell starts in the background ignores it, and so would all below."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def as_ctrl_c(process: "subprocess.Popen[str]") -> None:
    os.killpg(process.pid, signal.SIGINT)  # a terminal tells all of them


@pytest.mark.parametrize(("end", "status"), [(as_ctrl_c, 130), (subprocess.Popen.terminate, 0)])
def test_with_a_server_of_its_own(
    full_repository: Path, settings: Settings, tmp_path: Path, end: Callable[["subprocess.Popen[str]"], None],
    status: int,
) -> None:  # fmt: skip
    assert settings.weights.is_dir()
    log, command = tmp_path / "log", [*COMMAND, "--port", "0", "--data", str(tmp_path / "data")]
    variables = os.environ | {"VERACITY_MODEL_REPOSITORY": str(full_repository)}
    with log.open("w") as stderr, subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True,
        preexec_fn=heeding_ctrl_c,
    ) as process:  # fmt: skip
        assert process.stdout
        said = process.stdout.readline()
        assert said.startswith(STARTED), log.read_text()
        below = descendants(process.pid)
        try:
            names = Counter(psutil.Process(pid).name() for pid in below)
            assert names["tritonserver"] == 1
            answer = httpx.get(f"{said.split()[1]}/health/ready", timeout=SECONDS)
            assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
        finally:
            end(process)
            ended = process.wait(SECONDS)
    assert ended == status, log.read_text()
    assert "Traceback" not in log.read_text()
    deadline = time.monotonic() + 10
    while left := alive(below):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
