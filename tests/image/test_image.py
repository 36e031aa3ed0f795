"""Dockerfile.triton: what it names exists, and what buildah makes of it on a plain Debian serves."""

import importlib.metadata
import json
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dockerfiles
import image_build
import pytest
import signing_keys
from dockerfiles import Stage
from image_build import Container

from veracity import cli
from veracity.catalog.profiles import PROFILES, choose, required
from veracity.install.files import sha256
from veracity.settings import CHECKOUT, Settings

DOCKERFILE = CHECKOUT / "Dockerfile.triton"
BUDGET = 1800  # seconds for the whole build: the registries' pace, not ours
PRODUCTION = {"VERACITY_ENV": "production"}
CALLERS = {"VERACITY_API_KEYS": "test:0123456789abcdef"}
slow = [pytest.mark.slow, pytest.mark.image, pytest.mark.timeout(BUDGET)]
# Starts the server, asks the healthcheck until it says yes, then for a verdict, and stops it; ends as those did.
SERVE = """
{entrypoint} 2>&1 & server=$!
for _ in $(seq 100); do {healthcheck} >/dev/null && break; kill -0 $server || break; sleep 1; done
{healthcheck} && {{ {demo}; test $? -le 2; }}; healthy=$?
kill -{signal} $server; wait $server; echo "the server ended with $?"
exit $healthy
"""


@pytest.fixture(scope="module")
def stages() -> list[Stage]:
    return dockerfiles.read(DOCKERFILE)[1]


@pytest.fixture(scope="module")
def image() -> Iterator[Container]:
    """What buildah makes of the file; the pip wheel's Triton stands where NVIDIA's image has its own."""
    with image_build.storage() as buildah:
        base = buildah.base()
        _stand_in(base)
        yield buildah.build(DOCKERFILE, "TRITON", base, CHECKOUT / ".dockerignore")


def _stand_in(base: Container) -> None:
    wheel = Path(str(importlib.metadata.distribution("nvidia-pytriton").locate_file("")))
    theirs, ours = wheel / "pytriton" / "tritonserver", base.root / "opt" / "tritonserver"
    version = base.run("python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").stdout.strip()
    shutil.copytree(theirs / "bin", ours / "bin")
    shutil.copytree(theirs / "backends", ours / "backends")
    shutil.copy(theirs / "python_backend_stubs" / version / "triton_python_backend_stub", ours / "backends" / "python")
    shutil.copytree(CHECKOUT / "veracity" / "server" / "backends" / "onnxruntime", ours / "backends" / "onnxruntime")
    shutil.copytree(wheel / "nvidia_pytriton.libs", ours / "lib")
    base.set_env({"LD_LIBRARY_PATH": "/opt/tritonserver/lib"})


def test_the_base_image_is_pinned() -> None:
    arguments, stages = dockerfiles.read(DOCKERFILE)
    assert re.fullmatch(r"nvcr\.io/nvidia/tritonserver:\d\d\.\d\d-py3(@sha256:[0-9a-f]{64})?", arguments["TRITON"])
    own = {stage.name for stage in stages}
    assert {stage.base for stage in stages} <= own | {arguments["TRITON"]}


def test_what_is_copied_exists_and_reaches_the_build(stages: list[Stage]) -> None:
    there = dockerfiles.context(CHECKOUT)
    copied = {source for stage in stages for source in dockerfiles.sources(stage)}
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
    env = dockerfiles.assignments(dockerfiles.expand(stages[-1].last("ENV"), known))
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


