"""``veracity ready``: send every model of a running server a request, as its clients would. A container's healthcheck.

It has to start quickly, since every check is a new process: neither ONNX Runtime nor the analysis is imported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from tritonclient.utils import InferenceServerException

from veracity.catalog import FACE_DETECTOR
from veracity.catalog.profiles import BENCH, children, choose, required
from veracity.server import repository
from veracity.server.control import Control, one_line
from veracity.server.repository import DETECTORS
from veracity.server.smoke_test import fault
from veracity.settings import Settings
from veracity_client._address import Address
from veracity_client.errors import BadOption

READY = "READY"  # in Triton's index; a model that was never loaded has no state there


def faults(settings: Settings, url: str, timeout: float) -> Iterator[str]:
    """Yield what keeps the server at ``url`` (gRPC, host:port) from being ready; nothing where it is.

    Each loaded model of the profile gets its smoke test, whose outputs must be those in its provenance where the model
    repository is at hand; both detectors get an empty video. ``timeout`` is in seconds per model. Raises
    :class:`BadOption` for a malformed address or timeout.
    """
    if not 0 < timeout < math.inf:
        raise BadOption(f"--timeout is a number of seconds over 0, got {timeout:g}")
    with Control(Address.parse(url, "grpc", False, None).target, direct=False) as control:
        try:
            if not control.server_is_ready(timeout):
                yield "the server is not ready: Triton says that a model is not"
            yield from _models(control, settings, timeout)
        except InferenceServerException as error:
            yield f"the server at {url} does not answer by gRPC: {one_line(error)}"


def _models(control: Control, settings: Settings, timeout: float) -> Iterator[str]:
    names, needed = _names(settings)
    states, answered = control.index(timeout), []
    for name in names:
        state, why = states.get(name, ("", ""))
        if state == READY:
            found = fault(control, name, settings.model_repository, timeout)
            answered += [] if found else [name]
            if found:
                yield f"{name}: {found}"
        elif state or name in needed:
            yield f"{name}: is {state.lower() or 'not loaded'}{f' ({why})' if why else ''}"
    if not set(answered) - {FACE_DETECTOR.name, *DETECTORS}:
        yield f"no model that scores answered, of {_selection(settings)}: every verdict would be inconclusive"


def _selection(settings: Settings) -> str:
    instead = f" with {settings.models}" if settings.models else ""
    return f"profile {settings.profile}{instead}"


def _names(settings: Settings) -> tuple[tuple[str, ...], set[str]]:
    """Return the profile's models, and those that must be loaded: in development only what is installed here."""
    choice = choose(settings.profile, settings.models)
    names = (*children(choice), *DETECTORS)
    here = repository.read(settings.model_repository, names, untrained=settings.profile == BENCH)
    wanted = required(choice) if settings.env == "production" else ()
    return names, {*DETECTORS, *here.children, *wanted}
