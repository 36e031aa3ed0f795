"""What lies in the file system of a built image, for scripts/sbom.py: Debian's packages, pip's, and Triton."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from packageurl import PackageURL

REPOSITORY = Path("srv/veracity/model_repository")
OURS = ("veracity", "veracity-client")  # sbom.py adds them
FIELDS = ("db:Status-Status", "Package", "Version", "Architecture")


def packages(root: Path) -> Bom:
    """Return all packages below ``root``; ends the program where that is no image's."""
    if not (root / REPOSITORY).is_dir():
        sys.exit(f"{root} is not the root of an image of Veracity: it has no {REPOSITORY}")
    return Bom(components=[*_debian(root), *_pip(root), *_triton(root)])


def _debian(root: Path) -> Iterator[Component]:
    query = ["dpkg-query", f"--admindir={root / 'var/lib/dpkg'}", "--show"]
    form = "--showformat=" + "\\t".join(f"${{{field}}}" for field in FIELDS) + "\\n"
    said = subprocess.run([*query, form], check=True, capture_output=True, text=True).stdout
    system = _os_release(root)
    for line in said.splitlines():
        status, name, version, architecture = line.split("\t")
        if status != "installed":  # of what was removed, its settings are left
            continue
        where = {"arch": architecture, "distro": f"{system['ID']}-{system['VERSION_ID']}"}
        address = PackageURL("deb", system["ID"], name, version, where)
        yield Component(name=name, version=version, purl=address, type=ComponentType.LIBRARY, bom_ref=str(address))


def _os_release(root: Path) -> dict[str, str]:
    lines = shlex.split((root / "etc/os-release").read_text())
    return dict(line.split("=", 1) for line in lines)


def _pip(root: Path) -> Iterator[Component]:
    for folder in ("opt", "usr"):
        for path in sorted((root / folder).rglob("*.dist-info/METADATA")):
            about = HeaderParser().parsestr(path.read_text("utf-8"))
            if about["Name"] not in OURS:
                yield _distribution(about, str(path.parent.relative_to(root)))


def _distribution(about: Message, place: str) -> Component:
    name, version = about["Name"], about["Version"]
    terms = about["License-Expression"] or about["License"]
    short = [LicenseFactory().make_from_string(terms)] if terms and len(terms.splitlines()) == 1 else []
    return Component(
        name=name,
        version=version,
        purl=PackageURL("pypi", name=name.lower(), version=version),
        type=ComponentType.LIBRARY,
        bom_ref=f"/{place}",
        licenses=short,
        properties=[Property(name="veracity:path", value=f"/{place}")],
    )


def _triton(root: Path) -> Iterator[Component]:
    """Return Triton, of which NVIDIA's images say the version in a file."""
    version = root / "opt/tritonserver/TRITON_VERSION"
    if version.is_file():
        yield Component(
            name="tritonserver",
            version=version.read_text().strip(),
            type=ComponentType.APPLICATION,
            bom_ref="tritonserver",
        )
