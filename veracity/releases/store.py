"""The folder of releases: each is copied in once and not changed any more, and ``state.json`` points to them.

NAME/model_repository/   NAME/calibration.toml   NAME/calibration.reference.json   NAME/release.json
NAME/answers.jsonl       what it answered        NAME/gate.json                    how it did against another
state.json               which is current        audit.jsonl                       what was done, chained
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

import msgspec

from veracity.catalog import provenance
from veracity.catalog.profiles import children, choose
from veracity.decision.calibration import Calibration
from veracity.drift.reference import path_of
from veracity.install.files import sha256
from veracity_client.errors import VeracityError

Mode = Literal["staged", "shadow", "canary"]
REPOSITORY, CALIBRATION, ANSWERS, ABOUT = "model_repository", "calibration.toml", "answers.jsonl", "release.json"
STATE, AUDIT, LOCK = "state.json", "audit.jsonl", ".lock"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NOT_COPIED = shutil.ignore_patterns("__pycache__", ".*")


class ReleaseError(VeracityError):
    """What is asked of a release cannot be done; the message says why, and what to do first."""


class Release(msgspec.Struct, frozen=True):
    """What was staged. ``files`` are the sha256 of each file by its path, ``digest`` is one of them all.

    ``graphs`` are the sha256 of the profile's graphs, as verdicts name them.
    """

    name: str
    profile: str
    digest: str
    staged: str
    files: dict[str, str]
    graphs: dict[str, str]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """``current`` answers. ``candidate`` is tried in a ``mode`` on a ``share`` of the requests."""

    current: str | None = None
    previous: str | None = None
    candidate: str | None = None
    mode: Mode = "staged"
    share: float = 0.0

    @property
    def trying(self) -> str | None:
        """The candidate, where it sees requests."""
        return self.candidate if self.mode != "staged" else None


class Store:
    """A folder of releases. Commands that change it take turns (:meth:`changing`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def path(self, name: str) -> Path:
        """Return the folder of a release."""
        return self.folder / name

    def state(self) -> State:
        """Return which release is what; raises :class:`ReleaseError` for a file that is none of ours."""
        try:
            return msgspec.json.decode((self.folder / STATE).read_bytes(), type=State)
        except FileNotFoundError:
            return State()
        except (OSError, msgspec.DecodeError) as error:
            raise ReleaseError(f"{self.folder / STATE} cannot be read: {error}") from None

    def put(self, state: State) -> None:
        """Point to other releases, at once for all who read."""
        write(self.folder / STATE, msgspec.json.format(msgspec.json.encode(state)))

    @contextmanager
    def changing(self) -> Iterator[State]:
        """Yield the state; nobody else changes it until the end of the block. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.state()

    def release(self, name: str) -> Release:
        """Return what was staged under a name; raises :class:`ReleaseError` where nothing was."""
        try:
            return msgspec.json.decode((self.path(name) / ABOUT).read_bytes(), type=Release)
        except (OSError, msgspec.DecodeError):
            known = ", ".join(self.names()) or "none yet"
            raise ReleaseError(f"there is no release {name} in {self.folder}; there are {known}") from None

    def names(self) -> list[str]:
        """Return all names, in their order."""
        return sorted(path.parent.name for path in self.folder.glob(f"*/{ABOUT}"))

    def stage(self, name: str, profile: str, repository: Path, calibration: Path) -> Release:
        """Copy a model repository and a calibration in. Raises :class:`ReleaseError` for what could not be served."""
        if not NAME.fullmatch(name):
            raise ReleaseError(f"a release is named by letters, digits and . _ -, not {name!r}")
        if self.path(name).exists():
            raise ReleaseError(f"there is a release {name} already: a release is never changed, give another name")
        _check(repository, calibration, profile)
        part = self.folder / f".{name}.part"
        shutil.rmtree(part, ignore_errors=True)  # of one that was interrupted
        try:
            shutil.copytree(repository, part / REPOSITORY, ignore=_NOT_COPIED)
            shutil.copy(calibration, part / CALIBRATION)
            if path_of(calibration).is_file():
                shutil.copy(path_of(calibration), path_of(part / CALIBRATION))
            found = _described(part, name, profile)
            (part / ABOUT).write_bytes(msgspec.json.format(msgspec.json.encode(found)))
            part.replace(self.path(name))
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        return found

    def verified(self, name: str) -> Release:
        """Return a release of which no file was changed since; raises :class:`ReleaseError`."""
        told = self.release(name)
        now = _files(self.path(name))
        if changed := sorted(file for file in told.files | now if told.files.get(file) != now.get(file)):
            raise ReleaseError(f"{name} was changed after it was staged: {', '.join(changed[:3])}; stage it again")
        return told

    def audit(self, event: str, subject: str, digest: str | None) -> None:
        """Write down what was done. Raises :class:`VeracityError` where that cannot be."""
        from veracity_gateway.report.audit import AuditLog, FileRows

        AuditLog(FileRows(self.folder / AUDIT)).append(event, subject, digest, datetime.now(timezone.utc))


def write(path: Path, content: bytes) -> None:
    """Replace a file at once."""
    part = path.with_name(f".{path.name}.new")
    part.write_bytes(content)
    part.replace(path)


def _check(repository: Path, calibration: Path, profile: str) -> None:
    models = children(choose(profile))
    missing = [name for name in models if not (repository / name / "config.pbtxt").is_file()]
    if missing:
        raise ReleaseError(f"{repository} has no {', '.join(missing)} of the profile {profile}")
    faults = {name: why for name in models if (why := provenance.integrity_error(repository / name))}
    if faults:
        raise ReleaseError("; ".join(f"{name}: {why}" for name, why in faults.items()))
    fitted = Calibration.read(calibration)
    for name, checkpoint in fitted.checkpoints.items():
        installed = provenance.checkpoint(repository / name) if name in models else None
        if installed and installed != checkpoint:
            raise ReleaseError(
                f"{calibration} was fitted to other weights of {name} than {repository} has: calibrate it"
            )


def _described(folder: Path, name: str, profile: str) -> Release:
    files = _files(folder)
    whole = hashlib.sha256("".join(f"{file} {digest}\n" for file, digest in sorted(files.items())).encode()).hexdigest()
    graphs = {
        model: str(page["graph_sha256"])
        for model in children(choose(profile))
        if "graph_sha256" in (page := provenance.read(folder / REPOSITORY / model))
    }
    return Release(name, profile, whole, datetime.now(timezone.utc).isoformat(timespec="seconds"), files, graphs)


def _files(folder: Path) -> dict[str, str]:
    """The sha256 of what is served; Python compiles a model's code beside it."""
    served = [path for path in (folder / REPOSITORY).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    own = [path for path in (folder / CALIBRATION, path_of(folder / CALIBRATION)) if path.is_file()]
    return {str(path.relative_to(folder)): sha256(path) for path in (*served, *own)}
