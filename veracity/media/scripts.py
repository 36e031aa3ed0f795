"""Our Python scripts that read media in the sandbox: how one is run, with the libraries that it may import."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from veracity_client.errors import VeracityError


def script(name: str, *libraries: str, **settings: Any) -> list[str]:
    """Return the command that runs a script of this folder; it can import the ``libraries`` and what lies beside them.

    Raises :class:`VeracityError` where one of them is not installed.
    """
    folders = list(dict.fromkeys(_folder(library) for library in libraries))
    given = json.dumps({"packages": folders, **settings})
    return [_python(), "-I", "-S", "-B", str(Path(__file__).with_name(name)), given]


def _folder(library: str) -> str:
    found = importlib.util.find_spec(library)
    if found is None or found.origin is None:
        raise VeracityError(f"the Python package {library} is missing: install veracity anew")
    return str(Path(found.origin).parent.parent)


def _python() -> str:
    """Return this interpreter; embedded in tritonserver's stub it may not know its own name."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    known = [sys.executable, str(Path(sys.base_prefix, "bin", version)), shutil.which(version) or ""]
    for candidate in known:
        if Path(candidate).name.startswith("python") and os.access(candidate, os.X_OK):
            return candidate
    raise VeracityError(f"{version} is not found; put it on PATH")
