""":class:`Detector` and :class:`AsyncDetector`: one Veracity server or several, over gRPC or HTTP; stages over gRPC."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from types import TracebackType
from typing import TYPE_CHECKING

from veracity_client import telemetry
from veracity_client._address import Address
from veracity_client._base import Base, Call
from veracity_client._servers import Servers
from veracity_client._source import Video, read, server_path
from veracity_client._wire import RETRIED, build, read_event, read_verdict
from veracity_client.errors import InternalError
from veracity_client.info import ServerInfo, read_info
from veracity_client.verdict import Options, StageEvent, Verdict

if TYPE_CHECKING:
    from veracity_client._grpc import AsyncGrpcTransport, GrpcTransport
    from veracity_client._http import AsyncHttpTransport, HttpTransport

SPAN = "analyze"  # as a trace shows a call, retries included
READY_SECONDS = 5.0  # a server that takes longer to say so is not ready


class Detector(Base):
    """A Veracity server, or several. Safe to use from many threads; close it, or use it as a context manager."""

    def _connect(self) -> None:
        self._servers = Servers(self._addresses, _transport)

    def analyze(self, video: Video, options: Options | None = None, *, timeout: float | None = None) -> Verdict:
        """Send a video (path, bytes or binary file object) and return the verdict.

        Raises a class of :mod:`veracity_client.errors`: what the server raised, or ServerUnavailable,
        AnalysisTimeout, BadVideo for a file that cannot be read here.
        """
        call = self._call(timeout)
        with telemetry.call(SPAN) as call.headers:
            return self._request(read(video), options, call)

    def analyze_path(self, path: str, options: Options | None = None, *, timeout: float | None = None) -> Verdict:
        """Name a file under the server's media root and return the verdict. Raises as :meth:`analyze` does."""
        call = self._call(timeout)
        with telemetry.call(SPAN) as call.headers:
            return self._request(server_path(path), options, call)

    def stages(
        self, video: Video, options: Options | None = None, *, timeout: float | None = None
    ) -> Generator[StageEvent | Verdict, None, None]:
        """Yield what happens, the verdict last. gRPC alone; closing the iterator early ends the analysis.

        Raises as :meth:`analyze` does, and :class:`BadOption` over HTTP.
        """
        call = self._call(timeout)
        return self._traced(self._stages(read(video), options, call), call)

    def _traced(
        self, events: Generator[StageEvent | Verdict, None, None], call: Call
    ) -> Generator[StageEvent | Verdict, None, None]:
        with closing(events), telemetry.call(SPAN) as call.headers:
            yield from events

    def ready(self, *, whole: bool = False) -> bool:
        """Say whether one of the servers has the detector loaded; if ``whole``, and no model that failed to load."""
        return any(server.transport.ready(READY_SECONDS, whole) for server in self._servers)

    def info(self) -> list[ServerInfo | None]:
        """Return what each server says of itself, None of one that does not say it."""
        return [read_info(server.transport.config(READY_SECONDS)) for server in self._servers]

    def close(self) -> None:
        """Let go of the connections."""
        self._closes += 1
        for server in self._servers:
            server.transport.close()

    def __enter__(self) -> Detector:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _probe(self, call: Call) -> None:
        server = self._servers.to_probe()
        if server and server.transport.ready(call.probe_seconds()):
            self._servers.back(server)

    def _request(self, source: bytes | str, options: Options | None, call: Call) -> Verdict:
        while True:
            self._probe(call)
            left = call.budget.left()
            request = build(source, options, left, call.headers)
            try:
                with self._servers.ask(call.refused) as server:
                    verdict = read_verdict(server.transport.infer(request, left))
            except RETRIED as error:
                time.sleep(self._pause(call, server, error))
            else:
                self._answered = True
                return verdict

    def _stages(
        self, source: bytes, options: Options | None, call: Call
    ) -> Generator[StageEvent | Verdict, None, None]:
        begun = False
        while True:
            self._probe(call)
            left = call.budget.left()
            request = build(source, options, left, call.headers, stream=True)
            try:
                with (
                    self._servers.ask(call.refused) as server,
                    closing(server.transport.stream(request, left)) as messages,
                ):
                    for message in messages:
                        self._answered = True
                        event = read_event(message)
                        if event is not None:
                            begun = True
                            yield event
                        if isinstance(event, Verdict):
                            return
                raise InternalError("the stream ended without a verdict")
            except RETRIED as error:
                if begun:
                    raise
                time.sleep(self._pause(call, server, error))


