"""The client where no Triton is: no server, one that wants a key or TLS, wrong arguments, texts of a server."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from refusing_servers import refusing_grpc, refusing_http

from veracity_client import AsyncDetector, Detector, TlsConfig, Verdict, errors
from veracity_client._address import API_KEY_HEADER, Address, Protocol
from veracity_client._wire import failure

TRANSPORTS = ("grpc", "http")


async def ask(url: str, video: bytes, **options: Any) -> Verdict:
    async with AsyncDetector(url, **options) as found:
        return await found.analyze(video)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_nobody_answers(transport: str) -> None:
    with socket.socket() as bound:  # bound, not listening: nobody else can take the port
        bound.bind(("127.0.0.1", 0))
        url = f"{transport}://127.0.0.1:{bound.getsockname()[1]}"
        with Detector(url) as found:
            assert not found.ready()
            with pytest.raises(errors.ServerUnavailable, match=r"no server answers at 127\.0\.0\.1"):
                found.analyze(b"real")
        with pytest.raises(errors.ServerUnavailable):
            asyncio.run(ask(url, b"real"))


def test_the_api_key_is_shown_over_http() -> None:
    with refusing_http() as server:
        url = f"http://127.0.0.1:{server.server_port}"
        with Detector(url, api_key="s3cret") as found, pytest.raises(errors.Unauthorized):
            found.analyze(b"real")
        assert server.shown == "s3cret"
        with pytest.raises(errors.Unauthorized):
            asyncio.run(ask(url, b"real", api_key="other"))
        assert server.shown == "other"


def test_the_api_key_is_shown_over_grpc() -> None:
    with refusing_grpc() as (port, shown):
        with Detector(f"127.0.0.1:{port}", api_key="s3cret") as found, pytest.raises(errors.Unauthorized):
            found.analyze(b"real")
        with pytest.raises(errors.Unauthorized):
            asyncio.run(ask(f"127.0.0.1:{port}", b"real", api_key="s3cret"))
    assert len(shown) == 2
    for metadata in shown:  # Triton itself looks for the second name
        assert metadata[API_KEY_HEADER] == metadata["triton-grpc-protocol-" + API_KEY_HEADER] == "s3cret"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_tls_reaches_a_server_that_is_vouched_for_and_no_other(certificate: tuple[Path, Path], transport: str) -> None:
    trusted = TlsConfig(ca=certificate[0])
    with refusing_http(certificate) as http, refusing_grpc(certificate) as (port, _):
        url = f"{transport}s://127.0.0.1:{port if transport == 'grpc' else http.server_port}"
        with Detector(url, tls=trusted) as found, pytest.raises(errors.Unauthorized):  # it was heard, and refused
            found.analyze(b"real")
        with pytest.raises(errors.Unauthorized):
            asyncio.run(ask(url, b"real", tls=trusted))
        with Detector(url) as found, pytest.raises(errors.ServerUnavailable):
            found.analyze(b"real")
        with pytest.raises(errors.ServerUnavailable):
            asyncio.run(ask(url, b"real"))


@pytest.mark.parametrize(
    ("url", "protocol", "found"),
    [
        ("host:1", None, ("grpc", "host:1", False)),
        ("host:1", "http", ("http", "host:1", False)),
        ("grpcs://host:1/", None, ("grpc", "host:1", True)),
        ("https://host/base", None, ("http", "host/base", True)),
    ],
)
def test_an_address(url: str, protocol: Protocol | None, found: tuple[str, str, bool]) -> None:
    address = Address.parse(url, protocol, False, None)
    assert (address.protocol, address.target, address.tls is not None) == found


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": ""},
        {"url": 8001},
        {"url": []},
        {"url": ["a:1", ""]},
        {"url": ["a:1", None]},
        {"url": ["a:1", "b:1", "a:1/"]},
        {"url": ["a:1", "http://b:1"]},
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
