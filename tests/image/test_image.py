"""Dockerfile.triton: what it names exists, and every step of it that is ours runs in a plain Debian root."""

import importlib.metadata
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import image_build
import pytest
from image_build import Build, Root, Stage

from veracity import cli
from veracity.catalog.profiles import PROFILES, choose, required
from veracity.settings import CHECKOUT, Settings

DOCKERFILE = CHECKOUT / "Dockerfile.triton"
BUDGET = 1800  # seconds for the whole build: the registries' pace, not ours
PRODUCTION = {"VERACITY_ENV": "production"}
CALLERS = {"VERACITY_API_KEYS": "test:0123456789abcdef"}
slow = [pytest.mark.slow, pytest.mark.image, pytest.mark.timeout(BUDGET)]
# Starts the server, asks the healthcheck until it says yes, stops the server; ends as the healthcheck did.
SERVE = """
{entrypoint} 2>&1 & server=$!
for _ in $(seq 100); do {healthcheck} >/dev/null && break; kill -0 $server || break; sleep 1; done
{healthcheck}; healthy=$?
kill -{signal} $server; wait $server; echo "the server ended with $?"
exit $healthy
"""


@pytest.fixture(scope="module")
def stages() -> list[Stage]:
    return image_build.read(DOCKERFILE)[1]


