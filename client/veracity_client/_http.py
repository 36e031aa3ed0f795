"""Triton over HTTP: the binary extension of the inference protocol, one request, one answer.

httpx and not tritonclient.http, whose gevent (release 2.51) leaves two file descriptors open for every thread.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from concurrent.futures import CancelledError
from typing import Any, TypeVar

import httpx

from veracity_client._address import Address, TlsConfig, unreachable
from veracity_client._per_loop import PerLoop
from veracity_client._wire import DETECTOR, NO_TIME_LEFT, UNREADABLE, Request, failure, json_tensor
from veracity_client.errors import AnalysisTimeout, BadOption, InternalError, ServerUnavailable, VeracityError

T = TypeVar("T")

NO_STAGES = "stages come over gRPC alone: give the server's gRPC address, or use analyze()"
REFUSED_BY_TLS = ssl.SSLError  # which httpx lets through where the server refuses after the handshake, as TLS 1.3 does
BAD_PROXY = (ValueError, ImportError)  # what httpx raises for a proxy's URL: unknown scheme, SOCKS without its package
LENGTH_HEADER = "Inference-Header-Content-Length"
MODEL = f"/models/{DETECTOR}"


class AsyncHttpTransport:
    """The async transport; connections belong to one event loop, so each loop has its own."""

    def __init__(self, address: Address) -> None:
        self._address = address
        settings: dict[str, Any] = {
            "base_url": f"{'https' if address.tls else 'http'}://{address.target}/v2",
            "headers": dict(address.headers),
            "verify": _context(address.tls) if address.tls else False,
            "trust_env": not address.is_local,  # what is on this machine is never reached through a proxy
            "timeout": httpx.Timeout(None, connect=address.connect_seconds),  # the rest is bounded by wait_for
        }
        self._clients = PerLoop(lambda: httpx.AsyncClient(**settings))

    async def infer(self, request: Request, timeout: float | None) -> bytes:
        """Return the output's bytes; ``timeout`` bounds all of it, however slowly the other side sends."""
        try:
            posted = self._clients.get().post(**_post(request))
            return self._answer(await asyncio.wait_for(posted, timeout), request)
        except (httpx.HTTPError, httpx.InvalidURL, asyncio.TimeoutError, REFUSED_BY_TLS, *BAD_PROXY) as error:
            raise self._error(error) from None

    def stream(self, _request: Request, _timeout: float | None) -> AsyncGenerator[bytes, None]:
        """Raise :class:`BadOption`: Triton streams over gRPC alone."""
        raise BadOption(NO_STAGES)

    async def ready(self, timeout: float, whole: bool = False) -> bool:
        """Say whether the server answers and the detector is loaded; if ``whole``, and no model failed to load."""
        loaded = await self._page(f"{MODEL}/ready", timeout) is not None
        return loaded and (not whole or await self._page("/health/ready", timeout) is not None)

    async def config(self, timeout: float) -> dict[str, Any]:
        """Return the detector's configuration, empty where the server does not tell it."""
        try:
            return dict(json.loads(await self._page(f"{MODEL}/config", timeout) or b"{}"))
        except (*UNREADABLE, TypeError):
            return {}

    async def _page(self, path: str, timeout: float) -> bytes | None:
        try:
            asked = self._clients.get().get(path)
            answer = await asyncio.wait_for(asked, timeout)
        except (httpx.HTTPError, httpx.InvalidURL, asyncio.TimeoutError, REFUSED_BY_TLS, *BAD_PROXY):
            return None
        return answer.content if answer.status_code == httpx.codes.OK else None

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        client = self._clients.pop()
        if client is not None:
            await client.aclose()

    def _error(self, error: Exception) -> VeracityError:
        if isinstance(error, asyncio.TimeoutError):
            return AnalysisTimeout(f"{NO_TIME_LEFT}{self._address.through}")
        if isinstance(error, (httpx.TransportError, httpx.InvalidURL, REFUSED_BY_TLS, *BAD_PROXY)):
            broke = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)
            return unreachable(self._address, str(error) or type(error).__name__, connected=isinstance(error, broke))
        return InternalError(f"the request failed: {error!r}")

    def _answer(self, response: httpx.Response, request: Request) -> bytes:
        if response.status_code == httpx.codes.OK:
            return json_tensor(response.content).encode()
        raise failure(_text(response), str(response.status_code), request.id, self._address.through)


class HttpTransport:
    """The sync transport: the async one on an event loop of its own, whose one deadline bounds connecting, sending,
    waiting and receiving together. Safe to use from many threads.
    """

    def __init__(self, address: Address) -> None:
        self._transport = AsyncHttpTransport(address)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._calls: set[asyncio.Future[Any]] = set()

    def infer(self, request: Request, timeout: float | None) -> bytes:
        """Return the output's bytes."""
        return self._run(self._transport.infer(request, timeout))

    def stream(self, _request: Request, _timeout: float | None) -> Generator[bytes, None, None]:
        """Raise :class:`BadOption`: Triton streams over gRPC alone."""
        raise BadOption(NO_STAGES)

    def ready(self, timeout: float, whole: bool = False) -> bool:
        """Say whether the server answers and the detector is loaded; if ``whole``, and no model failed to load."""
        return self._run(self._transport.ready(timeout, whole))

    def config(self, timeout: float) -> dict[str, Any]:
        """Return the detector's configuration, empty where the server does not tell it."""
        return self._run(self._transport.config(timeout))

    def close(self) -> None:
        """Close the connections and end the loop; requests that other threads wait for raise ServerUnavailable."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            asyncio.run_coroutine_threadsafe(self._end(), loop).result()
            loop.call_soon_threadsafe(loop.stop)

    async def _end(self) -> None:
        under_way = list(self._calls)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._transport.close()

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run_loop, args=(self._loop,), daemon=True, name="veracity-http").start()
            future = asyncio.run_coroutine_threadsafe(self._kept(call), self._loop)
        try:
            return future.result()
        except CancelledError:
            raise ServerUnavailable("the detector was closed while a request was under way") from None
        except BaseException:  # Ctrl-C among others: the request ends as well
            future.cancel()
            raise

    async def _kept(self, call: Coroutine[Any, Any, T]) -> T:
        """Await ``call``, known to :meth:`close` as under way."""
        task = asyncio.ensure_future(call)
        self._calls.add(task)
        try:
            return await task
        finally:
            self._calls.discard(task)


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


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
    outputs, parameters = [{"name": request.output}], {"timeout": request.timeout_us, "priority": request.priority}
    parts = {"id": request.id, "parameters": parameters, "inputs": inputs, "outputs": outputs}
    header = json.dumps(parts).encode()
    own = {LENGTH_HEADER: str(len(header)), "Content-Type": "application/octet-stream"}
    return {
        "url": f"/models/{request.model}/infer",
        "content": b"".join([header, *values]),
        "headers": {**request.headers, **own},
    }


def _text(response: httpx.Response) -> str:
    """Return the server's words: Triton's ``error``, a gateway's ``message``, a proxy's page."""
    try:
        body = response.json()
        return str(body.get("error") or body.get("message") or body)
    except (*UNREADABLE, AttributeError):
        return response.text[:500]
