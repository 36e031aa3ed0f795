"""The way in: :class:`Detector`, :class:`AsyncDetector`. Over gRPC or HTTP; stages over gRPC alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from types import TracebackType
from typing import TYPE_CHECKING

from veracity_client._wire import (
    Address,
    Protocol,
    RetryBudget,
    TlsConfig,
    Video,
    build,
    read,
    read_event,
    read_verdict,
)
from veracity_client.errors import BadOption, InternalError, Overloaded
from veracity_client.verdict import Options, StageEvent, Verdict

if TYPE_CHECKING:
    from veracity_client._grpc import AsyncGrpcTransport, GrpcTransport
    from veracity_client._http import AsyncHttpTransport, HttpTransport

READY_SECONDS = 5.0  # a server that takes longer to say so is not ready


class _Base:
    """What both detectors are told.

    ``url``: ``host:port`` or one of ``grpc://``, ``grpcs://``, ``http://``, ``https://`` before it. ``api_key`` is sent
    as the header ``x-api-key``. ``retries``: how often an overloaded server is asked again, after 0.2 s, 0.4 s, … with
    jitter; no other error is retried. ``timeout``: seconds for one analysis, retries included, and the server is told;
    None leaves the deadline to ``Options.deadline_seconds``. Raises :class:`BadOption` for a bad url or key.
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

    def _patience(self, timeout: float | None) -> RetryBudget:
        return RetryBudget(self._timeout if timeout is None else timeout, self._retries)


class Detector(_Base):
    """A Veracity server. Safe to use from many threads; close it, or use it as a context manager."""

    def _connect(self) -> None:
        self._door = _door(self._address)

    def analyze(self, video: Video, options: Options | None = None, *, timeout: float | None = None) -> Verdict:
        """Send a video (path, bytes or binary file object) and return the verdict.

        Raises a class of :mod:`veracity_client.errors`: what the server raised, or ServerUnavailable,
        AnalysisTimeout, BadVideo for a file that cannot be read here.
        """
        return self._ask(read(video), options, self._patience(timeout))

    def analyze_path(self, path: str, options: Options | None = None, *, timeout: float | None = None) -> Verdict:
        """Name a file under the server's media root and return the verdict. Raises as :meth:`analyze` does."""
        return self._ask(path, options, self._patience(timeout))

    def stages(
        self, video: Video, options: Options | None = None, *, timeout: float | None = None
    ) -> Generator[StageEvent | Verdict, None, None]:
        """Yield what happens, the verdict last. gRPC alone; closing the iterator early ends the analysis.

        Raises as :meth:`analyze` does, and :class:`BadOption` over HTTP.
        """
        return self._stages(read(video), options, self._patience(timeout))

    def ready(self) -> bool:
        """Say whether a server answers here with the detector loaded."""
        return self._door.ready(READY_SECONDS)

    def close(self) -> None:
        """Let go of the connections."""
        self._door.close()

    def __enter__(self) -> Detector:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _ask(self, source: bytes | str, options: Options | None, patience: RetryBudget) -> Verdict:
        while True:
            left = patience.left()
            try:
                return read_verdict(self._door.infer(build(source, options, left), left))
            except Overloaded as error:
                time.sleep(patience.pause(error))

    def _stages(
        self, source: bytes, options: Options | None, patience: RetryBudget
    ) -> Generator[StageEvent | Verdict, None, None]:
        begun = False
        while True:
            left = patience.left()
            try:
                with closing(self._door.stream(build(source, options, left, stream=True), left)) as messages:
                    for message in messages:
                        begun, event = True, read_event(message)
                        if event is not None:
                            yield event
                        if isinstance(event, Verdict):
                            return
                raise InternalError("the stream ended without a verdict")
            except Overloaded as error:
                if begun:
                    raise
                time.sleep(patience.pause(error))


class AsyncDetector(_Base):
    """The same for asyncio; ``async with``, ``await`` and ``async for``. It belongs to one event loop."""

    def _connect(self) -> None:
        self._door = _async_door(self._address)

    async def analyze(self, video: Video, options: Options | None = None, *, timeout: float | None = None) -> Verdict:
        """Send a video and return the verdict; see :meth:`Detector.analyze`."""
        patience = self._patience(timeout)
        return await self._ask(await asyncio.to_thread(read, video), options, patience)

    async def analyze_path(self, path: str, options: Options | None = None, *, timeout: float | None = None) -> Verdict:
        """Name a file under the server's media root; see :meth:`Detector.analyze_path`."""
        return await self._ask(path, options, self._patience(timeout))

    async def stages(
        self, video: Video, options: Options | None = None, *, timeout: float | None = None
    ) -> AsyncGenerator[StageEvent | Verdict, None]:
        """Yield what happens, the verdict last; see :meth:`Detector.stages`. Leave early by ``aclose()``."""
        patience = self._patience(timeout)
        source = await asyncio.to_thread(read, video)
        async with aclosing(self._stages(source, options, patience)) as events:
            async for event in events:
                yield event

    async def ready(self) -> bool:
        """Say whether a server answers here with the detector loaded."""
        return await self._door.ready(READY_SECONDS)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._door.close()

    async def __aenter__(self) -> AsyncDetector:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def _ask(self, source: bytes | str, options: Options | None, patience: RetryBudget) -> Verdict:
        while True:
            left = patience.left()
            try:
                return read_verdict(await self._door.infer(build(source, options, left), left))
            except Overloaded as error:
                await asyncio.sleep(patience.pause(error))

    async def _stages(
        self, source: bytes, options: Options | None, patience: RetryBudget
    ) -> AsyncGenerator[StageEvent | Verdict, None]:
        begun = False
        while True:
            left = patience.left()
            try:
                async with aclosing(self._door.stream(build(source, options, left, stream=True), left)) as messages:
                    async for message in messages:
                        begun, event = True, read_event(message)
                        if event is not None:
                            yield event
                        if isinstance(event, Verdict):
                            return
                raise InternalError("the stream ended without a verdict")
            except Overloaded as error:
                if begun:
                    raise
                await asyncio.sleep(patience.pause(error))


def _door(address: Address) -> GrpcTransport | HttpTransport:
    if address.protocol == "http":
        from veracity_client._http import HttpTransport

        return HttpTransport(address)
    from veracity_client._grpc import GrpcTransport

    return GrpcTransport(address)


def _async_door(address: Address) -> AsyncGrpcTransport | AsyncHttpTransport:
    if address.protocol == "http":
        from veracity_client._http import AsyncHttpTransport

        return AsyncHttpTransport(address)
    from veracity_client._grpc import AsyncGrpcTransport

    return AsyncGrpcTransport(address)
