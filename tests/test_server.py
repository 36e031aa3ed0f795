"""The embedded server against real tritonservers with tiny models made on the spot."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import tritonclient.grpc as grpc
import tritonclient.http as http
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from veracity.server import Server, binaries, guard, repository, rundir
from veracity_client.errors import ModelUnavailable, ServerUnavailable

PATIENCE = 30.0  # seconds until a test gives up waiting; none waits so long when all is well

ONNX_CONFIG = """
backend: "onnxruntime"
max_batch_size: 8
input [{ name: "X" data_type: TYPE_FP32 dims: [ -1 ] }]
output [{ name: "DOUBLE" data_type: TYPE_FP32 dims: [ -1 ] }, { name: "PAIR" data_type: TYPE_FP32 dims: [ 2 ] }]
dynamic_batching { max_queue_delay_microseconds: 300000 preferred_batch_size: [ 8 ] }
parameters { key: "intra_op_thread_count" value { string_value: "1" } }
model_warmup [{
  name: "two" batch_size: 1
  inputs { key: "X" value { data_type: TYPE_FP32 dims: [ 2 ] zero_data: true } }
}]
"""
PYTHON_CONFIG = """
backend: "python"
max_batch_size: 0
input [{ name: "VIDEO" data_type: TYPE_STRING dims: [ 1 ] }]
output [{ name: "VERDICT" data_type: TYPE_STRING dims: [ 1 ] }]
"""
DECOUPLED = "model_transaction_policy { decoupled: true }\n"
DETECTOR = """
import numpy as np
import triton_python_backend_utils as pb
class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]
    def answer(self, request):
        video = pb.get_input_tensor_by_name(request, "VIDEO").as_numpy()[0]
        if not video:
            return pb.InferenceResponse(error=pb.TritonError("NoFrames: the file is empty", pb.TritonError.INVALID_ARG))
        x = pb.Tensor("X", np.full((1, 2), len(video), np.float32))
        call = pb.InferenceRequest(model_name="double", inputs=[x], requested_output_names=["PAIR"])
        pair = pb.get_output_tensor_by_name(call.exec(), "PAIR").as_numpy()
        return pb.InferenceResponse([pb.Tensor("VERDICT", np.array([repr(pair.tolist()).encode()], object))])
"""
STREAM = """
import triton_python_backend_utils as pb
class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            error = pb.InferenceResponse(error=pb.TritonError("NoFrames: the file is empty"))
            request.get_response_sender().send(error, flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""


def write_onnx(folder: Path) -> None:
    """DOUBLE = 2 X of any width; PAIR = X[0, 1] + X[2, 3], which refuses widths other than 2 (and 1)."""
    value = helper.make_tensor_value_info
    two = helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])
    offset = helper.make_tensor("offset", TensorProto.FLOAT, [2], [10.0, 20.0])
    graph = helper.make_graph(
        [helper.make_node("Mul", ["X", "two"], ["DOUBLE"]), helper.make_node("Add", ["X", "offset"], ["PAIR"])],
        "double",
        [value("X", TensorProto.FLOAT, ["n", "width"])],
        [value("DOUBLE", TensorProto.FLOAT, ["n", "width"]), value("PAIR", TensorProto.FLOAT, ["n", 2])],
        [two, offset],
    )
    (folder / "1").mkdir(parents=True)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "1/model.onnx"
    )
    (folder / "config.pbtxt").write_text(ONNX_CONFIG)


def write_python(folder: Path, code: str, config: str = PYTHON_CONFIG) -> None:
    (folder / "1").mkdir(parents=True)
    (folder / "1/model.py").write_text(code)
    (folder / "config.pbtxt").write_text(config)


def make_repository(root: Path) -> Path:
    write_onnx(root / "double")
    write_onnx(root / "broken")
    (root / "broken/1/model.onnx").write_bytes(b"not a graph")
    write_onnx(root / "absent")
    (root / "absent/1/model.onnx").unlink()
    write_onnx(root / "lying")
    (root / "lying/config.pbtxt").write_text(
        ONNX_CONFIG.replace('"PAIR" data_type: TYPE_FP32', '"PAIR" data_type: TYPE_INT8')
    )
    write_python(root / "deepfake_detector", DETECTOR)
    write_python(root / "deepfake_detector_stream", STREAM, PYTHON_CONFIG + DECOUPLED)
    return root


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def ask(client: "grpc.InferenceServerClient", rows: list[list[float]], output: str = "PAIR") -> np.ndarray:
    array = np.array(rows, np.float32)
    made = grpc.InferInput("X", list(array.shape), "FP32")
    made.set_data_from_numpy(array)
    asked = [grpc.InferRequestedOutput(output)]
    return client.infer("double", [made], outputs=asked, client_timeout=PATIENCE).as_numpy(output)


def descendants(pid: int) -> set[int]:
    below = guard.children(pid)
    return below.union(*(descendants(child) for child in below))


def alive(pids: set[int]) -> set[int]:
    return {
        pid for pid in pids if Path(f"/proc/{pid}").exists() and "Z (" not in Path(f"/proc/{pid}/status").read_text()
    }


