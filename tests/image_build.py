"""Builds images with buildah on a plain Debian, where neither Docker nor a registry of images is.

Needs root, buildah, debootstrap and the package registries. Where overlays cannot be mounted, storage is `vfs`, which
copies every layer. An image is built without intermediate layers, and its folder goes when its tests end.
"""

import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from veracity.settings import CHECKOUT

BASE, IMAGE = "localhost/plain", "localhost/built"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
APT = (
    "sources.list",
    "sources.list.d",
    "auth.conf.d",
    "trusted.gpg.d",
    "keyrings",
)  # how this machine reaches packages
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
OWN_CERTIFICATES = "/etc/ssl/this-machine.crt"  # Debian's package ca-certificates writes the usual file anew
# of pip's settings; others, a constraints file for one, name files that a plain root lacks
INDEX_KEYS = (
    "index-url",
    "extra-index-url",
    "find-links",
    "trusted-host",
    "cert",
    "proxy",
    "default-timeout",
    "retries",
)
PROXIES = ("http_proxy", "https_proxy", "no_proxy")
# Processes that end with the command, a network of its own, and a root that nobody writes to but for /tmp.
ALONE = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c"]
READ_ONLY = """
mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && mount -t tmpfs -o noexec,nosuid,nodev tmpfs "$0/tmp" &&
mount --rbind /dev "$0/dev" && mount -t tmpfs tmpfs "$0/dev/shm" && mount -t proc proc "$0/proc" &&
ip link set lo up && exec chroot --groups= "--userspec=$user" "$0" "$@"
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Buildah:
    """Images and containers in a folder of their own."""

    folder: Path
    driver: str

    def command(self, *arguments: str | Path) -> list[str]:
        storage = ["--root", self.folder / "root", "--runroot", self.folder / "run", "--storage-driver", self.driver]
        return ["buildah", *map(str, [*storage, *arguments])]

    def __call__(self, *arguments: str | Path) -> str:
        env = {**os.environ, "TMPDIR": str(self.folder)}  # what is committed lies there for a while
        ended = subprocess.run(self.command(*arguments), env=env, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, f"buildah {arguments}\n{ended.stdout[-5000:]}\n{ended.stderr[-2000:]}"
        return ended.stdout.strip()

    def base(self) -> "Container":
        """Return a container of the plain root, which knows this machine's package index."""
        made = Container(self, self("from", "scratch"))
        subprocess.run(["cp", "-a", f"{plain_root()}/.", made.root], check=True)
        shutil.copy(CERTIFICATES, made.root / OWN_CERTIFICATES.lstrip("/"))
        made.set_env({"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive", **index(), "PIP_CERT": OWN_CERTIFICATES})
        return made

    def build(self, dockerfile: Path, argument: str, base: "Container", ignore: Path) -> "Container":
        """Return a container of what a Dockerfile of the checkout becomes on ``base``, whose ``argument`` names it."""
        self("commit", "--rm", base.name, BASE)
        began = time.monotonic()
        how = ["--isolation", "chroot", "--format", "docker", "--layers=false", "--pull-never"]
        what: list[str | Path] = [
            "--build-arg",
            f"{argument}={BASE}",
            "--ignorefile",
            ignore,
            "--file",
            dockerfile,
            "--tag",
            IMAGE,
        ]
        said = self("build", *how, *what, CHECKOUT)
        took, size = time.monotonic() - began, self("images", "--format", "{{.Size}}", IMAGE)
        log.info("%s\n%s: built in %.0f s, %s", said[-4000:], dockerfile.name, took, size)
        return Container(self, self("from", "--pull-never", IMAGE))


