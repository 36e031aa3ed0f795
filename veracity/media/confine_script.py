"""Confine this process, then become a decoder that works on a device. Run as a script, never imported by the server.

    python -I -S -B confine_script.py '{"landlock": …, "seccomp": …, "readable": …, "writable": …}' PROGRAM ARGUMENT…

CUDA names its threads by writing into its process's own folder of /proc and gives up where it may not
(NVIDIA/OpenShell#1486). Landlock takes rules for folders that are there: only the process itself can ask for its own,
and it stays the same process when it becomes the program. CUDA also gives up where it may not bind the socket by which
it would hand memory to other processes.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Become the program; it has inherited the file under analysis as its standard input."""
    given = json.loads(sys.argv[1])
    sys.path.append(str(Path(__file__).parent))  # not the package, whose import takes a second
    landlock: Any = importlib.import_module("landlock")
    seccomp: Any = importlib.import_module("seccomp")
    landlock.forbid_privileges()
    if given["landlock"]:
        landlock.restrict(given["landlock"], given["readable"], 0, given["writable"])
    if given["seccomp"]:
        seccomp.load(listening=True)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606  there is no shell


if __name__ == "__main__":
    main()
