"""The wheels as a stranger has them: an empty folder, environments of their own, and the checkout out of reach."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from veracity.settings import CHECKOUT

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(1800)]  # a fresh environment downloads 400 MB
PYTHONS = ("3.10", "3.11", "3.12")  # those that the embedded Triton has a stub for
DEFAULT = ".".join(map(str, sys.version_info[:2]))


def run(*command: str | Path, cwd: Path, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program where the checkout is an empty folder; nothing of this test's environment leads to it."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "LANG", "LC_"))}
    kept |= {"PATH": f"{cwd}:/usr/local/bin:/usr/bin:/bin", **env}
    hide = ["unshare", "--mount", "--map-root-user", "sh", "-ec", 'mount -t tmpfs none "$0"; exec "$@"', CHECKOUT]
    done = subprocess.run(
        [*map(str, hide), *map(str, command)], cwd=cwd, env=kept, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session", autouse=True)
def _isolation() -> None:
    if subprocess.run(["unshare", "--mount", "--map-root-user", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system gives no mount namespaces, which hide the checkout")


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels and the source distributions, as ``make dist`` makes them."""
    folder = tmp_path_factory.mktemp("dist")
    for project in (CHECKOUT / "client", CHECKOUT / "gateway", CHECKOUT / "bulk", CHECKOUT):
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(project)]
        subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's home. What the first Python fetches and builds there, the others find."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module", params=sorted(PYTHONS, key=lambda version: version != DEFAULT))
def place(request: pytest.FixtureRequest, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder with an environment ``v`` of one Python, into which the wheels were installed."""
    found = subprocess.run([CHECKOUT / "scripts" / "find_python", request.param], capture_output=True, text=True)
    if found.returncode:
        pytest.skip(f"Python {request.param} is not installed here")
    folder = tmp_path_factory.mktemp(f"python{request.param}")
    run(found.stdout.strip(), "-m", "venv", "v", cwd=folder)
    without_bulk = [wheel for wheel in wheels.glob("*.whl") if "bulk" not in wheel.name]  # which brings 150 MB more
    run("v/bin/pip", "install", "--disable-pip-version-check", "--quiet", *without_bulk, cwd=folder)
    yield folder
    shutil.rmtree(folder)


def test_a_stranger_gets_a_verdict(place: Path, home: Path, talking: Path) -> None:
    shutil.copy(talking, place / "clip.mp4")
    first = not (home / ".local").exists()
    command = ("v/bin/veracity", "analyze", "--json", "--policy", "exhaustive", "clip.mp4")
    done = run(*command, cwd=place, code=2, HOME=str(home))  # what its exit code says
    (verdict,) = (json.loads(line) for line in done.stdout.splitlines())
    assert verdict["label"] == "inconclusive"  # of films the measurements support no word yet
    assert verdict["inconclusive_reason"]["code"] == "not_supported"
    assert verdict["fake_probability"] is not None
    assert verdict["layers_executed"] == [1, 2, 3, 4]
    assert ("installing them, as `veracity install` does" in done.stderr) is first
    data = home / ".local" / "share" / "veracity"
    assert {path.name for path in data.iterdir()} == {"model_repository", "weights"}


def test_it_runs_from_the_wheels_alone(place: Path, home: Path) -> None:
    code = "import sys, veracity, veracity_client; print(veracity.__file__, veracity_client.__file__, *sys.path)"
    said = run("v/bin/python", "-c", code, cwd=place).stdout
    assert str(CHECKOUT) not in said
    assert said.startswith(str(place / "v"))
    listed = run("v/bin/pip", "list", "--editable", "--disable-pip-version-check", cwd=place).stdout
    assert listed == ""
    missing = run("v/bin/python", "-c", "import torch", cwd=place, code=1).stderr
    assert "No module named 'torch'" in missing
    version = run("v/bin/veracity", "--version", cwd=place, HOME=str(home)).stdout.split()[1]
    assert run("v/bin/veracity-client", "--version", cwd=place).stdout == f"veracity-client {version}\n"


def test_a_command_whose_package_is_absent_says_how_to_get_it(place: Path, home: Path) -> None:
    said = run("v/bin/veracity", "bulk", "in", "out", "--column", "x", cwd=place, code=3, HOME=str(home)).stderr
    assert "veracity_bulk is missing: pip install" in said
    assert "[bulk]" in said


def test_the_doctor_finds_nothing_wrong(place: Path, home: Path) -> None:
    findings = json.loads(run("v/bin/veracity", "doctor", "--json", cwd=place, HOME=str(home)).stdout)["findings"]
    assert [f for f in findings if f["state"] in ("missing", "broken")] == []


def test_an_installation_that_nobody_may_write_to_serves_all_the_same(place: Path, home: Path) -> None:
    """Several users of one installation: each has a folder of their own, and nothing appears in site-packages."""
    before = sorted(path for path in (place / "v").rglob("*") if "__pycache__" not in path.parts)
    run("v/bin/veracity", "install", cwd=place, HOME=str(home))
    assert sorted(path for path in (place / "v").rglob("*") if "__pycache__" not in path.parts) == before
    said = run("v/bin/veracity", "install", cwd=place, code=3, HOME="/proc").stderr
    assert "set VERACITY_MODEL_REPOSITORY to a folder of yours, or XDG_DATA_HOME" in said


def test_wheels_hold_what_is_committed_and_nothing_that_was_built(wheels: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "model_repository"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    (engine,) = wheels.glob("veracity-[0-9]*.whl")
    names = zipfile.ZipFile(engine).namelist()
    assert {f"veracity/{name}" for name in listed.stdout.split()} == {n for n in names if "/model_repository/" in n}
    others = [
        (next(wheels.glob(f"{name}-*.whl")), name) for name in ("veracity_client", "veracity_gateway", "veracity_bulk")
    ]
    for wheel, package in ((engine, "veracity"), *others):
        names = zipfile.ZipFile(wheel).namelist()
        assert f"{package}/py.typed" in names
        assert any(name.endswith("licenses/LICENSE") for name in names)
        assert {name.split("/")[0].split("-")[0] for name in names} == {package}
