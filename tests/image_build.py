"""Reads a Dockerfile and replays it in a plain Debian root: what Docker would do, with directories for layers.

Needs root, debootstrap and the package registries. Only what ours uses is understood; anything else is an error.
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from docker.utils.build import exclude_paths

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
APT = (
    "sources.list",
    "sources.list.d",
    "auth.conf.d",
    "trusted.gpg.d",
    "keyrings",
)  # how this machine reaches packages
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
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
READ_ONLY = """
mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && mount -t tmpfs -o noexec,nosuid,nodev tmpfs "$0/tmp" &&
"""
ENTER = """
mount --rbind /dev "$0/dev" && mount -t tmpfs tmpfs "$0/dev/shm" && mount -t proc proc "$0/proc" &&
ip link set lo up && exec chroot --groups= "--userspec=$user" "$0" "$@"
"""

log = logging.getLogger(__name__)


@dataclass
class Stage:
    """One FROM and what follows it."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def last(self, word: str) -> str:
        return next(value for step, value in reversed(self.steps) if step == word)

    def command(self, word: str) -> list[str]:
        """Return an ENTRYPOINT or a HEALTHCHECK's CMD, which have to be in the JSON form: no shell to eat signals."""
        listed = re.search(r"\[.*\]", self.last(word))
        assert listed, f"{word} is not in the JSON form"
        found: list[str] = json.loads(listed[0])
        return found


def read(dockerfile: Path) -> tuple[dict[str, str], list[Stage]]:
    """Return the arguments before the first FROM, and the stages."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        word, value = line.split(maxsplit=1)
        if word == "FROM":
            base, _, name = value.partition(" AS ")
            stages.append(Stage(name or "image", expand(base, arguments)))
        elif stages:
            stages[-1].steps.append((word, value))
        else:
            arguments |= assignments(value)
    return arguments, stages


def assignments(value: str) -> dict[str, str]:
    """Return ``A=b C="d e"`` as a dictionary."""
    return dict(part.split("=", 1) for part in shlex.split(value))


def expand(value: str, env: Mapping[str, str]) -> str:
    """Replace ``${NAME}``; an unknown name is a KeyError."""
    return re.sub(r"\$\{(\w+)\}", lambda found: env[found[1]], value)


def context(checkout: Path) -> set[str]:
    """Return the files that .dockerignore leaves to the build, by the rules of Docker's own library."""
    patterns = [p for p in (checkout / ".dockerignore").read_text().splitlines() if p and not p.startswith("#")]
    found = set(exclude_paths(str(checkout), patterns)) - {".dockerignore"}  # always sent, never wanted
    return {path for path in found if (checkout / path).is_file()}


def sources(stage: Stage) -> list[str]:
    """Return what a stage copies out of the checkout."""
    copies = [value.split() for word, value in stage.steps if word == "COPY"]
    return [source for parts in copies if not parts[0].startswith("--from=") for source in parts[:-1]]


@dataclass
class Root:
    """A stage as far as it has come: its files, and what Docker would remember of it."""

    path: Path
    env: dict[str, str]
    workdir: str = "/"
    user: str = "0:0"

    def run(
        self,
        command: Sequence[str],
        extra: Mapping[str, str] | None = None,
        *,
        online: bool = True,
        read_only: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in there, in a process tree that ends with it; what is ``read_only`` has a /tmp of its own."""
        namespaces = ["--mount", "--pid", "--fork", "--kill-child", *([] if online else ["--net"])]
        script = (READ_ONLY if read_only else "") + ENTER
        env = [f"{name}={value}" for name, value in {**self.env, **(extra or {})}.items()]
        inside = ["env", "-i", "-C", self.workdir, *env, *command]
        return subprocess.run(
            ["unshare", *namespaces, "sh", "-c", script, str(self.path), *inside],
            env={**os.environ, "user": self.user},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )


class Build:
    """Replays the stages into directories of ``work``, from ``base`` for every image that is not a stage."""

    def __init__(self, checkout: Path, base: Root, work: Path) -> None:
        self.checkout, self.work = checkout, work
        self.roots: dict[str, Root] = {}
        self._base, self._context, self._network = base, context(checkout), index()

    def stage(self, stage: Stage) -> Root:
        """Do a stage's steps in order; a RUN that fails is an AssertionError with its last words."""
        parent: Root = self.roots.get(stage.base, self._base)
        path = self.work / stage.name
        subprocess.run(["cp", "-a", "--reflink=auto", parent.path, path], check=True)
        root = self.roots[stage.name] = Root(path, dict(parent.env), parent.workdir, parent.user)
        arguments: dict[str, str] = {}
        for word, value in stage.steps:
            self._step(root, arguments, word, value)
        return root

    def _step(self, root: Root, arguments: dict[str, str], word: str, value: str) -> None:
        known = {**arguments, **root.env}
        if word == "RUN":
            self._run(root, arguments, value)
        elif word == "COPY":
            self._copy(root, value.split())
        elif word == "ARG":
            arguments |= assignments(value)
        elif word == "ENV":
            root.env |= {name: expand(text, known) for name, text in assignments(value).items()}
        elif word == "WORKDIR":
            root.workdir = value
            (root.path / value.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif word == "USER":
            root.user = value
        else:
            assert word in ("LABEL", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT"), f"{word} is not understood"

    def _run(self, root: Root, arguments: Mapping[str, str], script: str) -> None:
        began = time.monotonic()
        ended = root.run(["/bin/sh", "-c", script], {**self._network, **arguments})
        log.info("%5.1f s  RUN %s\n%s", time.monotonic() - began, script, ended.stdout[-600:])
        assert ended.returncode == 0, f"RUN {script}\n{ended.stdout[-3000:]}"

    def _copy(self, root: Root, parts: list[str]) -> None:
        *wanted, into = (part for part in parts if not part.startswith("--from="))
        target = root.path / str(Path("/", root.workdir, into)).lstrip("/")
        for source in wanted:
            place = target / Path(source).name if into.endswith("/") else target
            if parts[0].startswith("--from="):
                tree = self.roots[parts[0].partition("=")[2]].path / source.lstrip("/")
                shutil.copytree(tree, place, symlinks=True, dirs_exist_ok=True)
            else:
                self._copy_context(source, place)

    def _copy_context(self, source: str, place: Path) -> None:
        files = [file for file in sorted(self._context) if file == source or file.startswith(f"{source}/")]
        assert files, f"COPY {source}: .dockerignore leaves nothing of it"
        for file in files:
            to = place / Path(file).relative_to(source) if file != source else place
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.checkout / file, to)


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
    ended = Root(part, {"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive"}).run(["sh", "-c", library])
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
