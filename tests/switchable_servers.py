"""Servers over gRPC and HTTP that give the canned verdict, or refuse while told to; they count their callers."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import canned
import grpc  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2, service_pb2_grpc

from veracity_client.errors import VeracityError

GATE_SECONDS = 60  # no request waits as long


@dataclass
class Switch:
    """What a server does. ``refusal`` is raised to every caller; ``gate`` keeps requests while it is not set."""

    url: str = ""
    refusal: VeracityError | None = None
    breaks: bool = False  # a stream, after its first event
    gate: Event = field(default_factory=Event)
    asked: int = 0
    probed: int = 0

    def ask(self) -> None:
        """Count a request; raises ``refusal``."""
        self.asked += 1
        if self.refusal:
            raise self.refusal
        self.gate.wait(GATE_SECONDS)

    def probe(self) -> bool:
        """Count a probe and return the answer."""
        self.probed += 1
        return self.refusal is None


@contextmanager
def switchable(transport: str) -> Iterator[Switch]:
    """Yield a server that answers."""
    switch = Switch()
    switch.gate.set()
    with (_grpc if transport == "grpc" else _http)(switch) as port:
        switch.url = f"{transport}://127.0.0.1:{port}"
        yield switch
        switch.gate.set()


@contextmanager
def _grpc(switch: Switch) -> Iterator[int]:
    with ThreadPoolExecutor(8) as pool:
        server = grpc.server(pool)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Servicer(switch), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield port
        switch.gate.set()
        server.stop(None).wait()


class _Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):
    def __init__(self, switch: Switch) -> None:
        self.switch = switch

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802, the protocol's name
        return service_pb2.ModelReadyResponse(ready=self.switch.probe())

    def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ServerReadyResponse(ready=self.switch.probe())

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            self.switch.ask()
        except VeracityError as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, error.to_wire())
        return _message(canned.VERDICT.to_dict())

    def ModelStreamInfer(self, requests: Any, context: Any) -> Any:  # noqa: N802
        list(requests)  # read as Triton does: of a call that ends before it is written, grpc.aio tells no reason
        try:
            self.switch.ask()
        except VeracityError as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, error.to_wire())
        event = {"stage": {"stage": "1_audio", "status": "started", "seconds": 0.1}}
        yield service_pb2.ModelStreamInferResponse(infer_response=_message(event))
        if self.switch.breaks:
            context.abort(grpc.StatusCode.UNAVAILABLE, "ServerUnavailable: gone")
        verdict = {"verdict": canned.VERDICT.to_dict()}
        yield service_pb2.ModelStreamInferResponse(infer_response=_message(verdict))


def _message(document: Any) -> Any:
    text = json.dumps(document).encode()
    return service_pb2.ModelInferResponse(raw_output_contents=[len(text).to_bytes(4, "little") + text])


@contextmanager
def _http(switch: Switch) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.say(200 if switch.probe() else 400, {})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            try:
                switch.ask()
            except VeracityError as error:
                self.say(error.http, {"error": error.to_wire()})
            else:
                self.say(200, {"outputs": [{"data": [canned.VERDICT.to_json()]}]})

        def say(self, status: int, document: Any) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_port
        switch.gate.set()
        server.shutdown()
