"""``veracity ready``: send every model of a running server a request, as its clients would. A container's healthcheck.

It has to start quickly, since every check is a new process: neither ONNX Runtime nor the analysis is imported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from tritonclient.utils import InferenceServerException

from veracity import residency
from veracity.catalog import FACE_DETECTOR, SPEAKER
from veracity.catalog.profiles import BENCH, choose, required, served
from veracity.server import repository, rundir
from veracity.server.control import Control, one_line
from veracity.server.repository import DETECTORS
from veracity.server.smoke_test import fault
from veracity.server.sockets import Sockets, connect
from veracity.settings import Settings
from veracity_client._address import Address, is_local
from veracity_client.errors import BadOption, ModelUnavailable

READY = "READY"  # in Triton's index; a model that was never loaded has no state there


def faults(settings: Settings, url: str, timeout: float, api_key: str | None = None) -> Iterator[str]:
    """Yield what keeps the server at ``url`` (gRPC, host:port) from being ready; nothing where it is.

    Of a server that this user runs on this machine, each loaded model of the profile gets its smoke test, whose outputs
    must be those in its provenance where the model repository is at hand; both detectors get an empty video. Of another
    server only the detectors are asked, since nothing else is open. ``timeout`` is in seconds per model. Raises
    :class:`BadOption` for a malformed address or timeout.
    """
    if not 0 < timeout < math.inf:
        raise BadOption(f"--timeout is a number of seconds over 0, got {timeout:g}")
    sockets = own_run(url)
    address = Address.parse(url, "grpc", False, api_key)
    with Control(sockets.connect if sockets else partial(connect, address)) as control:
        try:
            if not control.server_is_ready(timeout):
                yield "the server is not ready: Triton says that a model is not"
            if sockets:
                yield from _models(control, settings, timeout, sockets)
            else:
                yield from _detectors(control, settings, timeout)
        except InferenceServerException as error:
            yield f"the server at {url} does not answer by gRPC: {one_line(error)}"


def own_run(url: str) -> Sockets | None:
    """Return the sockets of the server that this user runs at ``url``, None for a server of somebody else's."""
    target = Address.parse(url, "grpc", False, None).target
    for directory in rundir.live() if is_local(target) else ():
        with suppress(OSError):  # it ends just now
            if (directory / rundir.ADDRESS).read_text().rpartition(":")[2] == target.rpartition(":")[2]:
                return Sockets.read(directory)
    return None


def _detectors(control: Control, settings: Settings, timeout: float) -> Iterator[str]:
    for name in DETECTORS:
        if found := fault(control, name, settings.model_repository, timeout):
            yield f"{name}: {found}"


def _models(control: Control, settings: Settings, timeout: float, sockets: Sockets) -> Iterator[str]:
    names, needed = _names(settings)
    states, answered = control.index(timeout), list[str]()
    for name in names:
        with _kept(name, sockets.residency) as kept:
            state, why = (READY, "") if kept == residency.LOADED else states.get(name, ("", ""))
            if kept == residency.UNLOADED:
                found = ""
            elif state == READY:
                found = fault(control, name, settings.model_repository, timeout)
            elif state or name in needed:
                found = f"is {state.lower() or 'not loaded'}{f' ({why})' if why else ''}"
            else:
                continue
        if found:
            yield f"{name}: {found}"
        else:
            answered.append(name)
    if not set(answered) - {FACE_DETECTOR.name, SPEAKER.name, *DETECTORS}:
        yield f"no model that scores answered, of {_selection(settings)}: every verdict would be inconclusive"


@contextmanager
def _kept(model: str, socket: Path) -> Iterator[str]:
    """Keep a model that is loaded in memory inside the block; yield its state, empty where models stay anyway."""
    with ExitStack() as stack:
        state = ""
        if socket.exists():
            with suppress(ModelUnavailable):  # the supervisor does not look after it
                state = stack.enter_context(residency.held_if_loaded(model, socket))
        yield state


def _selection(settings: Settings) -> str:
    instead = f" with {settings.models}" if settings.models else ""
    return f"profile {settings.profile}{instead}"


def _names(settings: Settings) -> tuple[tuple[str, ...], set[str]]:
    """Return the profile's models, and those that must be loaded: in development only what is installed here."""
    choice = choose(settings.profile, settings.models)
    names = (*served(settings.profile, settings.models), *DETECTORS)
    here = repository.read(settings.model_repository, names, untrained=settings.profile == BENCH)
    wanted = required(choice) if settings.env == "production" else ()
    return names, {*DETECTORS, *here.children, *wanted}
