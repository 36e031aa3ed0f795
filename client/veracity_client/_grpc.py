"""Triton over gRPC, with the stubs of tritonclient.

Its higher-level client holds one stream at a time; the stubs give every call its own and cancel it when it is left.
"""

from __future__ import annotations

import asyncio
import os
import re
import struct
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]
from google.protobuf import json_format
from tritonclient.grpc import service_pb2, service_pb2_grpc

from veracity_client._address import API_KEY_HEADER, Address, TlsConfig, is_local, unreachable
from veracity_client._per_loop import PerLoop
from veracity_client._wire import ALIVE_SECONDS, DETECTOR, Request, failure
from veracity_client.errors import VeracityError

CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", -1),  # a video is one message; the server has the limit
    ("grpc.max_receive_message_length", -1),
    ("grpc.keepalive_time_ms", 330_000),  # Triton hangs up on pings more often than every 300 s
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.max_reconnect_backoff_ms", 1000),  # by default it grows to two minutes, and a restart takes seconds
)
# A name may stand for several servers, as that of a headless Service: each gets its share of the calls. After ten
# minutes a server asks to connect anew: then the name is looked up again.
BALANCED_OPTIONS = (
    ("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),
    ("grpc.dns_min_time_between_resolutions_ms", 5000),  # by default 30 s
)
NOT_CONNECTED = re.compile(  # gRPC's words, also where TLS failed
    "failed to connect|resolution failed|to all backends failing", re.IGNORECASE
)
# By a proxy whose server went away during the answer; the last are the words of grpc.aio where there was no answer yet.
RESET = re.compile("RST_STREAM|stream removed|internal error from core", re.IGNORECASE)
SILENCE_SECONDS = 6 * ALIVE_SECONDS  # a stream whose process died is silent: Triton ends it neither way
STREAM_INFER = "/inference.GRPCInferenceService/ModelStreamInfer"
SILENT = "the stream fell silent, so its process died"
TRITON_KEY_PREFIX = "triton-grpc-protocol-"  # of the header that Triton itself checks, --grpc-restricted-protocol
READY, CONFIG = service_pb2.ModelReadyRequest(name=DETECTOR), service_pb2.ModelConfigRequest(name=DETECTOR)
WHOLE = service_pb2.ServerReadyRequest()
LENGTH_BYTES = 4  # of the length before each element of a BYTES tensor, little endian


def channel_options(target: str) -> list[tuple[str, int | str]]:
    """Return the options of a channel to ``target``. What is on this machine is never reached through a proxy."""
    return [*CHANNEL_OPTIONS, *([("grpc.enable_http_proxy", 0)] if is_local(target) else BALANCED_OPTIONS)]


class _Transport:
    def __init__(self, address: Address) -> None:
        self._address = address
        self._credentials = ssl_credentials(address.tls) if address.tls else None
        key = address.headers.get(API_KEY_HEADER)
        self._metadata = [(API_KEY_HEADER, key), (TRITON_KEY_PREFIX + API_KEY_HEADER, key)] if key else []

    def _open(self, module: Any) -> Any:
        """Open a channel of ``grpc`` or of ``grpc.aio``."""
        target, options = self._address.target, channel_options(self._address.target)
        if self._address.connect_seconds is not None:  # by default 20 s; the name says less than the option does
            options.append(("grpc.min_reconnect_backoff_ms", round(1000 * self._address.connect_seconds)))
        if self._credentials is None:
            return module.insecure_channel(target, options=options)
        return module.secure_channel(target, self._credentials, options=options)

    def _sent(self, request: Request) -> list[tuple[str, str]]:
        return [*self._metadata, *request.headers.items()]

    def _error(self, error: grpc.RpcError, request: Request) -> VeracityError:
        code, text = error.code().name, error.details() or ""
        found = failure(text, code, request.id, self._address.through)
        if (code == "UNAVAILABLE" and found.http == 502) or RESET.search(text):
            return unreachable(self._address, text, connected=NOT_CONNECTED.search(text) is None)
        return found


class GrpcTransport(_Transport):
    """The sync transport; safe to use from many threads."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._channel = self._open(grpc)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def infer(self, request: Request, timeout: float | None) -> bytes:
        """Return the output's bytes."""
        try:
            answer = self._stub.ModelInfer(_message(request), timeout=timeout, metadata=self._sent(request))
        except grpc.RpcError as error:
            raise self._error(error, request) from None
        return _output(answer)

    def stream(self, request: Request, timeout: float | None) -> Generator[bytes, None, None]:
        """Yield the output's bytes of each response; leaving early cancels the call."""
        sent = Event()
        metadata = self._sent(request)
        call = self._stub.ModelStreamInfer(_once(_message(request), sent), timeout=timeout, metadata=metadata)
        silence = _Silence(call, sent)
        try:
            while (response := silence.listen()) is not None:
                yield _streamed(response, request)
        except grpc.RpcError as error:
            if silence.too_long:
                raise unreachable(self._address, SILENT, connected=True) from None
            raise self._error(error, request) from None
        finally:
            call.cancel()
            sent.set()

    def ready(self, timeout: float, whole: bool = False) -> bool:
        """Say whether the server answers and the detector is loaded; if ``whole``, and no model failed to load."""
        given: dict[str, Any] = {"timeout": timeout, "metadata": self._metadata}
        try:
            loaded = self._stub.ModelReady(READY, **given).ready
            return bool(loaded and (not whole or self._stub.ServerReady(WHOLE, **given).ready))
        except grpc.RpcError:
            return False

    def config(self, timeout: float) -> dict[str, Any]:
        """Return the detector's configuration in Triton's JSON form, empty where the server does not tell it."""
        try:
            answer = self._stub.ModelConfig(CONFIG, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError:
            return {}
        return dict(json_format.MessageToDict(answer.config, preserving_proto_field_name=True))

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


class AsyncGrpcTransport(_Transport):
    """The async transport; a channel belongs to one event loop, so each loop has its own."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._channels = PerLoop(lambda: self._open(grpc.aio))

    @property
    def _stub(self) -> Any:
        return service_pb2_grpc.GRPCInferenceServiceStub(self._channels.get())

    async def infer(self, request: Request, timeout: float | None) -> bytes:
        """Return the output's bytes."""
        try:
            answer = await self._stub.ModelInfer(_message(request), timeout=timeout, metadata=self._sent(request))
        except grpc.RpcError as error:
            raise self._error(error, request) from None
        return _output(answer)

    async def stream(self, request: Request, timeout: float | None) -> AsyncGenerator[bytes, None]:
        """Yield the output's bytes of each response; leaving early cancels the call."""
        # A call that sends one message: a stream of them loses the reason of a server that refuses before all is sent.
        ask = self._channels.get().unary_stream(
            STREAM_INFER,
            request_serializer=service_pb2.ModelInferRequest.SerializeToString,
            response_deserializer=service_pb2.ModelStreamInferResponse.FromString,
        )
        call = ask(_message(request), timeout=timeout, metadata=self._sent(request))
        too_long = Event()

        def give_up() -> None:
            too_long.set()
            call.cancel()

        try:
            await call.wait_for_connection()  # which is when all is sent
            while True:
                # Not wait_for: up to Python 3.11 that forgets a cancellation that comes together with a message.
                timer = asyncio.get_running_loop().call_later(SILENCE_SECONDS, give_up)
                try:
                    response = await call.read()
                finally:
                    timer.cancel()
                if response is grpc.aio.EOF:
                    return
                yield _streamed(response, request)
        except asyncio.CancelledError:
            if too_long.is_set():
                raise unreachable(self._address, SILENT, connected=True) from None
            raise
        except grpc.RpcError as error:
            raise self._error(error, request) from None
        finally:
            call.cancel()

    async def ready(self, timeout: float, whole: bool = False) -> bool:
        """Say whether the server answers and the detector is loaded; if ``whole``, and no model failed to load."""
        given: dict[str, Any] = {"timeout": timeout, "metadata": self._metadata}
        try:
            loaded = (await self._stub.ModelReady(READY, **given)).ready
            return bool(loaded and (not whole or (await self._stub.ServerReady(WHOLE, **given)).ready))
        except grpc.RpcError:
            return False

    async def close(self) -> None:
        """Close the channel of the running event loop."""
        if (channel := self._channels.pop()) is not None:
            await channel.close()


class _Silence:
    """Ends a call from which nothing comes for too long once its request was ``sent``."""

    def __init__(self, call: Any, sent: Event) -> None:
        self._call, self._sent = call, sent
        self.too_long = False

    def listen(self) -> Any:
        """Return the next response; None after the last."""
        heard = Event()
        Thread(target=self._give_up, args=(heard,), daemon=True).start()
        try:
            return next(self._call, None)
        finally:
            heard.set()

    def _give_up(self, heard: Event) -> None:
        self._sent.wait()
        if not heard.wait(SILENCE_SECONDS):
            self.too_long = True
            self._call.cancel()


def _once(message: Any, sent: Event) -> Generator[Any, None, None]:
    """Yield the message; gRPC asks for another one when this one is sent."""
    yield message
    sent.set()


def ssl_credentials(tls: TlsConfig) -> Any:
    """Return gRPC's credentials for the files of ``tls``."""
    ca, key, cert = (_pem(path) for path in (tls.ca, tls.key, tls.cert))
    return grpc.ssl_channel_credentials(root_certificates=ca, private_key=key, certificate_chain=cert)


def _pem(path: str | os.PathLike[str] | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()


def _message(request: Request) -> Any:
    message = service_pb2.ModelInferRequest(model_name=request.model, id=request.id)
    message.parameters["timeout"].int64_param = request.timeout_us
    message.parameters["priority"].uint64_param = request.priority
    for name, value in request.tensors.items():
        message.inputs.add(name=name, datatype="BYTES", shape=[1, 1])
        message.raw_input_contents.append(struct.pack("<I", len(value)) + value)
    return message


def _output(answer: Any) -> bytes:
    return bytes(answer.raw_output_contents[0][LENGTH_BYTES:])


def _streamed(response: Any, request: Request) -> bytes:
    if response.error_message:
        raise failure(response.error_message, "", request.id)
    return _output(response.infer_response)
