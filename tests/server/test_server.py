"""The embedded server against real tritonservers with tiny models made on the spot."""

import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import tritonclient.grpc as grpc
import tritonclient.http as http
from server_models import ask, write_onnx
from tritonclient.utils import InferenceServerException

from veracity.catalog import provenance
from veracity.server import Server, address, binaries, process, repository, rundir
from veracity.server.tritonlog import MAX_BYTES, TritonLog
from veracity_client.errors import ServerUnavailable


@pytest.mark.triton
def test_states_say_what_is_served_and_why_the_rest_is_not(open_server: Server) -> None:
    models = open_server.models
    ready = {name for name, model in models.items() if model.state == "ready"}
    assert ready == {"double", "deepfake_detector", "deepfake_detector_stream"}
    assert models["absent"].state == "missing"
    assert models["absent"].reason == (
        "weights not installed: this version knows no model of that name; its folder has to bring its graph"
    )
    assert models["broken"].state == "failed"
    assert "broken/1/model.onnx" in models["broken"].reason
    assert "PAIR is tensor(int8) in the config, tensor(float) in the graph" in models["lying"].reason
    assert all("\n" not in model.reason and "line" not in model.reason for model in models.values())


@pytest.mark.triton
def test_a_model_of_the_table_that_takes_something_else_is_not_served(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "double", tmp_path / "audio_aasist")
    with Server(tmp_path) as server:
        state = server.models["audio_aasist"]
    assert state.state == "failed"
    assert state.reason.endswith("takes X, which no model of that name here does")


@pytest.mark.triton
def test_serves_grpc_and_http_on_loopback(open_server: Server, client: "grpc.InferenceServerClient") -> None:
    assert ask(client, [[1, 2]]).tolist() == [[11, 22]]
    made = http.InferInput("X", [1, 2], "FP32")
    made.set_data_from_numpy(np.ones((1, 2), np.float32))
    with http.InferenceServerClient(open_server.http_url) as other:
        answer = other.infer("double", [made], outputs=[http.InferRequestedOutput("DOUBLE")])
    assert answer.as_numpy("DOUBLE").tolist() == [[2, 2]]
    assert open_server.http_url.startswith("127.0.0.1:")
    assert open_server.run_dir.stat().st_mode & 0o777 == 0o700


@pytest.mark.triton
def test_large_requests_leave_no_memory_behind_in_tritonserver(
    open_server: Server, client: "grpc.InferenceServerClient"
) -> None:
    made = grpc.InferInput("VIDEO", [1], "BYTES")
    made.set_data_from_numpy(np.array([bytes(40_000_000)], object))

    def own() -> float:
        return float(psutil.Process(open_server.pid).memory_full_info().uss) / 1e6  # not what it shares with models

    before = own()
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(client.infer, "deepfake_detector", [made]) for _ in range(12)]
        assert all(answer.result().as_numpy("VERDICT").item() for answer in answers)
    waited = time.monotonic() + 10
    while own() > before + 100 and time.monotonic() < waited:
        time.sleep(0.1)
    assert own() < before + 100  # of 240 MB that were in it at once


@pytest.mark.triton
def test_detector_calls_its_child(client: "grpc.InferenceServerClient") -> None:
    made = grpc.InferInput("VIDEO", [1], "BYTES")
    made.set_data_from_numpy(np.array([b"abc"], object))
    assert client.infer("deepfake_detector", [made]).as_numpy("VERDICT").tolist() == [b"[[13.0, 23.0]]"]


