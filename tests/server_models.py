"""Tiny models for real tritonservers, and how to look at the processes that serve them."""

import queue
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import tritonclient.grpc as grpc
from numpy.typing import NDArray
from onnx import TensorProto, helper

from veracity.server import reaper
from veracity.server.proxy.access import Access

OPEN = Access(open_models=("all",))
WAIT_SECONDS = 30.0  # seconds until a test gives up waiting; none waits so long when all is well

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

SLEEPER = """
import os, time
import numpy as np
import triton_python_backend_utils as pb
from veracity import in_flight
class TritonPythonModel:
    def execute(self, requests):
        with in_flight.counted():
            return [self.answer(request) for request in requests]
    def answer(self, request):
        seconds = float(pb.get_input_tensor_by_name(request, "VIDEO").as_numpy()[0] or 0)
        open(os.environ["BUSY_FOLDER"] + f"/{os.getpid()}", "w").close() if seconds else None
        time.sleep(seconds)
        return pb.InferenceResponse([pb.Tensor("VERDICT", np.array([str(os.getpid()).encode()], object))])
"""
STREAM_SLEEPER = """
import asyncio, os
import numpy as np
import triton_python_backend_utils as pb
from veracity import in_flight
class TritonPythonModel:
    async def execute(self, requests):
        with in_flight.counted():
            await asyncio.gather(*(self.answer(request, request.get_response_sender()) for request in requests))
    async def answer(self, request, sender):
        seconds = float(pb.get_input_tensor_by_name(request, "VIDEO").as_numpy()[0] or 0)
        open(os.environ["BUSY_FOLDER"] + f"/{os.getpid()}", "w").close() if seconds else None
        await asyncio.sleep(seconds)
        answer = pb.InferenceResponse([pb.Tensor("VERDICT", np.array([str(os.getpid()).encode()], object))])
        sender.send(answer, flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
TWO_INSTANCES = "instance_group [{ kind: KIND_CPU count: 2 }]\n"


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
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def ask(client: "grpc.InferenceServerClient", rows: list[list[float]], output: str = "PAIR") -> NDArray[np.float32]:
    array = np.array(rows, np.float32)
    made = grpc.InferInput("X", list(array.shape), "FP32")
    made.set_data_from_numpy(array)
    asked = [grpc.InferRequestedOutput(output)]
    answered = client.infer("double", [made], outputs=asked, client_timeout=WAIT_SECONDS)
    rows_back: NDArray[np.float32] = answered.as_numpy(output)
    return rows_back


def text_input(text: bytes) -> "grpc.InferInput":
    made = grpc.InferInput("VIDEO", [1], "BYTES")
    made.set_data_from_numpy(np.array([text], object))
    return made


def ask_slow(url: str, model: str, seconds: float) -> bytes:
    """Return the number of the process that answered; by a stream, which serves every kind of model."""
    answers: queue.Queue[tuple[grpc.InferResult, Exception | None]] = queue.Queue()
    with grpc.InferenceServerClient(url) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer(model, [text_input(str(seconds).encode())])
        result, error = answers.get(timeout=WAIT_SECONDS)
    if error is not None:
        raise error
    return bytes(result.as_numpy("VERDICT")[0])


def descendants(pid: int) -> set[int]:
    below = reaper.child_processes(pid)
    return below.union(*(descendants(child) for child in below))


def alive(pids: set[int]) -> set[int]:
    return {
        pid for pid in pids if Path(f"/proc/{pid}").exists() and "Z (" not in Path(f"/proc/{pid}/status").read_text()
    }


def shared_memory(run_dir: Path) -> list[Path]:
    return list(reaper.SHARED_MEMORY.glob(reaper.shared_memory_prefix(run_dir) + "*"))
