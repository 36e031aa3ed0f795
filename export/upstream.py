"""The authors' own code, made to run: files of a checkout, copied and patched, never changed where they lie.

``patches/NAME/upstream.toml`` says whose files are meant and of which commit, ``patches/NAME/*.patch`` what is
changed, in the order of their names. Needs no torch.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

from veracity.install.graphs.publish import ExportError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PATCHES = Path(__file__).resolve().parent.parent / "patches"
FIELDS = ("Reason", "Upstream", "Remove when")  # that begin a line of every patch's head


@dataclass(frozen=True)
class Patch:
    """One change of other people's code: why it is made, where that stands, and when it can go."""

    path: Path
    fields: Mapping[str, str]
    files: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Patch:
        """Raises :class:`ExportError` for a patch whose hunks do not add up, or that does not say why it is there."""
        head = path.read_text(encoding="utf-8").partition("\ndiff ")[0]
        fields = {name: value for name in FIELDS if (value := _field(head, name))}
        missing = [name for name in FIELDS if name not in fields]
        if missing:
            raise ExportError(f"{path.name} does not say {', '.join(missing)}")
        with tempfile.TemporaryDirectory(prefix="veracity-patch-") as nowhere:
            listed = _git_apply(path, Path(nowhere), "--numstat", "-z")
        return cls(path, fields, tuple(line.split("\t")[2] for line in listed.split("\0") if line))


@dataclass(frozen=True)
class Upstream:
    """Whose code it is, of which commit, and the sha256 of each file that is patched or run."""

    name: str
    repository: str
    commit: str
    files: Mapping[str, str]

    @classmethod
    def read(cls, name: str) -> Upstream:
        """Read what ``patches/NAME`` is for."""
        data = tomllib.loads((PATCHES / name / "upstream.toml").read_text(encoding="utf-8"))
        return cls(name, data["repository"], data["commit"], data["files"])

    @property
    def patches(self) -> list[Path]:
        """The patches in the order in which they are applied."""
        return sorted((PATCHES / self.name).glob("*.patch"))

    def check(self, checkout: Path) -> None:
        """Raises :class:`ExportError` where a file of ``checkout`` is missing, or is not of the commit."""
        wanted = f"clone {self.repository} and git checkout {self.commit}"
        for name, digest in self.files.items():
            if not (checkout / name).is_file():
                raise ExportError(f"{checkout} has no {name}: {wanted}")
            if _sha256(checkout / name) != digest:
                raise ExportError(f"{name} in {checkout} is not the file of commit {self.commit[:7]}: {wanted}")

    @contextmanager
    def patched(self, checkout: Path) -> Iterator[Path]:
        """Yield a folder with the files of ``checkout`` as the patches leave them; raises :class:`ExportError`."""
        self.check(checkout)
        with tempfile.TemporaryDirectory(prefix=f"veracity-{self.name}-") as folder:
            for name in self.files:
                target = Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(checkout / name, target)
            for patch in self.patches:
                _git_apply(patch, Path(folder))
            yield Path(folder)


@contextmanager
def package(folder: Path, name: str) -> Iterator[ModuleType]:
    """Make the modules of ``folder`` importable as ``name.MODULE`` while the context lasts; the path stays as it is."""
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    sys.modules[name] = module_from_spec(spec)
    importlib.invalidate_caches()
    try:
        yield sys.modules[name]
    finally:
        for loaded in [one for one in sys.modules if one == name or one.startswith(f"{name}.")]:
            del sys.modules[loaded]


def _git_apply(patch: Path, folder: Path, *options: str) -> str:
    """Apply a patch in ``folder``, with any line ends, and return git's message."""
    if shutil.which("git") is None:
        raise ExportError("patches are applied with git: apt-get install -y git")
    command = ["git", "apply", "--ignore-whitespace", *options, str(patch.resolve())]
    alone = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}  # a repository around it limits git's view
    done = subprocess.run(command, cwd=folder, env=alone, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExportError(
            f"{patch.name} does not apply: {(done.stderr.strip().splitlines() or ['no reason given'])[0]}"
        )
    return done.stdout


def _field(head: str, name: str) -> str:
    """Return what stands after ``name:``, to the next line that is not indented."""
    found = re.search(rf"^{name}:((?:.*)(?:\n .*)*)", head, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
