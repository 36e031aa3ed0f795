"""A chunked body has no length: what is beside its files is bounded all the same."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from gateway_server import gateway, settings_in

HEAD = (
    b"POST %s HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
)
FILE = b'--b\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\nfilm\r\n'
CHUNK = 1 << 16
MOST = 16 << 20  # bytes that no body has to get this far


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("gateway")
    with gateway(settings_in(folder, max_bytes=2_000_000)) as url:
        yield url, folder


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def sent(url: str, path: bytes, begin: bytes, more: bytes) -> tuple[int, bytes]:
    """Send a body without an end; return how much of it was taken, and the answer."""
    at = httpx.URL(url)
    count, answer = 0, b""
    with socket.create_connection((at.host, at.port or 80), timeout=30) as connection:
        connection.sendall(HEAD % path + chunk(begin))
        connection.settimeout(0.02)
        while not answer and count < MOST:
            with suppress(TimeoutError):
                answer = connection.recv(CHUNK)
                break
            connection.settimeout(30)
            with suppress(ConnectionError):
                connection.sendall(chunk(more))
            connection.settimeout(0.02)
            count += len(more)
    return count, answer


@pytest.mark.parametrize("path", [b"/analyze-video", b"/batches", b"/predict"])
@pytest.mark.parametrize(
    ("begin", "more"),
    [(FILE + b"--b--\r\n", b"e" * CHUNK), (b"\r\n", b"\r\n" * (CHUNK // 2)), (b"--b\r\n", b"A: b\r\n" * 10_000)],
    ids=["epilogue", "preamble", "headers"],
)
def test_a_body_without_end_is_refused(served: tuple[str, Path], path: bytes, begin: bytes, more: bytes) -> None:
    url, folder = served
    count, answer = sent(url, path, begin, more)
    assert answer.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400")), (count, answer[:100])
    assert b"application/problem+json" in answer
    assert count < MOST
    assert list((folder / "incoming").glob("*")) == []
    assert httpx.get(f"{url}/jobs").json()["jobs"] == []


def test_a_short_epilogue_is_none_of_our_business(served: tuple[str, Path]) -> None:
    url, _ = served

    def body() -> Iterator[bytes]:
        yield FILE + b"--b--\r\n"
        yield b"what some programs add\r\n"

    answer = httpx.post(
        f"{url}/analyze-video", content=body(), headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert answer.status_code == 202
    assert httpx.delete(url + answer.json()["status_url"]).status_code == 204