@dataclass(frozen=True)
class Container:
    """One container: its files, and its image's configuration."""

    buildah: Buildah
    name: str

    @property
    def root(self) -> Path:
        return Path(self.buildah("mount", self.name))

    @property
    def config(self) -> dict[str, Any]:
        """What the image says of how it is run, as Docker writes it."""
        found: dict[str, Any] = json.loads(self.buildah("inspect", self.name))["Docker"]["config"]
        return found

    @property
    def env(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for pair in self.config["Env"])

    def set_env(self, env: Mapping[str, str]) -> None:
        self.buildah("config", *(f"--env={name}={value}" for name, value in env.items()), self.name)

    def command(self, *command: str, **env: object) -> list[str]:
        """Return what runs a command in the container, as its user and in the network of this machine."""
        variables = [f"--env={name}={value}" for name, value in env.items()]
        return self.buildah.command("run", "--isolation", "chroot", *variables, self.name, "--", *command)

    def run(self, *command: str, **env: object) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as :meth:`command` says."""
        return subprocess.run(self.command(*command, **env), capture_output=True, text=True, check=False)

    def run_alone(self, *command: str, **env: object) -> subprocess.CompletedProcess[str]:
        """Run a command without a network, with a read-only root and its own /tmp, which buildah does not offer.

        ``stderr`` is in ``stdout``.
        """
        variables = [f"{name}={value}" for name, value in {**self.env, **env}.items()]
        inside = ["env", "-i", "-C", self.config["WorkingDir"], *variables, *command]
        return _run([*ALONE, READ_ONLY, str(self.root), *inside], {"user": self.config["User"]})


def _run(command: list[str], env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    merged = {**os.environ, **(env or {})}
    return subprocess.run(command, env=merged, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


@contextmanager
def storage() -> Iterator[Buildah]:
    """Yield a place for images; skips where none can be built."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a root")
    for program in ("buildah", "debootstrap", "unshare", "ip"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    spaces = subprocess.run([*ALONE, "true"], capture_output=True, text=True, check=False)
    if spaces.returncode:
        pytest.skip(f"no namespaces of our own here: {spaces.stderr.strip()}")
    try:
        httpx.get(mirror()[0], timeout=20, follow_redirects=True)
    except httpx.HTTPError as error:
        pytest.skip(f"no package mirror: {error}")
    with tempfile.TemporaryDirectory(prefix="veracity-image-") as folder:
        made = Buildah(Path(folder), _driver(Path(folder)))
        try:
            yield made
        finally:
            made("rm", "--all")


def _driver(folder: Path) -> str:
    """Return `overlay` where overlays can be mounted, which takes a third of the disk that `vfs` takes."""
    places = [folder / name for name in ("lower", "upper", "work", "merged")]
    for place in places:
        place.mkdir()
    options = "lowerdir={},upperdir={},workdir={}".format(*places)
    mount = ["unshare", "--mount", "mount", "-t", "overlay", "overlay", "-o", options, str(places[-1])]
    return "vfs" if subprocess.run(mount, capture_output=True, check=False).returncode else "overlay"


def index() -> dict[str, str]:
    """Return, as variables, how this machine's pip reaches its index; a plain root knows nothing of that."""
    said = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    pairs = [line.partition("=") for line in said.stdout.splitlines()]
    named = ((key.rpartition(".")[2], text) for key, _, text in pairs)
    pip = {f"PIP_{key.upper().replace('-', '_')}": shlex.split(text)[0] for key, text in named if key in INDEX_KEYS}
    return pip | {name: os.environ[name] for name in PROXIES if name in os.environ}


def mirror() -> tuple[str, str]:
    """Return this machine's own distribution: its package mirror and its release's name."""
    targets = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"]
    said = subprocess.run(targets, capture_output=True, text=True, check=True).stdout.splitlines()
    address, release = said[0].split()
    return address, release


def plain_root() -> Path:
    """Return a minimal system with Python and its library, made once and kept in the temporary directory."""
    address, release = mirror()
    path = Path(tempfile.gettempdir(), f"veracity-plain-{release}")
    if path.is_dir():
        assert path.stat().st_uid == 0, f"{path} is not root's: remove it"
        return path
    part = Path(tempfile.mkdtemp(prefix=f"{path.name}-"))
    made = ["debootstrap", "--variant=minbase", "--include=ca-certificates,python3", release, str(part), address]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
    _reach_packages(part)
    library = 'apt-get update && apt-get install -y "libpython$(python3 -c "import sys; print(sys.version[:4])")"'
    env = {"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive"}
    ended = _run(["env", "-i", *(f"{k}={v}" for k, v in env.items()), "chroot", str(part), "sh", "-c", library])
    assert ended.returncode == 0, ended.stdout[-2000:]
    part.chmod(0o755)
    return part.rename(path)


def _reach_packages(root: Path) -> None:
    (root / "etc/apt/sources.list").unlink(missing_ok=True)  # debootstrap's own
    for name in APT:
        source, target = Path("/etc/apt", name), root / "etc/apt" / name
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.is_file():
            shutil.copy(source, target)
    said = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout.splitlines()
    kept = [line for line in said if re.match(r"Acquire::(https?|Check)", line)]
    (root / "etc/apt/apt.conf.d/50host").write_text("\n".join(kept) + "\n")
    for file in (CERTIFICATES, Path("/etc/resolv.conf"), Path("/etc/hosts")):
        shutil.copy(file, root / str(file).lstrip("/"))
