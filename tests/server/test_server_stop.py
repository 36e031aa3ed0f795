"""A server that stops answers what it has, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tritonclient.grpc as grpc
from server_models import (
    DECOUPLED,
    PYTHON_CONFIG,
    SLEEPER,
    STREAM_SLEEPER,
    TWO_INSTANCES,
    WAIT_SECONDS,
    alive,
    ask_slow,
    descendants,
    eventually,
    shared_memory,
    write_onnx,
    write_python,
)
from tritonclient.utils import InferenceServerException

from veracity.server import Server, reaper, rundir


@pytest.mark.triton
def test_stop_leaves_nothing_even_with_a_dead_model_process(models: Path) -> None:
    with Server(models, models=["double"], canary_seconds=WAIT_SECONDS, drain_seconds=1) as server:
        below, run_dir = {server.pid} | descendants(server.pid), server.run_dir
        assert len(below) == 3  # the server and its two model processes
        assert shared_memory(run_dir)
        server.request_stop()  # so that nothing is reloaded
        for stub in reaper.child_processes(server.pid):
            os.kill(stub, signal.SIGKILL)
    assert not alive(below)
    assert not shared_memory(run_dir)
    assert not run_dir.exists()


SUPERVISOR = """
import json, sys
from pathlib import Path
from veracity import log
from veracity.server import Server
log.configure()
server = Server(Path(sys.argv[1]), models=["double"])
server.start()
sys.stdout.write(json.dumps([server.pid, str(server.run_dir)]) + "\\n")
sys.stdout.flush()
server.wait()
"""


@pytest.fixture
def supervisor(models: Path) -> Iterator["tuple[subprocess.Popen[str], set[int], Path]"]:
    """A supervisor of its own; with the processes below it and its run directory."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", SUPERVISOR, str(models)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env) as process:
        assert process.stdout
        pid, run_dir = json.loads(process.stdout.readline())
        below = descendants(process.pid)
        assert pid in below
        yield process, below, Path(run_dir)
        process.kill()


@pytest.mark.triton
def test_killed_supervisor_leaves_nothing(supervisor: "tuple[subprocess.Popen[str], set[int], Path]") -> None:
    process, below, run_dir = supervisor
    process.kill()
    eventually(lambda: not alive(below) and not run_dir.exists())
    assert not shared_memory(run_dir)


@pytest.mark.triton
def test_killed_with_its_reaper_it_leaves_no_process(
    supervisor: "tuple[subprocess.Popen[str], set[int], Path]",
) -> None:
    process, below, run_dir = supervisor
    os.kill(process.pid, signal.SIGSTOP)
    for pid in reaper.child_processes(process.pid):  # whatever stands between it and the servers
        os.kill(pid, signal.SIGKILL)
    process.kill()
    process.wait()
    eventually(lambda: not alive(below))
    assert run_dir in rundir.remove_stale()
    assert not shared_memory(run_dir)


@pytest.mark.triton
def test_next_start_removes_what_a_killed_reaper_could_not(
    supervisor: "tuple[subprocess.Popen[str], set[int], Path]",
) -> None:
    process, below, run_dir = supervisor
    os.kill(process.pid, signal.SIGSTOP)  # so that it restarts nothing
    for reaper_pid in reaper.child_processes(process.pid):  # tritonserver's and the proxy's
        os.kill(reaper_pid, signal.SIGKILL)
    process.kill()
    process.wait()
    assert run_dir in rundir.remove_stale()
    eventually(lambda: not alive(below))
    assert not run_dir.exists()
    assert not shared_memory(run_dir)


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """Both detectors, which answer after as many seconds as they are asked for."""
    write_python(tmp_path / "models/deepfake_detector", SLEEPER, PYTHON_CONFIG + TWO_INSTANCES)
    write_python(tmp_path / "models/deepfake_detector_stream", STREAM_SLEEPER, PYTHON_CONFIG + DECOUPLED)
    (tmp_path / "busy").mkdir()
    return tmp_path / "models"


