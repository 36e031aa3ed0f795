"""Servers that refuse everybody, over HTTP and gRPC, with TLS or without: what a client showed them is kept."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import grpc  # type: ignore[import-untyped]

from veracity_client._address import API_KEY_HEADER


class Refusal(BaseHTTPRequestHandler):
    """Refuses everybody, and remembers the key that was shown."""

    server: RefusingServer

    def do_POST(self) -> None:
        self.server.shown = self.headers[API_KEY_HEADER]
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_error(401)

    def log_message(self, *_args: object) -> None:
        pass


class RefusingServer(HTTPServer):
    shown: str | None = None


@contextmanager
def refusing_http(tls: tuple[Path, Path] | None = None) -> Iterator[RefusingServer]:
    with RefusingServer(("127.0.0.1", 0), Refusal) as server:
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def refusing_grpc(tls: tuple[Path, Path] | None = None) -> Iterator[tuple[int, list[dict[str, str]]]]:
    shown: list[dict[str, str]] = []

    class Refuse(grpc.ServerInterceptor):
        def intercept_service(self, _continuation: Any, details: Any) -> Any:
            shown.append(dict(details.invocation_metadata))
            return grpc.unary_unary_rpc_method_handler(
                lambda _request, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
            )

    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool, interceptors=[Refuse()])
        if tls:
            certificate, key = (path.read_bytes() for path in tls)
            port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
        else:
            port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield port, shown
        server.stop(None).wait()