class TestImage:
    """Costs minutes: all of these share one build."""

    pytestmark = slow

    def test_it_says_how_it_is_run(self, image: Container, stages: list[Stage]) -> None:
        config = image.config
        assert (config["User"], config["StopSignal"]) == ("1000:1000", "SIGTERM")
        assert config["Entrypoint"] == stages[-1].command("ENTRYPOINT")
        assert config["Healthcheck"]["Test"] == ["CMD", *stages[-1].command("HEALTHCHECK")]
        assert set(config["ExposedPorts"]) == {f"{port}/tcp" for port in (8000, 8001, 8002, 8003)}
        assert config["Labels"]["org.opencontainers.image.description"].endswith("profile starter")
        assert image.env["VERACITY_PROFILE"] == "starter"

    def test_only_what_runs_is_in_it(self, image: Container) -> None:
        for name in ("opt/pip", "opt/export", "build", "opt/veracity/bin/pip", "usr/bin/espeak-ng"):
            assert not (image.root / name).exists(), name
        for program in ("gcc", "make"):
            assert image.run("sh", "-c", f"command -v {program}").returncode != 0
        sizes = image.run("du", "-sm", "/opt/tritonserver", "/opt/veracity", "/srv/veracity").stdout
        logging.getLogger(__name__).info("MB: %s", " ".join(sizes.split()))

    def test_its_user_reads_all_and_writes_one_place(self, image: Container) -> None:
        assert image.run("find", "/opt", "/srv", "!", "-readable").stdout == ""
        find = "find / -xdev '(' -path /proc -o -path /dev -o -path /sys ')' -prune -o"
        written = image.run("sh", "-c", f"{find} '(' -type d -o -type f ')' -writable -print 2>/dev/null").stdout
        assert set(written.split()) <= {"/tmp", "/var/tmp", "/run/lock"}  # those are anyone's

    def test_the_doctor_finds_it_well(self, image: Container) -> None:
        found = _doctor(image)
        assert not [what for what, finding in found.items() if finding["fatal"]]
        strict = _doctor(image, **PRODUCTION)
        lacking = {f"model {name}" for name in _without_graph(image)}
        assert {what for what, finding in strict.items() if finding["fatal"]} == lacking
        assert str(found["tritonserver"]["detail"]).startswith("/opt/tritonserver")

    def test_it_serves_its_healthcheck_asks_and_a_clip_gets_its_verdict(
        self, image: Container, stages: list[Stage], talking: Path, tmp_path: Path
    ) -> None:
        """Alone in a network of its own, with a read-only root, and models that were signed after the build."""
        shutil.copy(talking, image.root / "srv/clip.mp4")
        env = (CALLERS if _without_graph(image) else PRODUCTION | CALLERS) | _sign(image, tmp_path)
        words = {
            "entrypoint": " ".join(stages[-1].command("ENTRYPOINT")),
            "healthcheck": " ".join(stages[-1].command("HEALTHCHECK")),
            "demo": "VERACITY_API_KEY=0123456789abcdef veracity analyze --json --policy exhaustive /srv/clip.mp4",
            "signal": stages[-1].last("STOPSIGNAL").removeprefix("SIG"),
        }
        ended = image.run_alone("sh", "-c", SERVE.format(**words), **env)
        assert ended.returncode == 0, ended.stdout[-3000:]
        assert "the server ended with 0" in ended.stdout
        verdict = json.loads(next(line for line in ended.stdout.splitlines() if '"layer_results":' in line))
        layers = verdict.get("verdict", verdict)["layer_results"]
        assert {name for name, layer in layers.items() if layer["status"] == "scored"} >= {"1_audio", "2_visual"}
        logging.getLogger(__name__).info(ended.stdout[-1500:])

    def test_models_that_were_not_signed_are_refused(
        self, image: Container, stages: list[Stage], tmp_path: Path
    ) -> None:
        signer = _sign(image, tmp_path)
        (image.root / "srv/veracity/model_repository/deepfake_detector/1/json.py").touch()
        ended = image.run_alone(*stages[-1].command("ENTRYPOINT"), **CALLERS, **signer)
        (image.root / "srv/veracity/model_repository/deepfake_detector/1/json.py").unlink()
        assert ended.returncode == 3
        assert "deepfake_detector: model.sig: 1/json.py was not signed: take it out" in ended.stdout

    def test_its_bill_of_materials_has_what_lies_in_it(self, image: Container, tmp_path: Path) -> None:
        into = tmp_path / "image.cdx.json"
        subprocess.run([sys.executable, "scripts/sbom.py", image.root, into], cwd=CHECKOUT, check=True)
        parts = json.loads(into.read_text())["components"]
        there = image.run("dpkg-query", "--show", "--showformat=${Package}=${Version}\n").stdout.split()
        listed = [f"{one['name']}={one['version']}" for one in parts if one.get("purl", "").startswith("pkg:deb/")]
        assert sorted(listed) == sorted(there)
        pins = re.findall(r"^(\S+)==", (CHECKOUT / "requirements" / "image.lock").read_text(), re.M)
        installed = {one["name"].lower().replace("_", "-").replace(".", "-") for one in parts}
        assert {"numpy", "onnxruntime", "model-signing", "veracity-client"} <= installed
        assert len(installed & set(pins)) > 0.9 * len(set(pins)), "but for those of other Pythons"
        digests = {one["name"]: one.get("hashes") for one in parts if one["type"] == "machine-learning-model"}
        for name in required(choose("starter")):
            graph = image.root / "srv/veracity/model_repository" / name / "1/model.onnx"
            assert digests[name] == [{"alg": "SHA-256", "content": sha256(graph)}]
        logging.getLogger(__name__).info("%d components", len(parts))

    def test_it_does_not_serve_without_keys(self, image: Container, stages: list[Stage]) -> None:
        ended = image.run_alone(*stages[-1].command("ENTRYPOINT"))
        assert ended.returncode == 3
        assert "callers need API keys" in ended.stdout

    def test_production_refuses_what_the_repository_lacks(self, image: Container, stages: list[Stage]) -> None:
        lacking = _without_graph(image)
        if not lacking:
            pytest.skip("the profile has all its graphs")
        ended = image.run_alone(*stages[-1].command("ENTRYPOINT"), **PRODUCTION, **CALLERS)
        assert ended.returncode == 1
        assert all(name in ended.stdout for name in lacking)


def _sign(image: Container, folder: Path) -> dict[str, str]:
    """Sign the image's models as an operator would, outside of it; returns the setting that asks for it."""
    private, public = signing_keys.key_pair(folder, "release")
    shutil.copy(public, image.root / "srv/release.pub")
    repository = image.root / "srv/veracity/model_repository"
    assert cli.main(["weights", "sign", "--repository", str(repository), "--key", str(private)]) == 0
    return {"VERACITY_MODEL_SIGNER": "/srv/release.pub"}


def _doctor(image: Container, **env: str) -> dict[str, dict[str, object]]:
    ended = image.run("veracity", "doctor", "--json", **env)
    return {finding["what"]: finding for finding in json.loads(ended.stdout)["findings"]}


def _without_graph(image: Container) -> set[str]:
    repository = image.root / image.env["VERACITY_MODEL_REPOSITORY"].lstrip("/")
    names = required(choose(image.env["VERACITY_PROFILE"]))
    return {name for name in names if not any((repository / name).glob("1/model.*"))}
