"""The client where no Triton is: nobody there, a doorman who wants a key or TLS, wrong arguments, a server's words."""

import asyncio
import io
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import pytest

from veracity_client import AsyncDetector, Detector, TlsConfig, Verdict, errors
from veracity_client._wire import API_KEY_HEADER, MAX_REQUEST_BYTES, Address, failure

DOORS = ("grpc", "http")


async def ask(url: str, video: Any, **options: Any) -> Verdict:
    async with AsyncDetector(url, **options) as found:
        return await found.analyze(video)


@pytest.mark.parametrize("door", DOORS)
def test_nobody_answers(door: str) -> None:
    with socket.socket() as bound:  # bound, not listening: nobody else can take the port
        bound.bind(("127.0.0.1", 0))
        url = f"{door}://127.0.0.1:{bound.getsockname()[1]}"
        with Detector(url) as found:
            assert not found.ready()
            with pytest.raises(errors.ServerUnavailable, match=r"no server answers at 127\.0\.0\.1"):
                found.analyze(b"real")
        with pytest.raises(errors.ServerUnavailable):
            asyncio.run(ask(url, b"real"))


class Doorman(BaseHTTPRequestHandler):
    """Refuses everybody, and remembers the key that was shown."""

    def do_POST(self) -> None:
        self.server.shown = self.headers[API_KEY_HEADER]  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_error(401)

    def log_message(self, *_args: Any) -> None:
        pass


@contextmanager
def http_doorman(tls: tuple[Path, Path] | None = None) -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Doorman) as doorman:
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            doorman.socket = context.wrap_socket(doorman.socket, server_side=True)
        Thread(target=doorman.serve_forever, daemon=True).start()
        yield doorman
        doorman.shutdown()


@contextmanager
def grpc_doorman(tls: tuple[Path, Path] | None = None) -> Iterator[tuple[int, list[dict[str, str]]]]:
    shown: list[dict[str, str]] = []

    class Refuse(grpc.ServerInterceptor):
        def intercept_service(self, _continuation: Any, details: Any) -> Any:
            shown.append(dict(details.invocation_metadata))
            return grpc.unary_unary_rpc_method_handler(
                lambda _request, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
            )

    with ThreadPoolExecutor(2) as pool:
        doorman = grpc.server(pool, interceptors=[Refuse()])
        if tls:
            certificate, key = (path.read_bytes() for path in tls)
            port = doorman.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
        else:
            port = doorman.add_insecure_port("127.0.0.1:0")
        doorman.start()
        yield port, shown
        doorman.stop(None).wait()


def test_the_api_key_is_shown_over_http() -> None:
    with http_doorman() as doorman:
        url = f"http://127.0.0.1:{doorman.server_port}"
        with Detector(url, api_key="s3cret") as found, pytest.raises(errors.Unauthorized):
            found.analyze(b"real")
        assert doorman.shown == "s3cret"  # type: ignore[attr-defined]
        with pytest.raises(errors.Unauthorized):
            asyncio.run(ask(url, b"real", api_key="other"))
        assert doorman.shown == "other"  # type: ignore[attr-defined]


def test_the_api_key_is_shown_over_grpc() -> None:
    with grpc_doorman() as (port, shown):
        with Detector(f"127.0.0.1:{port}", api_key="s3cret") as found, pytest.raises(errors.Unauthorized):
            found.analyze(b"real")
        with pytest.raises(errors.Unauthorized):
            asyncio.run(ask(f"127.0.0.1:{port}", b"real", api_key="s3cret"))
    assert len(shown) == 2
    for metadata in shown:  # Triton itself looks for the second name
        assert metadata[API_KEY_HEADER] == metadata["triton-grpc-protocol-" + API_KEY_HEADER] == "s3cret"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=veracity", "-addext", "subjectAltName=IP:127.0.0.1"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command = ["openssl", "req", "-x509", *curve, *subject, "-days", "2", "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made, key


@pytest.mark.parametrize("door", DOORS)
def test_tls_reaches_a_server_that_is_vouched_for_and_no_other(certificate: tuple[Path, Path], door: str) -> None:
    trusted = TlsConfig(ca=certificate[0])
    with http_doorman(certificate) as http, grpc_doorman(certificate) as (port, _):
        url = f"{door}s://127.0.0.1:{port if door == 'grpc' else http.server_port}"
        with Detector(url, tls=trusted) as found, pytest.raises(errors.Unauthorized):  # it was heard, and refused
            found.analyze(b"real")
        with pytest.raises(errors.Unauthorized):
            asyncio.run(ask(url, b"real", tls=trusted))
        with Detector(url) as found, pytest.raises(errors.ServerUnavailable):
            found.analyze(b"real")
        with pytest.raises(errors.ServerUnavailable):
            asyncio.run(ask(url, b"real"))


