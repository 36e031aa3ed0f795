"""Assembles the media: from folders, else made of what lies at the public origins. What is there already stays."""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from training.data import origins, recipes
from training.data.table import Item
from veracity.install import web
from veracity.install.files import WeightsError, atomic, sha256, write
from veracity_client.errors import VeracityError

_COLUMNS = ("path", "kind", "label", "how", "source", "licence", "use", "notes", "sha256")
_WORK = ".originals"  # in the target: what came of downloads, to go on from

log = logging.getLogger(__name__)


class IncompleteMedia(VeracityError):
    """Some items could not be had. Those that could are in their places."""


def assemble(items: Sequence[Item], target: Path, folders: Sequence[Path], jobs: int, github: str) -> None:
    """Put all items into the folder ``target``, with manifests that training reads.

    Raises :class:`IncompleteMedia` at the end where some are missing; ``missing.csv`` says which, and why.
    """
    for folder in folders:
        if not folder.is_dir():
            raise WeightsError(f"--from: {folder} is no folder")
    faults: dict[Item, str] = {}
    with tqdm(total=len(items), unit="item") as bar:

        def without(had: Callable[[Item], bool], wanted: Sequence[Item]) -> list[Item]:
            absent = [item for item in wanted if not had(item)]
            bar.update(len(wanted) - len(absent))
            return absent

        absent = without(lambda item: _is_there(item, target), items)
        absent = without(lambda item: _take(item, folders, target), absent)
        held = _by_digest(folders) if absent else {}
        absent = without(lambda item: _copy(item, held.get(item.sha256), target), absent)
        with ThreadPoolExecutor(jobs) as pool:
            for had, missing in pool.map(lambda together: _from_origin(together, target, github), _together(absent)):
                bar.update(had)
                faults |= missing
    write_manifests([item for item in items if item not in faults], faults, target)
    _conclude(items, faults, target)


def _is_there(item: Item, target: Path) -> bool:
    path = target / item.place
    return path.is_file() and sha256(path) == item.sha256


def _take(item: Item, folders: Sequence[Path], target: Path) -> bool:
    """Take an item out of a folder that holds it by its name."""
    return any(_copy(item, folder / name, target) for folder in folders for name in (item.path, item.place))


def _copy(item: Item, path: Path | None, target: Path) -> bool:
    if path is None or not path.is_file():
        return False
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != item.sha256:
        return False
    _put(content, item, target)
    return True


def _put(content: bytes, item: Item, target: Path) -> None:
    with atomic(target / item.place) as out:
        out.write(content)


def _by_digest(folders: Sequence[Path]) -> dict[str, Path]:
    """All files of the folders, for those that have another name there."""
    return {sha256(path): path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()}


def _together(items: Sequence[Item]) -> list[list[Item]]:
    """Items that one download serves."""
    found: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        found[_download(item)].append(item)
    return list(found.values())


def _download(item: Item) -> str:
    return f"none for {item.place}" if recipes.is_local(item.recipe) else origins.archive(item)


def _from_origin(items: Sequence[Item], target: Path, github: str) -> tuple[int, dict[Item, str]]:
    """Make items of one download; returns how many were had, and why not the others."""
    work = target / _WORK / hashlib.sha256(_download(items[0]).encode()).hexdigest()[:16]
    faults: dict[Item, str] = {}
    for item in items:
        try:
            _make(item, work, target, github)
        except (VeracityError, OSError) as error:
            faults[item] = " ".join(str(error).split())
    if not faults or not any(path.stat().st_size for path in work.rglob("*") if path.is_file()):
        shutil.rmtree(work, ignore_errors=True)
    return len(items) - len(faults), faults


def _make(item: Item, work: Path, target: Path, github: str) -> None:
    if recipes.is_local(item.recipe):
        raise WeightsError(f"derived, only from --from: {item.recipe.partition(': ')[2]}")
    original = origins.bring(item, work, github)
    content = recipes.make(item.recipe, original)
    digest = hashlib.sha256(content).hexdigest()
    if digest != item.sha256:
        web.forget(original)
        what = (
            "the file there" if item.recipe == "as-is" else f"what {item.recipe.split()[0]!r} makes of the file there"
        )
        raise WeightsError(f"{what} is another one: sha256 {digest[:12]}…, wanted {item.sha256[:12]}…")
    _put(content, item, target)


def write_manifests(items: Sequence[Item], faults: Mapping[Item, str], target: Path) -> None:
    """Of both batches together with the split; of each alone, as training splits it without; and of what is missing."""
    files = {target / "manifest.csv": _rows(((*_row(item, item.place), item.set.part) for item in items), "split")}
    for batch in sorted({item.set.batch for item in items}):
        alone = (_row(item, item.path) for item in items if item.set.batch == batch)
        files[target / batch / "manifest.csv"] = _rows(alone)
    if faults:
        why = (((*_row(item, item.place), reason)) for item, reason in faults.items())
        files[target / "missing.csv"] = _rows(why, "why")
    else:
        (target / "missing.csv").unlink(missing_ok=True)
    write(files)


def _rows(rows: Iterator[tuple[str, ...]], *more: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_COLUMNS, *more))
    writer.writerows(rows)
    return text.getvalue().encode()


def _row(item: Item, path: str) -> tuple[str, ...]:
    each = item.set
    source = f"{each.origin}:{item.at}" if item.at else each.origin
    notes = "; ".join((item.recipe, *item.groups))
    return path, each.kind, each.label, each.how, source, each.licence, each.use, notes, item.sha256


def _conclude(items: Sequence[Item], faults: Mapping[Item, str], target: Path) -> None:
    """Say what is missing, by origin and reason."""
    if not faults:
        log.info("%d items are in %s", len(items), target)
        return
    counted = Counter((item.set.origin, _general(reason)) for item, reason in faults.items())
    for (origin, reason), count in sorted(counted.items()):
        log.warning("%4d of %s: %s", count, origin, reason)
    raise IncompleteMedia(
        f"{len(faults)} of {len(items)} items could not be had; {target / 'missing.csv'} says which and why. "
        "The same command goes on."
    )


def _general(reason: str) -> str:
    """A reason without what differs from item to item."""
    return "cannot be had" + reason.partition(" cannot be had")[2] if " cannot be had" in reason else reason
