"""Ask the child process what a file says of its origin, and turn its end into an answer."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from veracity_gateway.provenance.limits import OUT_OF_MEMORY
from veracity_gateway.provenance.records import Provenance, State

ROOT = Path(__file__).parents[2]  # the folder that holds this package
MIB = 1 << 20
OUTPUT_BYTES = 2 * MIB  # all that a child may write
UNKNOWN_SIGNER = "signingCredential.untrusted"  # of itself it makes credentials valid, not invalid
STDERR_BYTES = 2000  # of a child's last words, for the log

logger = logging.getLogger(__name__)  # the child imports this module too, and structlog takes it long


@dataclass(frozen=True)
class TrustLists:
    """Whom to trust, as files of certificates in PEM; with an empty file nobody is."""

    signers: Path = Path(__file__).with_name("trust") / "C2PA-TRUST-LIST.pem"
    authorities: Path = Path(__file__).with_name("trust") / "C2PA-TSA-TRUST-LIST.pem"


def read(
    path: Path, *, seconds: float = 20, memory_bytes: int = 2048 * MIB, trust: TrustLists | None = None
) -> Provenance:
    """Return what the file says of its origin; a bad file is ``unreadable``. Raises OSError where it cannot be opened.

    The file is read in a child process that is killed after ``seconds``. Blocks: call it in a thread.
    """
    trust = trust or TrustLists()
    given = {
        "seconds": seconds,
        "memory_bytes": memory_bytes,
        "output_bytes": OUTPUT_BYTES,
        "signers": str(trust.signers.absolute()),
        "authorities": str(trust.authorities.absolute()),
    }
    with path.open("rb") as source, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        status = _run(json.dumps(given), source, output, errors, seconds)
        if status == 0:
            output.seek(0)
            return _parsed(output.read(OUTPUT_BYTES))
        errors.seek(0)
        logger.warning("the reader of provenance failed with %s: %s", status, _tail(errors))
    return _unreadable(_reason(status, seconds, memory_bytes))


def _run(given: str, source: IO[bytes], output: IO[bytes], errors: IO[bytes], seconds: float) -> int | None:
    """Run the child; return its exit status, None where its time was up."""
    environment = {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "2"}  # each arena counts 64 MiB
    child = subprocess.Popen(
        [sys.executable, "-s", "-B", "-m", "veracity_gateway.provenance.child", given],
        stdin=source, stdout=output, stderr=errors, env=environment, cwd="/", start_new_session=True,
    )  # fmt: skip
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with suppress(ProcessLookupError):  # it has ended, and all that it started
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _parsed(text: bytes) -> Provenance:
    from pydantic import TypeAdapter, ValidationError  # here, as above

    try:
        found: dict[str, Any] = json.loads(text)
        return TypeAdapter(Provenance).validate_python({**found, "means": _means(found)})
    except (ValueError, TypeError, KeyError, ValidationError):
        return _unreadable("its reader gave an answer that makes no sense")


def _unreadable(reason: str) -> Provenance:
    return Provenance("unreadable", _means({"state": "unreadable", "reason": reason}), reason)


def _reason(status: int | None, seconds: float, memory_bytes: int) -> str:
    if status is None or status in (-signal.SIGXCPU, -signal.SIGALRM):
        return f"reading it took longer than {seconds:g} s"
    if status == OUT_OF_MEMORY:
        return f"reading it needs more memory than {memory_bytes // MIB} MiB"
    if status < 0:
        return f"its reader broke down ({signal.Signals(-status).name})"
    return f"its reader ended with {status}"


def _means(found: dict[str, Any]) -> str:
    credentials = found.get("credentials") or {}
    signer = credentials.get("signer") or {}
    who = signer.get("organisation") or signer.get("name") or "somebody"
    problems = [problem for problem in credentials.get("problems") or () if problem["code"] != UNKNOWN_SIGNER]
    failed = "; ".join(dict.fromkeys(problem["means"] for problem in problems)) or "they do not validate"
    state: State = found["state"]
    sentences: dict[State, str] = {
        "trusted": f"Signed by {who}, who is on the list of known signers, and unchanged since. "
        "That says who vouches for it, not that it shows the truth.",
        "valid": f"Unchanged since it was signed in the name of {who}, by a signer who is on no list of known ones. "
        "Anyone can sign in any name.",
        "invalid": f"Its content credentials do not hold: {failed}. What they say counts for nothing.",
        "none": "It has no content credentials. Few files have; this says nothing about it.",
        "unreadable": f"Its content credentials could not be read: {found.get('reason')}. "
        "Whether it has any that hold is not known.",
    }
    return sentences[state]


def _tail(errors: IO[bytes]) -> str:
    return errors.read()[-STDERR_BYTES:].decode(errors="replace")