@pytest.mark.parametrize(
    ("video", "error"),
    [
        ("/nowhere/clip.mp4", errors.BadVideo),
        ("/", errors.BadVideo),
        ("a\0b", errors.BadVideo),
        (io.StringIO("text"), errors.BadOption),
    ],
)
def test_a_file_that_cannot_be_read_never_leaves(video: Any, error: type[errors.VeracityError]) -> None:
    with Detector("localhost:1") as found, pytest.raises(error):
        found.analyze(video)
    with pytest.raises(error):
        asyncio.run(ask("localhost:1", video))


def test_a_file_larger_than_a_request_is_not_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.mp4"
    with huge.open("wb") as file:
        file.truncate(MAX_REQUEST_BYTES + 1)
    with Detector("localhost:1") as found, pytest.raises(errors.TooLarge):
        found.analyze(huge)


@pytest.mark.parametrize(
    ("url", "protocol", "found"),
    [
        ("host:1", None, ("grpc", "host:1", False)),
        ("host:1", "http", ("http", "host:1", False)),
        ("grpcs://host:1/", None, ("grpc", "host:1", True)),
        ("https://host/base", None, ("http", "host/base", True)),
    ],
)
def test_an_address(url: str, protocol: Any, found: tuple[str, str, bool]) -> None:
    address = Address.parse(url, protocol, False, None)
    assert (address.protocol, address.target, address.tls is not None) == found


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": ""},
        {"url": "ftp://host"},
        {"url": "http://"},
        {"url": "http://host", "protocol": "grpc"},
        {"protocol": "smtp"},
        {"api_key": ""},
        {"api_key": "two\nlines"},
        {"api_key": "ключ"},
        {"tls": TlsConfig(ca="/nowhere.pem")},
        {"url": "https://host", "tls": TlsConfig(ca=__file__)},
    ],
)
def test_a_wrong_argument_is_refused_at_once(arguments: dict[str, Any]) -> None:
    for cls in (Detector, AsyncDetector):
        with pytest.raises(errors.BadOption):
            cls(**arguments)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_is_over_zero(timeout: float) -> None:
    with Detector("localhost:1") as found, pytest.raises(errors.BadOption, match="timeout"):
        found.analyze(b"real", timeout=timeout)


# Texts and codes as Triton 2.51 and gRPC gave them.
SAID = [
    ("[request id: 7] Exceeds maximum queue size", "UNAVAILABLE", errors.Overloaded),
    ("[request id: <id_unknown>] Exceeds maximum queue size", "503", errors.Overloaded),
    ("Request timeout expired", "UNAVAILABLE", errors.Overloaded),
    ("Request for unknown model: 'deepfake_detector' is not found", "NOT_FOUND", errors.ModelUnavailable),
    ("Stub process 'deepfake_detector_0_0' is not healthy.", "INTERNAL", errors.ModelUnavailable),
    ("Model 'deepfake_detector' is not ready", "INTERNAL", errors.ModelUnavailable),
    ("This API is restricted, expecting header 'x-api-key'", "403", errors.Unauthorized),
    ("This protocol is restricted, expecting header 'triton-grpc-protocol-x'", "UNAVAILABLE", errors.Unauthorized),
    ("Deadline Exceeded", "DEADLINE_EXCEEDED", errors.AnalysisTimeout),
    ("<html>413 Request Entity Too Large</html>", "413", errors.TooLarge),
    ("<html>Bad Gateway</html>", "502", errors.ServerUnavailable),
    ("PathNotAllowed: outside", "403", errors.PathNotAllowed),
    ("unexpected inference input 'NOPE' for model 'deepfake_detector'", "INVALID_ARGUMENT", errors.InternalError),
]


@pytest.mark.parametrize(("text", "code", "expected"), SAID)
def test_what_a_server_says_becomes_an_error_of_ours(
    text: str, code: str, expected: type[errors.VeracityError]
) -> None:
    assert type(failure(text, code)) is expected
