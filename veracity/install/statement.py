"""What a model was made of, and by what: an in-toto Statement with SLSA's provenance, ``provenance.intoto.json``.

It says in the words of that standard what ``provenance.json``, the catalog, the weights' lock file and git say.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from veracity import __version__
from veracity.catalog import ASSETS, provenance
from veracity.install import locations, lock
from veracity.install.advice import made_by
from veracity.install.files import atomic, sha256
from veracity.install.graphs.recipe import HEAD_FILES
from veracity.install.signing import SIGNATURE

FILE = "provenance.intoto.json"
STATEMENT, PREDICATE = "https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1"
US = "pkg:pypi/veracity"
BESIDE = {FILE, SIGNATURE, provenance.FILE, *HEAD_FILES}  # in a model's folder, and not what is served

Descriptor = dict[str, Any]
"""A ResourceDescriptor of in-toto."""


def write(folder: Path, weights: Path) -> None:
    """Write the statement of a model into its folder. Raises OSError, ProvenanceError, WeightsError."""
    with atomic(folder / FILE) as file:
        file.write(json.dumps(statement(folder, weights), indent=2).encode() + b"\n")


def statement(folder: Path, weights: Path) -> dict[str, Any]:
    """Return the statement of a model; ``weights`` is the folder of fetched files, whose lock file tells where from."""
    page = provenance.read(folder)
    build = "install" if "recipe_sha256" in page else "export" if page else "package"
    versions = page.get("versions", {})
    return {
        "_type": STATEMENT,
        "subject": [_file(path, folder) for path in sorted(folder.rglob("*")) if _is_served(path)],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": f"{US}#{build}",
                "externalParameters": {"model": folder.name, **_command(folder.name, build, page)},
                "internalParameters": {
                    key: page[key] for key in ("opset", "precision", "recipe_sha256") if key in page
                },
                "resolvedDependencies": [_code(folder, page), *_made_of(folder, page, weights)],
            },
            "runDetails": {"builder": {"id": f"{US}@{versions.get('veracity', __version__)}", "version": versions}},
        },
    }


def _is_served(path: Path) -> bool:
    return path.is_file() and path.name not in BESIDE and "__pycache__" not in path.parts


def _file(path: Path, folder: Path) -> Descriptor:
    return {"name": str(path.relative_to(folder)), "digest": {"sha256": sha256(path)}}


def _command(model: str, build: str, page: Mapping[str, Any]) -> dict[str, str]:
    """Return what makes such a graph anew; the files of ``package`` are code and come with it."""
    if build == "package":
        return {}
    options = ["--untrained"] if page.get("untrained") else []
    if build == "export" and page.get("precision", "fp32") != "fp32":
        options += ["--precision", page["precision"]]
    return {"command": made_by(model, installed=build == "install", options=options)}


def _code(folder: Path, page: Mapping[str, Any]) -> Descriptor:
    """Return our code, at the commit that the export recorded, or else at the one that brought the file in."""
    made = {"name": "veracity", "uri": f"{US}@{page.get('versions', {}).get('veracity', __version__)}"}
    if commit := page.get("commit"):
        return {**made, "digest": {"gitCommit": commit}}
    if commit := _brought_by(next(path for path in sorted(folder.glob("[0-9]*/model.*")) if path.is_file())):
        return {**made, "digest": {"gitCommit": commit}, "annotations": {"commit": "the one that the file came with"}}
    return made


def _brought_by(graph: Path) -> str | None:
    """Return the commit that a file of the checkout came with, as it is now; None where it is none of the checkout."""
    content = _git("hash-object", str(graph))
    return content and _git(
        "log", "-1", "--format=%H", "--diff-filter=AM", f"--find-object={content}", "--", str(graph)
    )


def _made_of(folder: Path, page: Mapping[str, Any], weights: Path) -> Iterator[Descriptor]:
    known, recorded = {source.name: source for source in ASSETS}, lock.read(weights)
    for name, digest in (page.get("checkpoints") or {}).items():
        source, entry = known.get(name), recorded.get(name)
        same = entry is not None and entry.sha256 == digest
        uri = entry.source if entry and same else source.url if source else ""
        facts = {"licence": source.licence, "homepage": source.homepage} if source else {}
        yield _fetched(name, uri, digest, facts | ({"fetched": entry.fetched} if entry and same else {}))
    for part in ("source", "encoder"):
        if isinstance(of := page.get(part), dict):
            yield _fetched(
                part, of["url"], of["sha256"], {key: of[key] for key in ("licence", "homepage") if key in of}
            )
    if digest := page.get("checkpoint_sha256"):
        yield {"name": "checkpoint", "digest": {"sha256": digest}}
    yield from (_file(folder / name, folder) for name in HEAD_FILES if (folder / name).is_file())


def _fetched(name: str, url: str, digest: str, facts: Mapping[str, str]) -> Descriptor:
    """Return a file by where it comes from: an annotation, since a part of a package has no URI of a standard."""
    return {"name": name, "digest": {"sha256": digest}, "annotations": {"source": url, **facts}}


def commit() -> str | None:
    """Return the commit of the checkout that runs, where that is one without changes."""
    found = _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return found if found and not found.endswith("-dirty") else None


def _git(*arguments: str) -> str | None:
    if (checkout := locations.checkout()) is None:
        return None
    try:
        ended = subprocess.run(["git", *arguments], cwd=checkout, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return None
    return ended.stdout.strip() or None