class AsyncDetector(Base):
    """The same for asyncio: ``async with``, ``await`` and ``async for``. Each event loop that uses it has connections
    of its own; ``close`` closes those of the running one.
    """

    def _connect(self) -> None:
        self._servers = Servers(self._addresses, _async_transport)

    async def analyze(self, video: Video, options: Options | None = None, *, timeout: float | None = None) -> Verdict:
        """Send a video and return the verdict; see :meth:`Detector.analyze`."""
        call = self._call(timeout)
        with telemetry.call(SPAN) as call.headers:
            return await self._request(await asyncio.to_thread(read, video), options, call)

    async def analyze_path(self, path: str, options: Options | None = None, *, timeout: float | None = None) -> Verdict:
        """Name a file under the server's media root; see :meth:`Detector.analyze_path`."""
        call = self._call(timeout)
        with telemetry.call(SPAN) as call.headers:
            return await self._request(server_path(path), options, call)

    async def stages(
        self, video: Video, options: Options | None = None, *, timeout: float | None = None
    ) -> AsyncGenerator[StageEvent | Verdict, None]:
        """Yield what happens, the verdict last; see :meth:`Detector.stages`. Leave early by ``aclose()``."""
        call = self._call(timeout)
        source = await asyncio.to_thread(read, video)
        with telemetry.call(SPAN) as call.headers:
            async with aclosing(self._stages(source, options, call)) as events:
                async for event in events:
                    yield event

    async def ready(self, *, whole: bool = False) -> bool:
        """Say whether one of the servers has the detector loaded; see :meth:`Detector.ready`."""
        for server in self._servers:
            if await server.transport.ready(READY_SECONDS, whole):
                return True
        return False

    async def close(self) -> None:
        """Let go of the connections."""
        self._closes += 1
        for server in self._servers:
            await server.transport.close()

    async def __aenter__(self) -> AsyncDetector:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def _probe(self, call: Call) -> None:
        server = self._servers.to_probe()
        if server and await server.transport.ready(call.probe_seconds()):
            self._servers.back(server)

    async def _request(self, source: bytes | str, options: Options | None, call: Call) -> Verdict:
        while True:
            await self._probe(call)
            left = call.budget.left()
            request = build(source, options, left, call.headers)
            try:
                with self._servers.ask(call.refused) as server:
                    verdict = read_verdict(await server.transport.infer(request, left))
            except RETRIED as error:
                await asyncio.sleep(self._pause(call, server, error))
            else:
                self._answered = True
                return verdict

    async def _stages(
        self, source: bytes, options: Options | None, call: Call
    ) -> AsyncGenerator[StageEvent | Verdict, None]:
        begun = False
        while True:
            await self._probe(call)
            left = call.budget.left()
            request = build(source, options, left, call.headers, stream=True)
            try:
                with self._servers.ask(call.refused) as server:
                    async with aclosing(server.transport.stream(request, left)) as messages:
                        async for message in messages:
                            self._answered = True
                            event = read_event(message)
                            if event is not None:
                                begun = True
                                yield event
                            if isinstance(event, Verdict):
                                return
                raise InternalError("the stream ended without a verdict")
            except RETRIED as error:
                if begun:
                    raise
                await asyncio.sleep(self._pause(call, server, error))


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
