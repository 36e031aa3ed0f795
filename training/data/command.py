"""`python -m training data ACTION`: fetch the media, copy them at other qualities, show the split, write the table."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from training.data import copies, fetch, table
from training.data.collect import collect
from training.data.origins import GITHUB
from training.data.summary import summary
from veracity.calibrate.errors import ManifestError

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions and their options."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    fetched = actions.add_parser("fetch", help="assemble all items, from folders and from their public origins")
    fetched.add_argument("target", type=Path, metavar="TARGET", help="folder to assemble them in; a second run goes on")
    fetched.add_argument("--from", dest="folders", type=Path, nargs="+", default=[], metavar="FOLDER",
                         help="folders that may hold items, which are known by their digest")  # fmt: skip
    fetched.add_argument("--part", choices=table.PARTS, action="append", help="only this part; may be repeated")
    fetched.add_argument("--jobs", type=int, default=8, help="downloads at a time")
    fetched.add_argument("--github", default=GITHUB, metavar="URL", help="answers owner/name/commit/path")
    fetched.set_defaults(action=_fetch)
    copied = actions.add_parser("copies", help="make copies of pictures and films at other qualities, to calibrate on")
    copied.add_argument("media", type=Path, metavar="MEDIA", help="what fetch assembled")
    copied.add_argument("target", type=Path, metavar="TARGET", help="folder for the copies; a second run goes on")
    copied.set_defaults(action=_copies)
    shown = actions.add_parser("summary", help="items, systems and sources of each part")
    shown.set_defaults(action=_summary)
    made = actions.add_parser("sources", help="make the table of the manifests of the two batches")
    made.add_argument("folders", type=Path, nargs=2, metavar="FOLDER", help="of the first and of the second batch")
    how = made.add_mutually_exclusive_group(required=True)
    how.add_argument("--check", action="store_true", help="say whether the table is that of the manifests")
    how.add_argument("--write", action="store_true", help="write training/data/sources.toml and items.csv")
    made.add_argument("--originals", type=Path, metavar="FOLDER", help="files as they are at their origins, to find "
                      "the recipe of an item that has none: owner/name/path")  # fmt: skip
    made.set_defaults(action=_sources)


def run(options: argparse.Namespace) -> None:
    """Run one action."""
    options.action(options)


def _fetch(options: argparse.Namespace) -> None:
    wanted: Sequence[str] = options.part or table.PARTS
    items = [item for item in table.read() if item.set.part in wanted]
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each of thousands of requests
    fetch.assemble(items, options.target, options.folders, options.jobs, options.github)


def _copies(options: argparse.Namespace) -> None:
    log.info("%d copies in %s", copies.copy(options.media, options.target), options.target)


def _summary(_: argparse.Namespace) -> None:
    sys.stdout.write(summary(table.read()))


def _sources(options: argparse.Namespace) -> None:
    there = (table.HERE / "sources.toml").is_file()
    items = collect(options.folders, table.read() if there else [], options.originals)
    if options.write:
        table.save(items)
        return
    stale = [
        path.name for path, text in table.written(items).items() if not path.is_file() or path.read_bytes() != text
    ]
    if stale:
        raise ManifestError(f"{' and '.join(stale)} of training/data are not those of the manifests: --write")
