"""The bill of materials names every locked package and every model with its digest, and is valid by its schema."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from veracity.catalog import MODELS
from veracity.catalog.assets import PORTRAIT
from veracity.catalog.profiles import choose, required
from veracity.install.files import sha256
from veracity.install.names import of_profile
from veracity.settings import CHECKOUT

LOCK = CHECKOUT / "requirements" / "runtime.lock"
KIND = "machine-learning-model"


@pytest.fixture(scope="module", params=["starter", "published"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The profile, and the document's text."""
    into = tmp_path_factory.mktemp("sbom") / "veracity.cdx.json"
    command = [sys.executable, "scripts/sbom.py", LOCK, into, "--profile", request.param]
    subprocess.run(command, cwd=CHECKOUT, check=True)
    return request.param, into.read_text()


def components(document: str, kind: str) -> dict[str, Any]:
    return {one["name"]: one for one in json.loads(document)["components"] if one["type"] == kind}


def test_its_models_are_valid_and_the_schema_would_refuse_others(made: tuple[str, str]) -> None:
    """The script validates the whole; here the packages, which take seconds, are left out."""
    validator, whole = JsonStrictValidator(SchemaVersion.V1_6), json.loads(made[1])
    document = json.dumps(whole | {"components": list(components(made[1], KIND).values())})
    assert validator.validate_str(document) is None
    assert validator.validate_str(document.replace(f'"{KIND}"', '"model"')) is not None


def test_every_locked_package_is_in_it_with_all_its_digests(made: tuple[str, str]) -> None:
    found = [one for one in json.loads(made[1])["components"] if one.get("purl", "").startswith("pkg:pypi/")]
    packages = [one for one in found if one["type"] == "library"]
    locked = LOCK.read_text()
    assert {f"{one['name']}=={one['version']}" for one in packages} == set(re.findall(r"^\S+==[^\s;]+", locked, re.M))
    digests = {part["content"] for one in packages for place in one["externalReferences"] for part in place["hashes"]}
    assert digests == set(re.findall(r"--hash=sha256:(\w+)", locked))


def test_every_model_and_file_of_the_profile_is_in_it(made: tuple[str, str]) -> None:
    profile, document = made
    models = components(document, KIND)
    for source in of_profile(profile):
        found = (models | components(document, "data"))[source.name]
        assert [one["content"] for one in found.get("hashes", [])] == ([source.sha256] if source.sha256 else [])
        terms = found["licenses"][0]["license"]
        assert terms.get("id", terms.get("name")) == source.licence
        assert {"type": "website", "url": source.homepage} in found["externalReferences"]
    assert set(models) == {*required(choose(profile)), *(s.name for s in of_profile(profile) if s is not PORTRAIT)}


def test_a_model_has_the_digest_of_what_ships_and_is_made_of_its_files(made: tuple[str, str]) -> None:
    profile, document = made
    parts = {one["ref"]: set(one.get("dependsOn", [])) for one in json.loads(document)["dependencies"]}
    for name in required(choose(profile)):
        assert parts[f"model/{name}"] == {f"file/{file}" for file in MODELS[name].files}
        folder = CHECKOUT / "model_repository" / name
        shipped = [path for path in (folder / "head.onnx", folder / "1/model.onnx") if path.is_file()]
        tracked = [path for path in shipped if _is_tracked(path)]
        found = components(document, KIND)[name].get("hashes", [])
        assert [one["content"] for one in found] == [sha256(path) for path in tracked]
    assert parts["veracity"] >= {f"model/{name}" for name in required(choose(profile))}


STATUS = """
Package: libsound
Status: install ok installed
Architecture: amd64
Version: 1:2.0-1+b1

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
"""
METADATA = "Metadata-Version: 2.4\nName: Some.Thing\nVersion: 1.2\nLicense-Expression: MIT\n\nA package."


def image_root(root: Path) -> Path:
    """Return the root of what could be an image: a package of each kind, and the checkout's models."""
    files = {
        "etc/os-release": 'ID=ubuntu\nVERSION_ID="24.04"\nNAME="Ubuntu"\n',
        "var/lib/dpkg/status": STATUS.lstrip(),
        "opt/veracity/lib/python3.12/site-packages/some_thing-1.2.dist-info/METADATA": METADATA,
        "opt/tritonserver/TRITON_VERSION": "2.71.0\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    shutil.copytree(CHECKOUT / "model_repository", root / "srv/veracity/model_repository")
    return root


def test_that_of_an_image_has_what_lies_in_it(tmp_path: Path) -> None:
    root, into = image_root(tmp_path / "root"), tmp_path / "image.cdx.json"
    subprocess.run([sys.executable, "scripts/sbom.py", root, into], cwd=CHECKOUT, check=True)
    document = into.read_text()
    libraries = {one.get("purl"): one for one in components(document, "library").values()}
    debian, pip = "pkg:deb/ubuntu/libsound@1:2.0-1%2Bb1?arch=amd64&distro=ubuntu-24.04", "pkg:pypi/some.thing@1.2"
    assert set(libraries) == {debian, pip, None}  # and our client
    assert libraries[pip]["licenses"] == [{"license": {"id": "MIT"}}]
    assert components(document, "application")["tritonserver"]["version"] == "2.71.0"
    models = components(document, KIND)
    for name in required(choose("starter")):
        graph = root / "srv/veracity/model_repository" / name / "1/model.onnx"
        assert [one["content"] for one in models[name].get("hashes", [])] == (
            [sha256(graph)] if graph.is_file() else []
        )
        assert models[name]["licenses"]


def test_a_folder_that_is_no_image_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "scripts/sbom.py", str(tmp_path), str(tmp_path / "x.json")]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (ended.returncode, "is not the root of an image of Veracity" in ended.stderr) == (1, True)


def _is_tracked(path: Path) -> bool:
    done = subprocess.run(["git", "ls-files", "--error-unmatch", path], cwd=CHECKOUT, capture_output=True, check=False)
    return done.returncode == 0