@pytest.fixture(scope="module")
def image(stages: list[Stage]) -> Iterator[Root]:
    """The last stage, built in directories; the pip wheel's Triton stands where NVIDIA's image has its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a root")
    for program in ("debootstrap", "unshare", "ip"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    spaces = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "true"], capture_output=True, text=True)
    if spaces.returncode:
        pytest.skip(f"no namespaces of our own here: {spaces.stderr.strip()}")
    try:
        urllib.request.urlopen(image_build.mirror()[0], timeout=20).close()
    except (urllib.error.URLError, OSError) as error:
        pytest.skip(f"no package mirror: {error}")
    with tempfile.TemporaryDirectory(prefix="veracity-image-") as work:
        base = Root(Path(work, "base"), {"PATH": image_build.PATH, "DEBIAN_FRONTEND": "noninteractive"})
        subprocess.run(["cp", "-a", "--reflink=auto", image_build.plain_root(), base.path], check=True)
        _stand_in(base)
        build = Build(CHECKOUT, base, Path(work))
        for stage in stages:
            root = build.stage(stage)
        yield root


def _stand_in(base: Root) -> None:
    wheel = Path(str(importlib.metadata.distribution("nvidia-pytriton").locate_file("")))
    theirs, ours = wheel / "pytriton" / "tritonserver", base.path / "opt" / "tritonserver"
    version = base.run(["python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).stdout.strip()
    shutil.copytree(theirs / "bin", ours / "bin")
    shutil.copytree(theirs / "backends", ours / "backends")
    shutil.copy(theirs / "python_backend_stubs" / version / "triton_python_backend_stub", ours / "backends" / "python")
    shutil.copytree(CHECKOUT / "veracity" / "server" / "backends" / "onnxruntime", ours / "backends" / "onnxruntime")
    shutil.copytree(wheel / "nvidia_pytriton.libs", ours / "lib")
    base.env["LD_LIBRARY_PATH"] = "/opt/tritonserver/lib"


def test_the_base_image_is_pinned() -> None:
    arguments, stages = image_build.read(DOCKERFILE)
    assert re.fullmatch(r"nvcr\.io/nvidia/tritonserver:\d\d\.\d\d-py3(@sha256:[0-9a-f]{64})?", arguments["TRITON"])
    own = {stage.name for stage in stages}
    assert {stage.base for stage in stages} <= own | {arguments["TRITON"]}


def test_what_is_copied_exists_and_reaches_the_build(stages: list[Stage]) -> None:
    there = image_build.context(CHECKOUT)
    copied = {source for stage in stages for source in image_build.sources(stage)}
    for source in copied:
        assert any(file == source or file.startswith(f"{source}/") for file in there), source
    assert not [file for file in there if not any(file == c or file.startswith(f"{c}/") for c in copied)]
    assert not [file for file in there if file.endswith(".pyc") or "/." in file]


def test_the_default_profile_is_one(stages: list[Stage]) -> None:
    given = [value for stage in stages for word, value in stage.steps if word == "ARG" and value.startswith("PROFILE=")]
    assert len(given) == 2
    assert len(set(given)) == 1
    assert given[0].partition("=")[2] in PROFILES


def test_it_is_not_root_who_serves(stages: list[Stage]) -> None:
    assert int(stages[-1].last("USER").partition(":")[0]) > 0


def test_its_commands_are_ours(stages: list[Stage]) -> None:
    for word in ("ENTRYPOINT", "HEALTHCHECK"):
        program, *arguments = stages[-1].command(word)
        assert program == "veracity"
        assert cli.parser().parse_args(arguments).command


def test_its_settings_are_ours(stages: list[Stage]) -> None:
    known = {"PROFILE": "starter", "PATH": image_build.PATH}
    env = image_build.assignments(image_build.expand(stages[-1].last("ENV"), known))
    names = {name: value for name, value in env.items() if name.startswith("VERACITY_")}
    assert Settings.from_env(names).env == "development"  # else an image of starter would never start
    assert set(names) <= set(Settings().to_env())


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    ended = subprocess.run(
        [hadolint, DOCKERFILE, CHECKOUT / "Dockerfile.gateway"], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "")


def test_the_lock_is_without_the_embedded_triton() -> None:
    for name in ("image.lock", "export.lock"):
        pins = set(re.findall(r"^\S+==\S+", (CHECKOUT / "requirements" / name).read_text(), re.M))
        assert pins <= set(re.findall(r"^\S+==\S+", (CHECKOUT / "requirements" / "runtime.lock").read_text(), re.M))
        assert not [pin for pin in pins if pin.startswith("nvidia-pytriton")]


class TestPlainRoot:
    """Costs minutes: all of these share one build."""

    pytestmark = slow

    def test_only_what_runs_is_in_it(self, image: Root) -> None:
        for name in ("opt/pip", "opt/export", "build", "opt/veracity/bin/pip", "usr/bin/espeak-ng"):
            assert not (image.path / name).exists(), name
        for program in ("gcc", "make"):
            assert image.run(["sh", "-c", f"command -v {program}"]).returncode != 0
        sizes = image.run(["du", "-sm", "/opt/veracity", "/srv/veracity"]).stdout
        logging.getLogger(__name__).info("MB: %s", " ".join(sizes.split()))

    def test_its_user_reads_all_and_writes_one_place(self, image: Root) -> None:
        assert image.run(["find", "/opt", "/srv", "!", "-readable"]).stdout == ""
        find = "find / -xdev '(' -path /proc -o -path /dev -o -path /sys ')' -prune -o"
        written = image.run(["sh", "-c", f"{find} '(' -type d -o -type f ')' -writable -print 2>/dev/null"]).stdout
        assert set(written.split()) <= {"/tmp", "/var/tmp", "/run/lock"}  # those are anyone's

    def test_the_doctor_finds_it_well(self, image: Root) -> None:
        found = _doctor(image, {})
        assert not [what for what, finding in found.items() if finding["fatal"]]
        strict = _doctor(image, PRODUCTION)
        lacking = {f"model {name}" for name in _without_graph(image)}
        assert {what for what, finding in strict.items() if finding["fatal"]} == lacking
        assert str(found["tritonserver"]["detail"]).startswith("/opt/tritonserver")

    def test_it_serves_and_its_healthcheck_asks(self, image: Root, stages: list[Stage]) -> None:
        """Alone in a network of its own, and with a read-only root."""
        words = {
            "entrypoint": " ".join(stages[-1].command("ENTRYPOINT")),
            "healthcheck": " ".join(stages[-1].command("HEALTHCHECK")),
            "signal": stages[-1].last("STOPSIGNAL").removeprefix("SIG"),
        }
        env = CALLERS if _without_graph(image) else PRODUCTION | CALLERS
        shell = ["sh", "-c", SERVE.format(**words)]
        ended = image.run(shell, env, online=False, read_only=True)
        assert ended.returncode == 0, ended.stdout[-3000:]
        assert "the server ended with 0" in ended.stdout
        logging.getLogger(__name__).info(ended.stdout[-1500:])

    def test_it_does_not_serve_without_keys(self, image: Root, stages: list[Stage]) -> None:
        ended = image.run(stages[-1].command("ENTRYPOINT"), {}, online=False, read_only=True)
        assert ended.returncode == 3
        assert "callers need API keys" in ended.stdout

    def test_production_refuses_what_the_repository_lacks(self, image: Root, stages: list[Stage]) -> None:
        lacking = _without_graph(image)
        if not lacking:
            pytest.skip("the profile has all its graphs")
        ended = image.run(stages[-1].command("ENTRYPOINT"), PRODUCTION | CALLERS, online=False, read_only=True)
        assert ended.returncode == 1
        assert all(name in ended.stdout for name in lacking)


def _doctor(image: Root, env: dict[str, str]) -> dict[str, dict[str, object]]:
    ended = image.run(["veracity", "doctor", "--json"], env)
    return {finding["what"]: finding for finding in json.loads(ended.stdout)["findings"]}


def _without_graph(image: Root) -> set[str]:
    repository = image.path / image.env["VERACITY_MODEL_REPOSITORY"].lstrip("/")
    names = required(choose(image.env["VERACITY_PROFILE"]))
    return {name for name in names if not any((repository / name).glob("1/model.*"))}