@pytest.fixture
def sleeper(tmp_path: Path) -> Path:
    """The one detector, of two processes."""
    write_python(tmp_path / "models/deepfake_detector", SLEEPER, PYTHON_CONFIG + TWO_INSTANCES)
    (tmp_path / "busy").mkdir()
    return tmp_path / "models"


@pytest.mark.triton
@pytest.mark.parametrize("model", ["deepfake_detector", "deepfake_detector_stream"])
def test_request_in_flight_is_answered_and_a_new_one_refused(slow: Path, model: str) -> None:
    busy = slow.parent / "busy"
    with ThreadPoolExecutor(2) as pool:
        with Server(slow, env={"BUSY_FOLDER": str(busy)}, drain_seconds=WAIT_SECONDS) as server:
            url = server.grpc_url
            asked = pool.submit(ask_slow, url, model, 2.0)
            eventually(lambda: any(busy.iterdir()))
            stop = pool.submit(server.stop)
            with grpc.InferenceServerClient(url) as client:
                eventually(lambda: not client.is_model_ready(model))
            with pytest.raises(InferenceServerException, match=r"unknown model|not ready"):
                ask_slow(url, model, 0.0)
            assert not asked.done()
            stop.result()
        assert asked.result() == next(busy.iterdir()).name.encode()


@pytest.mark.triton
@pytest.mark.parametrize("drains", [True, False], ids=["deadline", "second signal"])
def test_stop_waits_no_longer_than_it_is_told(slow: Path, drains: bool) -> None:
    busy = slow.parent / "busy"
    seconds = 1.0 if drains else 4 * WAIT_SECONDS
    server = Server(slow, env={"BUSY_FOLDER": str(busy)}, drain_seconds=seconds)
    server.start()
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(ask_slow, server.grpc_url, "deepfake_detector", 3 * WAIT_SECONDS)
        eventually(lambda: any(busy.iterdir()))
        server.request_stop()
        stop = pool.submit(server.stop)
        if not drains:
            server.request_stop(drain=False)
        stop.result(WAIT_SECONDS)
        with pytest.raises(InferenceServerException):
            asked.result()


@pytest.mark.triton
def test_stop_after_idle_is_quick_and_cuts_nothing(sleeper: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also after a process died at work, whose request Triton itself counts as in flight for ever."""
    busy = sleeper.parent / "busy"
    with ThreadPoolExecutor(1) as pool:
        with Server(sleeper, env={"BUSY_FOLDER": str(busy)}, drain_seconds=10 * WAIT_SECONDS) as server:
            asked = pool.submit(ask_slow, server.grpc_url, "deepfake_detector", WAIT_SECONDS)
            eventually(lambda: any(busy.iterdir()))
            (at_work,) = {int(path.name) for path in busy.iterdir()}
            os.kill(at_work, signal.SIGKILL)
            with pytest.raises(InferenceServerException, match="not healthy"):
                asked.result()
            eventually(lambda: len(reaper.child_processes(server.pid) - {at_work}) == 2)
        assert "cut off" not in "".join(capsys.readouterr())


@pytest.mark.triton
def test_what_a_stop_cuts_off_is_counted(sleeper: Path, capsys: pytest.CaptureFixture[str]) -> None:
    busy = sleeper.parent / "busy"
    server = Server(sleeper, env={"BUSY_FOLDER": str(busy)}, drain_seconds=1.0)
    server.start()
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask_slow, server.grpc_url, "deepfake_detector", 3 * WAIT_SECONDS) for _ in range(2)]
        eventually(lambda: len(list(busy.iterdir())) == 2)
        server.stop()
        for future in asked:
            with pytest.raises(InferenceServerException):
                future.result()
    said = "".join(capsys.readouterr())
    assert "requests were cut off" in said
    assert "running=2" in said


@pytest.mark.triton
def test_last_lines_are_passed_on(tmp_path: Path) -> None:
    said = bytearray()
    write_onnx(tmp_path / "double")
    with Server(tmp_path, log_sink=said.extend):
        pass
    assert b"Started GRPCInferenceService" in said
    assert b"Signal (15) received." in said  # what Triton logs when it stops