def shared_memory(run_dir: Path) -> list[Path]:
    return list(guard.SHARED_MEMORY.glob(guard.shared_memory_prefix(run_dir) + "*"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[Server]:
    with Server(models, canary_seconds=0.5) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator["grpc.InferenceServerClient"]:
    with grpc.InferenceServerClient(server.grpc_url) as made:
        yield made


@pytest.mark.triton
def test_states_say_what_is_served_and_why_the_rest_is_not(server: Server) -> None:
    models = server.models
    ready = {name for name, model in models.items() if model.state == "ready"}
    assert ready == {"double", "deepfake_detector", "deepfake_detector_stream"}
    assert models["absent"].state == "missing"
    assert models["absent"].reason == "weights not installed: veracity weights fetch absent"
    assert models["broken"].state == "failed"
    assert "broken/1/model.onnx" in models["broken"].reason
    assert "PAIR is tensor(int8) in the config, tensor(float) in the graph" in models["lying"].reason
    assert all("\n" not in model.reason and "line" not in model.reason for model in models.values())


@pytest.mark.triton
def test_serves_grpc_and_http_on_loopback(server: Server, client: "grpc.InferenceServerClient") -> None:
    assert ask(client, [[1, 2]]).tolist() == [[11, 22]]
    made = http.InferInput("X", [1, 2], "FP32")
    made.set_data_from_numpy(np.ones((1, 2), np.float32))
    with http.InferenceServerClient(server.http_url) as other:
        answer = other.infer("double", [made], outputs=[http.InferRequestedOutput("DOUBLE")])
    assert answer.as_numpy("DOUBLE").tolist() == [[2, 2]]
    assert server.http_url.startswith("127.0.0.1:")
    assert server.run_dir.stat().st_mode & 0o777 == 0o700


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
            return ask(client, [row]).tolist()
        except InferenceServerException as error:
            return error.message()

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


@pytest.mark.triton
def test_dead_model_process_is_healed(server: Server, client: "grpc.InferenceServerClient") -> None:
    before = guard.children(server.pid)
    assert len(before) == 4  # two instances of the child, Triton's default on a CPU, and the detectors
    for stub in before:
        os.kill(stub, signal.SIGKILL)
    eventually(lambda: len(guard.children(server.pid) - before) == 4 and ready_states(server) == {"ready"})
    assert ask(client, [[1, 2]]).tolist() == [[11, 22]]


def ready_states(server: Server) -> set[str]:
    return {server.models[name].state for name in ("double", "deepfake_detector", "deepfake_detector_stream")}


@pytest.mark.triton
def test_unloaded_model_is_found_by_the_canary(server: Server, client: "grpc.InferenceServerClient") -> None:
    client.unload_model("deepfake_detector_stream")
    eventually(lambda: not client.is_model_ready("deepfake_detector_stream"))
    eventually(lambda: client.is_model_ready("deepfake_detector_stream"))


@pytest.mark.triton
def test_dead_server_is_restarted_on_the_same_ports(server: Server) -> None:
    before, url = server.pid, server.grpc_url
    os.kill(before, signal.SIGKILL)
    eventually(lambda: server.pid != before and ready_states(server) == {"ready"})
    assert server.grpc_url == url
    with grpc.InferenceServerClient(url) as client:
        assert ask(client, [[1, 2]]).tolist() == [[11, 22]]


@pytest.mark.triton
def test_stop_leaves_nothing_even_with_a_dead_model_process(models: Path) -> None:
    with Server(models, models=["double"], canary_seconds=PATIENCE, exit_seconds=1) as server:
        below, run_dir = {server.pid} | descendants(server.pid), server.run_dir
        assert len(below) == 3  # the server and its two model processes
        assert shared_memory(run_dir)
        server.request_stop()  # so that nobody heals
        for stub in guard.children(server.pid):
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
def test_next_start_removes_what_a_killed_guard_could_not(
    supervisor: "tuple[subprocess.Popen[str], set[int], Path]",
) -> None:
    process, below, run_dir = supervisor
    (keeper,) = guard.children(process.pid)
    os.kill(process.pid, signal.SIGSTOP)  # it shall not restart anything
    os.kill(keeper, signal.SIGKILL)
    process.kill()
    process.wait()
    eventually(lambda: not alive(below))  # tritonserver dies with its guard, the model processes with tritonserver
    assert run_dir in rundir.remove_stale()
    assert not run_dir.exists()
    assert not shared_memory(run_dir)


@pytest.mark.triton
def test_serve_says_where_it_listens_and_ends_on_a_signal(models: Path) -> None:
    code = "import sys; from pathlib import Path; from veracity.server import serve; "
    code += "from veracity.settings import Settings; "
    code += "sys.exit(serve(Settings(model_repository=Path(sys.argv[1])), models=['double']))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", code, str(models)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env) as process:
        said = [process.stdout.readline() for _ in range(5)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert [line.split()[0] for line in said] == ["gRPC", "HTTP", "metrics", "model", "double"]


@pytest.mark.triton
def test_production_refuses_a_model_that_does_not_load(models: Path) -> None:
    with pytest.raises(ModelUnavailable, match="broken"):
        Server(models, models=["broken"], production=True).start()
    with pytest.raises(ModelUnavailable, match="absent: weights not installed"):
        Server(models, models=["absent"], production=True).start()


@pytest.mark.triton
def test_taken_port_is_named(server: Server, models: Path) -> None:
    port = int(server.grpc_url.rpartition(":")[2])
    with pytest.raises(ServerUnavailable, match=f"{port}.* is taken"):
        Server(models, models=[], grpc_port=port).start()


def test_repository_is_sorted_by_what_can_be_served(models: Path) -> None:
    contents = repository.read(models)
    assert contents.children == ("broken", "double", "lying")
    assert contents.detectors == ("deepfake_detector", "deepfake_detector_stream")
    assert contents.missing == ("absent",)
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
