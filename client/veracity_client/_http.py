"""Triton over HTTP: the binary extension of the inference protocol, one request, one answer.

httpx and not tritonclient.http, whose gevent (release 2.51) leaves two file descriptors open for every thread.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Generator
from functools import cached_property
from typing import Any

import httpx

from veracity_client._wire import DETECTOR, Address, Request, TlsConfig, failure, json_tensor, unreachable
from veracity_client.errors import AnalysisTimeout, BadOption, InternalError, VeracityError

NO_STAGES = "stages come over gRPC alone: give the server's gRPC address, or use analyze()"
LENGTH_HEADER = "Inference-Header-Content-Length"


class _Transport:
    def __init__(self, address: Address) -> None:
        self._address = address
        self._settings: dict[str, Any] = {
            "base_url": f"{'https' if address.tls else 'http'}://{address.target}/v2/models",
            "headers": dict(address.headers),
            "verify": _context(address.tls) if address.tls else False,
        }

    def _error(self, error: Exception) -> VeracityError:
        if isinstance(error, (httpx.TimeoutException, asyncio.TimeoutError)):
            return AnalysisTimeout("no verdict within the time given")
        if isinstance(error, (httpx.TransportError, httpx.InvalidURL)):
            return unreachable(self._address, str(error) or type(error).__name__)
        return InternalError(f"the request failed: {error!r}")


class HttpTransport(_Transport):
    """The sync door; safe to use from many threads."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._client = httpx.Client(**self._settings)

    def infer(self, request: Request, timeout: float | None) -> bytes:
        """Return the output's bytes; ``timeout`` bounds each of connecting, sending and waiting."""
        try:
            return _answer(self._client.post(timeout=timeout, **_post(request)), request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._error(error) from None

    def stream(self, _request: Request, _timeout: float | None) -> Generator[bytes, None, None]:
        """Raise :class:`BadOption`: Triton streams over gRPC alone."""
        raise BadOption(NO_STAGES)

    def ready(self, timeout: float) -> bool:
        """Say whether the server answers and the detector is loaded."""
        try:
            return self._client.get(f"/{DETECTOR}/ready", timeout=timeout).status_code == httpx.codes.OK
        except (httpx.HTTPError, httpx.InvalidURL):
            return False

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class AsyncHttpTransport(_Transport):
    """The async door; its connections belong to the event loop of the first call."""

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(**self._settings)

    async def infer(self, request: Request, timeout: float | None) -> bytes:
        """Return the output's bytes."""
        try:
            posted = self._client.post(timeout=None, **_post(request))
            return _answer(await asyncio.wait_for(posted, timeout), request)
        except (httpx.HTTPError, httpx.InvalidURL, asyncio.TimeoutError) as error:
            raise self._error(error) from None

    def stream(self, _request: Request, _timeout: float | None) -> AsyncGenerator[bytes, None]:
        """Raise :class:`BadOption`: Triton streams over gRPC alone."""
        raise BadOption(NO_STAGES)

    async def ready(self, timeout: float) -> bool:
        """Say whether the server answers and the detector is loaded."""
        try:
            return (await self._client.get(f"/{DETECTOR}/ready", timeout=timeout)).status_code == httpx.codes.OK
        except (httpx.HTTPError, httpx.InvalidURL):
            return False

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _context(tls: TlsConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca)
    if tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context


def _post(request: Request) -> dict[str, Any]:
    """Return the POST: a JSON header that says how many bytes each input has, then those bytes."""
    values = [len(value).to_bytes(4, "little") + value for value in request.tensors.values()]
    inputs = [
        {"name": name, "datatype": "BYTES", "shape": [1, 1], "parameters": {"binary_data_size": len(value)}}
        for name, value in zip(request.tensors, values)
    ]
    header = json.dumps({"id": request.id, "inputs": inputs, "outputs": [{"name": request.output}]}).encode()
    headers = {LENGTH_HEADER: str(len(header)), "Content-Type": "application/octet-stream"}
    return {"url": f"/{request.model}/infer", "content": b"".join([header, *values]), "headers": headers}


def _answer(response: httpx.Response, request: Request) -> bytes:
    if response.status_code == httpx.codes.OK:
        return json_tensor(response.content).encode()
    raise failure(_text(response), str(response.status_code), request.id)


def _text(response: httpx.Response) -> str:
    """Return the server's words: Triton's ``error``, a gateway's ``message``, a proxy's page."""
    try:
        body = response.json()
        return str(body.get("error") or body.get("message") or body)
    except (ValueError, AttributeError):
        return response.text[:500]
