"""Python and its packages, held against what the distributions themselves say they need."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from veracity.install.doctor.finding import Finding

# distribution → its extras that serving uses; whether what "server" brings is needed, ffmpeg and Triton are asked
NEEDED = {"veracity": ("", "server"), "veracity-client": ("", "cli")}


def examine() -> Iterator[Finding]:
    """Examine the interpreter and every package that serving imports."""
    supported = (3, 10) <= sys.version_info[:2] <= (3, 12)
    advice = "" if supported else ": the embedded Triton has stubs for 3.10 to 3.12"
    yield Finding("python", "ok" if supported else "broken", sys.version.split()[0] + advice, not supported)
    for distribution, extras in NEEDED.items():
        try:
            wanted = [Requirement(text) for text in metadata.requires(distribution) or ()]
        except metadata.PackageNotFoundError:
            yield Finding(f"package {distribution}", "missing", "pip install it: its needs are not known without", True)
            continue
        for requirement in wanted:
            extra = next(
                (e for e in extras if requirement.marker is None or requirement.marker.evaluate({"extra": e})), None
            )
            if extra is not None:
                yield _package(requirement, optional=extra == "server")


def _package(wanted: Requirement, optional: bool) -> Finding:
    what, asked = f"package {wanted.name}", str(wanted.specifier)
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        advice = f"pip install '{wanted.name}{asked}'"
        return (
            Finding(what, "optional", f"not installed; {advice}")
            if optional
            else Finding(what, "missing", advice, True)
        )
    if wanted.specifier.contains(version, prereleases=True):
        return Finding(what, "ok", f"{version} ({asked})" if asked else version)
    return Finding(what, "warning", f"{version} is installed: pip install '{wanted.name}{asked}'")
