""":class:`Detector` and :class:`AsyncDetector`: a Veracity server, over gRPC or HTTP; stages over gRPC alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from types import TracebackType
from typing import TYPE_CHECKING

from veracity_client._address import Address, Protocol, TlsConfig
from veracity_client._source import Video, read, server_path
from veracity_client._wire import RETRIED, RetryBudget, build, read_event, read_verdict
from veracity_client.errors import BadOption, InternalError, ServerUnavailable, VeracityError
from veracity_client.verdict import Options, StageEvent, Verdict

if TYPE_CHECKING:
    from veracity_client._grpc import AsyncGrpcTransport, GrpcTransport
    from veracity_client._http import AsyncHttpTransport, HttpTransport

READY_SECONDS = 5.0  # a server that takes longer to say so is not ready


class _Base:
    """What both detectors have in common.

    ``url``: ``host:port`` or one of ``grpc://``, ``grpcs://``, ``http://``, ``https://`` before it. ``api_key`` is sent
    as the header ``x-api-key``. ``retries``: how often a request is repeated that an overloaded server refused (after
    0.2 s, 0.4 s, …) or whose server or model went away (after 2 s, 6 s, …), with jitter; no
    other error is retried. ``timeout``: seconds for one analysis, retries included, and the
    server is told; None leaves the deadline to ``Options.deadline_seconds``. Proxies are taken from the environment
    (``grpc_proxy``, ``https_proxy``, ``http_proxy``), but for a server on this machine. Raises :class:`BadOption` for a
    bad url or key.
    """

    def __init__(
        self,
        url: str = "localhost:8001",
        *,
        protocol: Protocol | None = None,
        api_key: str | None = None,
        tls: bool | TlsConfig = False,
        retries: int = 3,
        timeout: float | None = None,
    ) -> None:
        self._address = Address.parse(url, protocol, tls, api_key)
        self._retries = retries
        self._timeout = timeout
        self._answered = False  # whether there was a server at the address
        self._closes = 0
        try:
            self._connect()
        except OSError as error:  # PEM files that are absent or no PEM
            raise BadOption(f"tls: {error}") from error

    def _connect(self) -> None:
        raise NotImplementedError

    @property
    def protocol(self) -> Protocol:
        """``grpc`` or ``http``."""
        return self._address.protocol

    def _budget(self, timeout: float | None) -> RetryBudget:
        return RetryBudget(self._timeout if timeout is None else timeout, self._retries)

    def _pause(self, error: VeracityError, budget: RetryBudget, closes: int) -> float:
        """Return the seconds to wait before the next attempt; raises ``error`` where none is worth it."""
        connected = not isinstance(error, ServerUnavailable) or error.connected
        self._answered |= connected
        if self._closes != closes or not self._answered:
            raise error
        try:
            return budget.pause(error)
        except ServerUnavailable:
            self._answered = connected  # the next request need not wait as long
            raise


class Detector(_Base):
    """A Veracity server. Safe to use from many threads; close it, or use it as a context manager."""

    def _connect(self) -> None:
        self._transport = _transport(self._address)

    def analyze(self, video: Video, options: Options | None = None, *, timeout: float | None = None) -> Verdict:
        """Send a video (path, bytes or binary file object) and return the verdict.

        Raises a class of :mod:`veracity_client.errors`: what the server raised, or ServerUnavailable,
        AnalysisTimeout, BadVideo for a file that cannot be read here.
        """
        return self._request(read(video), options, self._budget(timeout))

    def analyze_path(self, path: str, options: Options | None = None, *, timeout: float | None = None) -> Verdict:
        """Name a file under the server's media root and return the verdict. Raises as :meth:`analyze` does."""
        return self._request(server_path(path), options, self._budget(timeout))

    def stages(
        self, video: Video, options: Options | None = None, *, timeout: float | None = None
    ) -> Generator[StageEvent | Verdict, None, None]:
        """Yield what happens, the verdict last. gRPC alone; closing the iterator early ends the analysis.

        Raises as :meth:`analyze` does, and :class:`BadOption` over HTTP.
        """
        return self._stages(read(video), options, self._budget(timeout))

    def ready(self) -> bool:
        """Say whether a server answers here with the detector loaded."""
        return self._transport.ready(READY_SECONDS)

    def close(self) -> None:
        """Let go of the connections."""
        self._closes += 1
        self._transport.close()

    def __enter__(self) -> Detector:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _request(self, source: bytes | str, options: Options | None, budget: RetryBudget) -> Verdict:
        closes = self._closes
        while True:
            left = budget.left()
            try:
                verdict = read_verdict(self._transport.infer(build(source, options, left), left))
            except RETRIED as error:
                time.sleep(self._pause(error, budget, closes))
            else:
                self._answered = True
                return verdict

    def _stages(
        self, source: bytes, options: Options | None, budget: RetryBudget
    ) -> Generator[StageEvent | Verdict, None, None]:
        begun, closes = False, self._closes
        while True:
            left = budget.left()
            try:
                with closing(self._transport.stream(build(source, options, left, stream=True), left)) as messages:
                    for message in messages:
                        begun = self._answered = True
                        event = read_event(message)
                        if event is not None:
                            yield event
                        if isinstance(event, Verdict):
                            return
                raise InternalError("the stream ended without a verdict")
            except RETRIED as error:
                if begun:
                    raise
                time.sleep(self._pause(error, budget, closes))