@pytest.mark.triton
def test_concurrent_requests_share_a_run_and_a_bad_one_fails_alone(client: "grpc.InferenceServerClient") -> None:
    def counts() -> tuple[int, int]:
        stats = client.get_inference_statistics("double").model_stats[0]
        return stats.inference_count, stats.execution_count

    def outcome(row: list[float]) -> list[list[float]] | str:
        try:
            answered: list[list[float]] = ask(client, [row]).tolist()
        except InferenceServerException as error:
            return str(error.message())
        return answered

    before = counts()
    rows = [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0, 3.0], [4.0, 4.0], [5.0, 5.0]]
    with ThreadPoolExecutor(len(rows)) as pool:
        answers = list(pool.map(outcome, rows))
    after = counts()
    bad = answers.pop(2)
    assert answers == [[[r[0] + 10, r[0] + 20]] for r in rows if len(r) == 2]
    assert isinstance(bad, str)
    assert "Add" in bad
    assert after[0] - before[0] > after[1] - before[1]


def test_repository_is_sorted_by_what_can_be_served(models: Path) -> None:
    contents = repository.read(models)
    assert contents.children == ("broken", "double", "lying")
    assert contents.detectors == ("deepfake_detector", "deepfake_detector_stream")
    assert list(contents.missing) == ["absent"]
    assert repository.read(models, ["double", "nobody"]).unknown == ("nobody",)


def test_wrong_directory_is_an_error_with_advice(tmp_path: Path) -> None:
    with pytest.raises(ServerUnavailable, match="VERACITY_TRITON"):
        binaries.find(tmp_path, tmp_path)


def test_python_path_leaves_the_standard_library_out() -> None:
    entries = binaries.python_path(sys.path)
    assert str(Path(np.__file__).parent.parent) in entries
    assert str(Path(os.__file__).parent) not in entries


def test_living_run_is_not_stale() -> None:
    run = rundir.create()
    try:
        assert run.path not in rundir.remove_stale()
        assert run.path.is_dir()
    finally:
        run.remove()
    assert not run.path.exists()


def test_a_run_that_is_removed_twice_closes_nothing_of_others() -> None:
    run = rundir.create()
    run.remove()
    others = [os.open(os.devnull, os.O_RDONLY) for _ in range(8)]  # one has the number that the lock had
    run.remove()
    for descriptor in others:
        os.close(descriptor)  # raises for one that is closed


def test_addresses_are_what_a_client_reaches() -> None:
    assert address.url("0.0.0.0", 1) == "127.0.0.1:1"
    assert address.url("::", 1) == "[::1]:1"
    assert address.url("fe80::2", 1) == "[fe80::2]:1"
    assert address.url("example.org", 1) == "example.org:1"


def test_error_of_triton_is_told_from_its_chatter() -> None:
    said = """2026-01-01T00:00:00Z E 7 server.cc:241] "CudaDriverHelper has not been initialized."
Error: Failed to initialize NVML
2026-01-01T00:00:00Z W 7 metrics.cc:798] "DCGM unable to start: DCGM initialization error"
2026-01-01T00:00:00Z E 7 main.cc:245] "failed to start GRPC service: no permission"
2026-01-01T00:00:00Z I 7 main.cc:250] "error counts: 0"
"""
    assert process.explain(said).endswith('"failed to start GRPC service: no permission"')
    assert "it printed nothing" in process.explain("")


def test_log_is_bounded_and_passed_on_whole(tmp_path: Path) -> None:
    passed = bytearray()
    log = TritonLog(tmp_path / "log", passed.extend)
    chunk = bytes(range(256)) * (MAX_BYTES // 1024)
    with log.path.open("ab", buffering=0) as file:
        for _ in range(9):
            file.write(chunk)
            log.poll()
            assert log.path.stat().st_size <= MAX_BYTES
        log.mark()
        file.write(b"the end")
    assert log.since_mark() == "the end"
    log.poll()
    assert bytes(passed) == chunk * 9 + b"the end"


def test_provenance_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    write_onnx(tmp_path / "double")
    assert provenance.integrity_error(tmp_path / "double") == ""
    (tmp_path / "double/provenance.json").write_text("{}")
    assert provenance.integrity_error(tmp_path / "double") == ""
    (tmp_path / "double/provenance.json").write_text("no JSON")
    assert "provenance.json cannot be read" in provenance.integrity_error(tmp_path / "double")
