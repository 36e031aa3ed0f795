"""Python and its packages, held against what the distributions themselves say they need."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from veracity.install.doctor.finding import Finding

DISTRIBUTIONS = {"veracity": "", "veracity-client": "cli"}  # each with its extra that serving uses
# Triton and ffmpeg are examined as programs, wherever they come from; onnx builds graphs, which may be there already.
OPTIONAL = {"nvidia-pytriton", "imageio-ffmpeg", "onnx", "onnxscript"}


def examine() -> Iterator[Finding]:
    """Examine the interpreter and every package that serving imports."""
    supported = (3, 10) <= sys.version_info[:2] <= (3, 12)
    advice = "" if supported else ": the embedded Triton has stubs for 3.10 to 3.12"
    yield Finding("python", "ok" if supported else "broken", sys.version.split()[0] + advice, not supported)
    for distribution, extra in DISTRIBUTIONS.items():
        try:
            wanted = [Requirement(text) for text in metadata.requires(distribution) or ()]
        except metadata.PackageNotFoundError:
            detail = f"its wheel is not installed, so that what it needs is not known: {_advice(distribution, '')}"
            yield Finding(f"package {distribution}", "missing", detail, True)
            continue
        for requirement in wanted:
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in ("", extra)):
                yield _package(requirement, optional=requirement.name in OPTIONAL)


def _package(wanted: Requirement, optional: bool) -> Finding:
    what, asked = f"package {wanted.name}", str(wanted.specifier)
    advice = _advice(wanted.name, asked)
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        missing = Finding(what, "missing", advice, True)
        return Finding(what, "optional", f"not installed; {advice}") if optional else missing
    if wanted.specifier.contains(version, prereleases=True):
        return Finding(what, "ok", f"{version} ({asked})" if asked else version)
    return Finding(what, "warning", f"{version} is installed: {advice}")


def _advice(distribution: str, asked: str) -> str:
    """Say how a package is installed; ours are not asked from an index, where a stranger may hold the name."""
    if distribution in DISTRIBUTIONS:
        return "install the wheels of veracity and veracity-client of one release"
    return f"pip install '{distribution}{asked}'"
