"""What is installed is what was locked: every file of the lists has its sha256, and every list is used with them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from veracity.settings import CHECKOUT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LOCKS = sorted((CHECKOUT / "requirements").glob("*.lock"))
BY_HAND = CHECKOUT / "requirements" / "training-networks.txt"


@pytest.mark.parametrize("lock", [*LOCKS, BY_HAND], ids=lambda path: path.name)
def test_every_requirement_has_a_version_and_hashes(lock: Path) -> None:
    entries = re.split(r"(?<!\\)\n", re.sub(r"^\s*#.*\n?", "", lock.read_text(), flags=re.M).strip())
    assert entries
    for entry in entries:
        named, *hashes = re.split(r"\s*\\\n\s*", entry)
        assert re.fullmatch(r"==[^,]+", str(Requirement(named).specifier)), named
        assert hashes, named
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), named


BUILDS = ["scripts/bootstrap", "scripts/fetch_training_networks", "Dockerfile.triton", "Dockerfile.gateway"]


@pytest.mark.parametrize("file", BUILDS)
def test_every_installation_by_pip_is_by_hashes_or_of_our_own_packages(file: str) -> None:
    text = re.sub(r"\\\n\s*", "", (CHECKOUT / file).read_text())
    commands = re.findall(r"pip\S* (?:--python \S+ )?(?:install|download|wheel) [^&;\n]*", text)
    assert commands
    for command in commands:
        locked = "--require-hashes" in command or '"${whole[@]}"' in command  # of scripts/bootstrap: all but torch.txt
        own = "--no-build-isolation" in command or "wheels/*.whl" in command
        assert locked or own or "-r requirements/torch.txt" in command, command


@pytest.mark.parametrize("project", [".", "client"])
def test_what_builds_us_is_locked(project: str) -> None:
    tables = tomllib.loads((CHECKOUT / project / "pyproject.toml").read_text())
    locked = re.findall(r"^[\w.-]+==[^\s;]+", (CHECKOUT / "requirements" / "build.lock").read_text(), re.M)
    assert set(tables["build-system"]["requires"]) <= set(locked)
