"""What a program sees of ``analyze``: one JSON document a line and file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from veracity_client.client import Detector
from veracity_client.errors import VeracityError
from veracity_client.results import Line
from veracity_client.verdict import Options, Verdict


def json_line(name: str, found: Verdict | VeracityError, more: Mapping[str, Any] | None = None) -> str:
    """Return the line of a file, ``more`` between its name and the answer.

    ASCII, so that a name that is no UTF-8 comes back from it byte for byte.
    """
    said = found.to_dict() if isinstance(found, Verdict) else {"error": found.to_dict()}
    return json.dumps({"file": name, **(more or {}), **said}) + "\n"


class Reporter(Protocol):
    """What is told of each file as ``analyze`` goes on."""

    def watch(self, name: str, detector: Detector, video: bytes, options: Options, /) -> Verdict:
        """Analyse one file."""

    def show(self, name: str, found: Verdict | VeracityError | Line, text: str, /) -> None:
        """Say what was found; ``text`` is the file's line of results."""

    def failed(self, names: Iterable[str], error: VeracityError, /) -> None:
        """Say why the whole run ended, and which files had no turn."""


class Json:
    """Lines on standard output."""

    def watch(self, _name: str, detector: Detector, video: bytes, options: Options) -> Verdict:
        """Analyse."""
        return detector.analyze(video, options)

    def show(self, _name: str, _found: Verdict | VeracityError | Line, text: str) -> None:
        """Print the line."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def failed(self, names: Iterable[str], error: VeracityError) -> None:
        """Print the error of the whole run as that of each file that is left, and once on standard error."""
        sys.stdout.writelines(json_line(name, error) for name in names)
        sys.stdout.flush()
        sys.stderr.write(f"{error.to_wire()}\n")