class AsyncDetector(_Base):
    """The same for asyncio: ``async with``, ``await`` and ``async for``. Each event loop that uses it has connections
    of its own; ``close`` closes those of the running one.
    """

    def _connect(self) -> None:
        self._transport = _async_transport(self._address)

    async def analyze(self, video: Video, options: Options | None = None, *, timeout: float | None = None) -> Verdict:
        """Send a video and return the verdict; see :meth:`Detector.analyze`."""
        budget = self._budget(timeout)
        return await self._request(await asyncio.to_thread(read, video), options, budget)

    async def analyze_path(self, path: str, options: Options | None = None, *, timeout: float | None = None) -> Verdict:
        """Name a file under the server's media root; see :meth:`Detector.analyze_path`."""
        return await self._request(server_path(path), options, self._budget(timeout))

    async def stages(
        self, video: Video, options: Options | None = None, *, timeout: float | None = None
    ) -> AsyncGenerator[StageEvent | Verdict, None]:
        """Yield what happens, the verdict last; see :meth:`Detector.stages`. Leave early by ``aclose()``."""
        budget = self._budget(timeout)
        source = await asyncio.to_thread(read, video)
        async with aclosing(self._stages(source, options, budget)) as events:
            async for event in events:
                yield event

    async def ready(self) -> bool:
        """Say whether a server answers here with the detector loaded."""
        return await self._transport.ready(READY_SECONDS)

    async def close(self) -> None:
        """Let go of the connections."""
        self._closes += 1
        await self._transport.close()

    async def __aenter__(self) -> AsyncDetector:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def _request(self, source: bytes | str, options: Options | None, budget: RetryBudget) -> Verdict:
        closes = self._closes
        while True:
            left = budget.left()
            try:
                verdict = read_verdict(await self._transport.infer(build(source, options, left), left))
            except RETRIED as error:
                await asyncio.sleep(self._pause(error, budget, closes))
            else:
                self._answered = True
                return verdict

    async def _stages(
        self, source: bytes, options: Options | None, budget: RetryBudget
    ) -> AsyncGenerator[StageEvent | Verdict, None]:
        begun, closes = False, self._closes
        while True:
            left = budget.left()
            try:
                async with aclosing(
                    self._transport.stream(build(source, options, left, stream=True), left)
                ) as messages:
                    async for message in messages:
                        begun = self._answered = True
                        event = read_event(message)
                        if event is not None:
                            yield event
                        if isinstance(event, Verdict):
                            return
                raise InternalError("the stream ended without a verdict")
            except RETRIED as error:
                if begun:
                    raise
                await asyncio.sleep(self._pause(error, budget, closes))


def _transport(address: Address) -> GrpcTransport | HttpTransport:
    if address.protocol == "http":
        from veracity_client._http import HttpTransport

        return HttpTransport(address)
    from veracity_client._grpc import GrpcTransport

    return GrpcTransport(address)


def _async_transport(address: Address) -> AsyncGrpcTransport | AsyncHttpTransport:
    if address.protocol == "http":
        from veracity_client._http import AsyncHttpTransport

        return AsyncHttpTransport(address)
    from veracity_client._grpc import AsyncGrpcTransport

    return AsyncGrpcTransport(address)
