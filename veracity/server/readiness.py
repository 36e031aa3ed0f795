"""``veracity ready``: ask a running server as its clients would, model by model; a container's healthcheck.

Has to be quick, since it is started anew for each look: neither ONNX Runtime nor the engine is imported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from tritonclient.utils import InferenceServerException

from veracity.catalog import FACE_DETECTOR
from veracity.catalog.profiles import BENCH, children, choose, required
from veracity.server import repository
from veracity.server.control import Control, reason
from veracity.server.repository import DETECTORS
from veracity.server.smoke_test import fault
from veracity.settings import Settings
from veracity_client._wire import Address
from veracity_client.errors import BadOption

READY = "READY"  # Triton's word; of a model that nobody asked it to load it says nothing


def faults(settings: Settings, url: str, timeout: float) -> Iterator[str]:
    """Yield what keeps the server at ``url`` (gRPC, host:port) from being ready; nothing where it is.

    Each model of the profile that was loaded is asked the known question, its answer held against its papers where
    the model repository is at hand, and both detectors an empty video. ``timeout`` is in seconds, a question. Raises
    :class:`BadOption` for an address that is none, or no time.
    """
    if not 0 < timeout < math.inf:
        raise BadOption(f"--timeout is a number of seconds over 0, got {timeout:g}")
    with Control(Address.parse(url, "grpc", False, None).target) as control:
        try:
            if not control.server_is_ready(timeout):
                yield "the server is not ready: Triton says that a model is not"
            yield from _models(control, settings, timeout)
        except InferenceServerException as error:
            yield f"the server at {url} does not answer by gRPC: {reason(error)}"


def _models(control: Control, settings: Settings, timeout: float) -> Iterator[str]:
    names, needed = _names(settings)
    states, answered = control.index(timeout), []
    for name in names:
        state, why = states.get(name, ("", ""))
        if state == READY:
            words = fault(control, name, settings.model_repository, timeout)
            answered += [] if words else [name]
            if words:
                yield f"{name}: {words}"
        elif state or name in needed:
            yield f"{name}: is {state.lower() or 'not loaded'}{f' ({why})' if why else ''}"
    if not set(answered) - {FACE_DETECTOR.name, *DETECTORS}:
        yield f"no model that scores answered, of {_asked(settings)}: every verdict would be inconclusive"


def _asked(settings: Settings) -> str:
    instead = f" with {settings.models}" if settings.models else ""
    return f"profile {settings.profile}{instead}"


def _names(settings: Settings) -> tuple[tuple[str, ...], set[str]]:
    """Return the profile's models, and those that must be loaded: in development what we see installed."""
    choice = choose(settings.profile, settings.models)
    names = (*children(choice), *DETECTORS)
    here = repository.read(settings.model_repository, names, untrained=settings.profile == BENCH)
    wanted = required(choice) if settings.env == "production" else ()
    return names, {*DETECTORS, *here.children, *wanted}
