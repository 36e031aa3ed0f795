"""Test that a loaded model answers, and answers right: after each load, and for ``veracity ready``."""

from __future__ import annotations

from pathlib import Path

from tritonclient.utils import InferenceServerException

from veracity.catalog import MODELS, provenance, smoke_test
from veracity.server.control import Control, ProbeResult, one_line
from veracity.server.repository import is_detector
from veracity_client.errors import BadVideo, from_wire


def fault(control: Control, name: str, repository: Path, timeout: float) -> str:
    """Return what is wrong with a loaded model, empty where nothing is; ``timeout`` is in seconds.

    A model of the catalog gets its smoke test, whose outputs must be those in its provenance, where ``repository`` has
    that. A detector gets an empty video and has to refuse it. Other models get zeros.
    """
    if name in MODELS:
        return _smoke_test_fault(control, name, repository, timeout)
    result, text = control.probe(name, timeout)
    refused = result is ProbeResult.REFUSED and is_detector(name) and isinstance(from_wire(text), BadVideo)
    return "" if refused or result is ProbeResult.ALIVE else text


def _smoke_test_fault(control: Control, name: str, repository: Path, timeout: float) -> str:
    try:
        outputs, coarse = control.run_smoke_test(MODELS[name], timeout)
        return smoke_test.fault(MODELS[name], outputs, provenance.read(repository / name), coarse=coarse)
    except InferenceServerException as error:
        return one_line(error)
    except provenance.ProvenanceError as error:
        return error.message
