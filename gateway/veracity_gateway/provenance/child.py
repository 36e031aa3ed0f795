"""Read the file on standard input and print what it says of its origin, as JSON: ``child.py '{"seconds": …}' < FILE``.

The file is hostile and its readers are native code. So this process takes limits on itself before it touches the file,
refuses itself sockets and other programs where the system has libseccomp, and ends itself if nobody ends it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from veracity_gateway.provenance import limits


def main() -> int:
    """Print what the file says. The exit status is 0, or 12 where it wants more memory than it may have."""
    given = json.loads(sys.argv[1])
    limits.take(given["seconds"], given["memory_bytes"], given["output_bytes"])
    try:
        found = _found(given)
    except MemoryError:
        return limits.OUT_OF_MEMORY
    sys.stdout.write(json.dumps(found))
    sys.stdout.flush()
    return 0


def _found(given: dict[str, Any]) -> dict[str, Any]:
    from dataclasses import asdict

    from veracity_gateway.provenance import containers, credentials, marks, pictures
    from veracity_gateway.provenance.records import State

    source = Path("/proc/self/fd/0").open("rb")  # noqa: SIM115  open to the end of this process
    state: State
    reason, said = None, None
    try:
        state, said = credentials.read(source, credentials.settings(Path(given["signers"]), Path(given["authorities"])))
    except credentials.Unreadable as error:
        state, reason = "unreadable", str(error)
    source.seek(0)
    facts = pictures.read(source) or containers.read()
    return {
        "state": state,
        "reason": reason,
        "credentials": said and asdict(said),
        "metadata": asdict(marks.metadata(facts)),
        "declared": [asdict(mark) for mark in marks.declared(facts, state, said)],
    }


if __name__ == "__main__":
    sys.exit(main())
