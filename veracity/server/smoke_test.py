"""Whether a loaded model answers, and answers right: what the supervisor asks after a load, and ``veracity ready``."""

from __future__ import annotations

from pathlib import Path

from tritonclient.utils import InferenceServerException

from veracity.catalog import MODELS, provenance, smoke_test
from veracity.server.control import Control, ProbeResult, reason
from veracity.server.repository import is_detector
from veracity_client.errors import from_wire


def fault(control: Control, name: str, repository: Path, timeout: float) -> str:
    """Return what is wrong with a loaded model; empty where it answers as its papers say, if ``repository`` has them.

    A model of the layer table is asked the known question. A detector gets an empty video, and an error of ours is
    its answer. Others get zeros.
    """
    if name in MODELS:
        return _of_layer(control, name, repository, timeout)
    pulse, words = control.probe(name, timeout)
    alive = pulse is ProbeResult.ALIVE or (
        pulse is ProbeResult.REFUSED and is_detector(name) and from_wire(words) is not None
    )
    return "" if alive else words


def _of_layer(control: Control, name: str, repository: Path, timeout: float) -> str:
    try:
        answer, coarse = control.ask(MODELS[name], timeout)
        return smoke_test.fault(MODELS[name], answer, provenance.read(repository / name), coarse=coarse)
    except InferenceServerException as error:
        return reason(error)
    except provenance.ProvenanceError as error:
        return error.message
