"""Attacks on the server's ports: what an unknown caller may do, and what it costs."""

import base64
import json
import os
import signal
import socket
import struct
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest
import tritonclient.grpc
from server_models import WAIT_SECONDS, ask, eventually
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from veracity.catalog import MODELS
from veracity.server import Server
from veracity.server.proxy import limits
from veracity_client import Detector
from veracity_client.errors import BadOption, Overloaded, ServerUnavailable, TooLarge, from_wire

pytestmark = pytest.mark.triton
BODY = 4 << 20  # bytes that this server takes
INFER = "/v2/models/deepfake_detector/infer"
INTRUDER = """
from pathlib import Path
class TritonPythonModel:
    def initialize(self, args):
        Path({mark!r}).touch()
"""


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[Server]:
    served = ["double", "deepfake_detector", "deepfake_detector_stream"]
    with Server(models, models=served, max_request_bytes=BODY) as running:
        yield running


def post(url: str, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    request = urllib.request.Request(f"http://{url}{path}", body, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def connected(server: Server) -> socket.socket:
    host, port = server.http_url.split(":")
    return socket.create_connection((host, int(port)), WAIT_SECONDS)


def said(answer: tuple[int, str]) -> object:
    """Return the error of ours that an HTTP answer is."""
    return from_wire(json.loads(answer[1])["error"])


def call(url: str, method: str, body: bytes, **options: object) -> bytes:
    """Make a gRPC call of bytes; raises grpc.RpcError."""
    with grpc.insecure_channel(url, options=[("grpc.max_send_message_length", -1)]) as channel:
        path = f"/inference.GRPCInferenceService/{method}"
        unary = channel.unary_unary(path, lambda sent: sent, lambda answered: answered)
        return bytes(unary(body, timeout=WAIT_SECONDS, **options))


def refusal(url: str, method: str, body: bytes, **options: object) -> tuple[grpc.StatusCode, object]:
    with pytest.raises(grpc.RpcError) as caught:
        call(url, method, body, **options)
    return caught.value.code(), from_wire(caught.value.details())


def video(content: bytes = b"abc", model: str = "deepfake_detector") -> bytes:
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="VIDEO", datatype="BYTES", shape=[1])
    request.raw_input_contents.append(struct.pack("<I", len(content)) + content)
    return bytes(request.SerializeToString())


def binary(content: bytes = b"abc") -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of the same request over HTTP."""
    size = {"binary_data_size": len(content) + 4}
    header = json.dumps({"inputs": [{"name": "VIDEO", "datatype": "BYTES", "shape": [1], "parameters": size}]}).encode()
    return header + struct.pack("<I", len(content)) + content, {"Inference-Header-Content-Length": str(len(header))}


def test_detectors_answer_over_both_protocols(server: Server) -> None:
    assert b"[[13.0, 23.0]]" in call(server.grpc_url, "ModelInfer", video())
    status, body = post(server.http_url, INFER, *binary())
    assert (status, json.loads(body)["outputs"][0]["data"]) == (200, ["[[13.0, 23.0]]"])


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain", "Origin": "http://evil.example"}])
def test_nobody_loads_a_model_of_his_own(server: Server, tmp_path: Path, headers: dict[str, str]) -> None:
    """What it loads runs as the server."""
    mark = tmp_path / "mark"
    code = INTRUDER.format(mark=str(mark)).encode()
    load = {
        "config": json.dumps({"name": "intruder", "backend": "python", "max_batch_size": 0}),
        "file:1/model.py": base64.b64encode(code).decode(),
    }
    body = json.dumps({"parameters": load}).encode()
    answer = post(server.http_url, "/v2/repository/models/intruder/load", body, headers)
    assert not mark.exists()
    assert answer[0] in (403, 404)
    request = service_pb2.RepositoryModelLoadRequest(model_name="intruder")
    request.parameters["config"].string_param = load["config"]
    request.parameters["file:1/model.py"].bytes_param = code
    assert isinstance(refusal(server.grpc_url, "RepositoryModelLoad", request.SerializeToString())[1], BadOption)
    assert not mark.exists()


@pytest.mark.parametrize(
    "method",
    [
        "RepositoryIndex", "RepositoryModelUnload", "LogSettings", "TraceSetting", "SystemSharedMemoryStatus",
        "SystemSharedMemoryRegister", "SystemSharedMemoryUnregister", "CudaSharedMemoryStatus",
    ],
)  # fmt: skip
def test_calls_that_change_the_server_are_closed(server: Server, method: str) -> None:
    assert isinstance(refusal(server.grpc_url, method, b"")[1], BadOption)


@pytest.mark.parametrize(
    "path",
    [
        "/v2/repository/index", "//v2/repository/index", "/v2/./repository/index", "/v2/repository%2findex",
        "/v2/models/deepfake_detector/../../repository/index", "/v2/repository/models/double/unload", "/v2/logging",
        "/v2/trace/setting", "/v2/systemsharedmemory/status", "/v2/models/double/infer", "/v2/models/double/config",
        "/v2/models/double/ready", "/v2/models/stats", "/v2/models/deepfake_detector/generate", "/metrics", "/",
    ],
)  # fmt: skip
def test_what_is_not_listed_does_not_exist(server: Server, path: str) -> None:
    for verb in ("POST", "GET"):
        head = f"{verb} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}"
        with connected(server) as caller:  # urllib would tidy the path
            caller.sendall(head.encode())
            assert caller.recv(1 << 16).split()[1] in (b"404", b"400"), verb


def test_tritonserver_itself_wants_a_secret_for_them(server: Server) -> None:
    with tritonclient.grpc.InferenceServerClient(server.sockets.url) as client:
        with pytest.raises(InferenceServerException, match="restricted"):
            client.get_model_repository_index()
        with pytest.raises(InferenceServerException, match="restricted"):
            client.load_model("double")
    assert server.sockets.directory.stat().st_mode & 0o777 == 0o700


NAMED = b"\x0a\x11deepfake_detector"
CHILD = b"\x0a\x06double"


def rest() -> bytes:
    request = service_pb2.ModelInferRequest()
    request.inputs.add(name="X", datatype="FP32", shape=[1, 2])
    request.raw_input_contents.append(struct.pack("<2f", 1, 2))
    return bytes(request.SerializeToString())


@pytest.mark.parametrize(
    "body",
    [
        CHILD + rest(), rest() + CHILD, NAMED + rest() + CHILD, CHILD + rest() + NAMED, rest(),
        NAMED + rest() + b"\x12\x80\x80\x40" + bytes(1 << 20) + CHILD, NAMED + rest() + b"\x8a\x00" + CHILD[1:],
        NAMED + b"\x0b" + CHILD + b"\x0c" + rest(), b"\x08\x01" + CHILD + rest(),
        NAMED + b"\x0a\xff\xff\xff\xff\xff\x01",
        NAMED + b"\x18\x01" * (limits.FIELDS + 1) + rest() + CHILD,
    ],
    ids=[
        "plain", "name last", "second name", "first name", "no name", "behind 1 MB", "long tag", "in a group",
        "as a number", "endless", "behind many fields",
    ],
)  # fmt: skip
def test_children_are_closed_however_they_are_named(server: Server, body: bytes) -> None:
    before = server.pid
    code, error = refusal(server.grpc_url, "ModelInfer", body)
    assert (code, type(error)) == (grpc.StatusCode.INVALID_ARGUMENT, BadOption)
    assert server.pid == before


def test_a_name_in_two_pieces_is_read_as_one(server: Server) -> None:
    """HTTP/2 by hand would show it best; a message that grows byte by byte before its name does as well."""
    for length in range(limits.BUFFER // 16 - 300, limits.BUFFER // 16 + 100, 7):
        pad = b"\x1a" + _varint(length) + bytes(length)  # the request's id
        assert b"deepfake_detector" in call(server.grpc_url, "ModelReady", NAMED) + NAMED
        assert isinstance(refusal(server.grpc_url, "ModelInfer", pad + CHILD + rest())[1], BadOption), length
        assert b"[[13.0, 23.0]]" in call(server.grpc_url, "ModelInfer", pad + video()), length


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


@pytest.mark.parametrize("method", ["ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"])
def test_only_open_models_are_told_of(server: Server, method: str) -> None:
    assert call(server.grpc_url, method, NAMED)
    for body in (CHILD, b""):
        assert isinstance(refusal(server.grpc_url, method, body)[1], BadOption)


def test_children_are_closed_in_a_stream(server: Server) -> None:
    request = service_pb2.ModelInferRequest.FromString(CHILD + rest())
    with grpc.insecure_channel(server.grpc_url) as channel:
        stub = tritonclient.grpc.service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.ModelStreamInfer(iter([request]), timeout=WAIT_SECONDS))
    assert isinstance(from_wire(caught.value.details()), BadOption)


def test_more_streams_than_there_are_places_are_refused_by_the_proxy(server: Server) -> None:
    """The one process that answers streams has other work, and would refuse hundreds of milliseconds later."""
    request, over = service_pb2.ModelInferRequest.FromString(video(model="deepfake_detector_stream")), Event()

    def held() -> Iterator[service_pb2.ModelInferRequest]:
        yield request
        over.wait(WAIT_SECONDS)

    with grpc.insecure_channel(server.grpc_url) as channel:
        stub = tritonclient.grpc.service_pb2_grpc.GRPCInferenceServiceStub(channel)
        held_open = [stub.ModelStreamInfer(held(), timeout=WAIT_SECONDS) for _ in range(limits.OPEN_STREAMS)]
        assert all("NoFrames" in next(stream).error_message for stream in held_open)
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.ModelStreamInfer(iter([request]), timeout=WAIT_SECONDS))
        assert isinstance(from_wire(caught.value.details()), Overloaded)
        over.set()
        assert all(list(stream) == [] for stream in held_open)
        assert "NoFrames" in next(stub.ModelStreamInfer(iter([request]), timeout=WAIT_SECONDS)).error_message


@pytest.mark.parametrize("depth", [2_000_000, limits.JSON_BYTES // 2 - 10])
def test_nested_json_does_not_end_the_server(server: Server, depth: int) -> None:
    before = server.pid
    body = b'{"inputs":' + b"[" * depth + b"]" * depth + b"}"
    expected = 413 if len(body) > limits.JSON_BYTES else 400
    for more in ("", f"Inference-Header-Content-Length: {len(body)}\r\n"):
        head = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        with connected(server) as caller:
            with suppress(ConnectionError):  # refused before it is sent
                caller.sendall(head.encode() + body)
            assert int(caller.recv(1 << 16).split()[1]) == expected
    assert b"[[13.0, 23.0]]" in call(server.grpc_url, "ModelInfer", video())
    assert server.pid == before


@pytest.mark.parametrize(
    "request_",
    [
        "garbage", f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        "GET /v2 HTTP/1.1\r\nHost: localhost\r\na: " + limits.HEADERS_KIB * 1024 * "a",
        "GET /v2 HTTP/1.1\r\nHost: localhost" + "\r\na: b" * (limits.HEADERS + 1),
    ],
    ids=["no HTTP", "two lengths", "long header", "many headers"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_our_words(server: Server, request_: str) -> None:
    with connected(server) as caller:
        caller.sendall(f"{request_}\r\n\r\n".encode())
        answer = caller.recv(1 << 16).decode()
    assert int(answer.split()[1]) in (400, 431)
    assert isinstance(said((0, answer.partition("\r\n\r\n")[2])), BadOption)


def test_a_body_without_a_length_is_refused_before_it_is_read(server: Server) -> None:
    """A million chunks of a byte ended tritonserver."""
    with connected(server) as caller:
        caller.sendall(f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        assert b" 411 " in caller.recv(1 << 16)


def test_a_large_body_is_refused_before_it_is_read(server: Server) -> None:
    with connected(server) as caller:
        lengths = f"Inference-Header-Content-Length: 10\r\nContent-Length: {10**12}"
        caller.sendall(f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\n{lengths}\r\n\r\n".encode())
        assert b" 413 " in caller.recv(1 << 16)
    code, error = refusal(server.grpc_url, "ModelInfer", video(bytes(BODY)))
    assert (code, type(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, TooLarge)
    with Detector(server.grpc_url) as detector, pytest.raises(TooLarge, match=str(BODY)):
        detector.analyze(bytes(2 * BODY))


def test_nothing_compressed_is_taken(server: Server) -> None:
    body, headers = binary()
    assert post(server.http_url, INFER, body, {**headers, "Content-Encoding": "gzip"})[0] == 415
    code, _ = refusal(server.grpc_url, "ModelInfer", video(), compression=grpc.Compression.Gzip)
    assert code is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403), ({"Host": "evil.example:8000"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403), ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "localhost"}, 200), ({"Host": "10.1.2.3:8000"}, 200), ({"Host": "[::1]:8000"}, 200),
        ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
    ],
)  # fmt: skip
def test_a_browser_is_no_caller(server: Server, headers: dict[str, str], status: int) -> None:
    body, own = binary()
    assert post(server.http_url, INFER, body, {**own, **headers})[0] == status


def test_idle_connections_leave_room_at_the_other_ports(server: Server) -> None:
    host, _, port = server.http_url.partition(":")
    with ExitStack() as held:
        for _ in range(limits.CONNECTIONS + 300):
            held.enter_context(socket.create_connection((host, int(port)), WAIT_SECONDS))
        assert b"[[13.0, 23.0]]" in call(server.grpc_url, "ModelInfer", video())
        with urllib.request.urlopen(server.metrics_url, timeout=WAIT_SECONDS) as answer:
            assert answer.status == 200
    eventually(lambda: post(server.http_url, INFER, *binary())[0] == 200)


def test_answers_do_not_say_what_the_server_is_made_of(server: Server) -> None:
    with connected(server) as caller:
        for path in ("/v2/health/live", "/nothing", "/v2/models/deepfake_detector/config"):
            caller.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            answer = caller.recv(1 << 16).lower()
            assert not [word for word in (b"server:", b"envoy", b"2.51", b"/tmp", b"x-") if word in answer], path


def test_the_proxy_is_opened_again(server: Server) -> None:
    before = server.proxy_pid
    os.kill(before, signal.SIGKILL)
    eventually(lambda: _pid(server) not in (None, before))
    eventually(lambda: _answers(server))


def _pid(server: Server) -> int | None:
    try:
        return server.proxy_pid
    except (OSError, ValueError):
        return None


def _answers(server: Server) -> bool:
    with Detector(server.grpc_url) as detector:
        return detector.ready()


def test_while_tritonserver_is_away_callers_are_told_to_ask_again(models: Path) -> None:
    with Server(models, models=["deepfake_detector"]) as server:
        os.kill(server.pid, signal.SIGSTOP)  # the reaper and the sockets stay, and nothing answers
        server.sockets.grpc.unlink()
        server.sockets.http.unlink()
        os.kill(server.proxy_pid, signal.SIGKILL)  # forget the open connections
        eventually(lambda: _told(server))
        status, body = post(server.http_url, INFER, *binary())
        assert (status, type(said((status, body)))) == (503, ServerUnavailable)
        with suppress(ProcessLookupError):  # on a slow machine it was ended meanwhile, as what hangs is
            os.kill(server.pid, signal.SIGCONT)


def _told(server: Server) -> bool:
    try:
        call(server.grpc_url, "ModelInfer", video())
    except grpc.RpcError as error:
        return error.code() is grpc.StatusCode.UNAVAILABLE and isinstance(from_wire(error.details()), ServerUnavailable)
    return False


def test_open_models_are_for_callers_too(models: Path) -> None:
    from veracity.server.proxy.access import Access

    with (
        Server(models, models=["double"], access=Access(open_models=("double", *MODELS))) as server,
        tritonclient.grpc.InferenceServerClient(server.grpc_url) as client,
    ):
        assert np.array_equal(ask(client, [[1, 2]]), [[11, 22]])
