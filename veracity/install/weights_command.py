"""``veracity weights``: list, fetch, verify, mirror, and with a file of its own sign and provenance."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veracity.catalog import ASSETS, Source
from veracity.catalog.profiles import PROFILES
from veracity.install import lock, mirror, sign_command
from veracity.install.advice import graph_commands
from veracity.install.files import WeightsError
from veracity.install.names import find, models_of, of_profile, refuse_research_only, wanted
from veracity.install.progress import bars
from veracity.install.store import fetch, verify
from veracity_client.errors import BadOption

if TYPE_CHECKING:
    from veracity.settings import Settings


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command ``weights`` with its actions."""
    parser = commands.add_parser("weights", help="the files that models are made of, and who signed them")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="every file: state, size, licence, and whose it is")
    listing.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    listing.set_defaults(command=_list)
    fetched = actions.add_parser("fetch", help="fetch files; without names those that the starter needs")
    fetched.add_argument("names", nargs="*", metavar="NAME", help="files, models or layers")
    fetched.add_argument("--profile", choices=tuple(PROFILES), help="all that the models of a profile are made of")
    fetched.add_argument("--from", dest="folder", type=Path, metavar="DIR", help="take the files from this folder")
    fetched.add_argument("--licence", choices=("any", "commercial"), default="any", help="refuse research-only weights")
    fetched.set_defaults(command=_fetch)
    checked = actions.add_parser("verify", help="hold files against their sha256; exit 1 where one is not as it should")
    checked.add_argument("names", nargs="*", metavar="NAME", help="files, models or layers; none means what is there")
    checked.set_defaults(command=_verify)
    mirrored = actions.add_parser("mirror", help="copy verified files into a folder that VERACITY_MIRROR may name")
    mirrored.add_argument("folder", type=Path, metavar="DIR", help="each file gets the name sha256/DIGEST in it")
    mirrored.add_argument("names", nargs="*", metavar="NAME", help="files, models or layers; none means what is there")
    mirrored.set_defaults(command=_mirror)
    sign_command.add(actions)


def _settings() -> Settings:
    from veracity.settings import Settings

    return Settings.from_env()


def _target() -> Path:
    return _settings().weights


def _list(args: argparse.Namespace) -> int:
    target = _target()
    rows = [(source, verify(source, target)) for source in ASSETS]
    if args.json:
        entries = {name: asdict(entry) for name, entry in lock.read(target).items()}
        files = [{**asdict(source), "state": state, "lock": entries.get(source.name)} for source, state in rows]
        sys.stdout.write(json.dumps({"files": files}) + "\n")
        return 0
    for source, state in rows:
        sys.stdout.write(f"{state:14} {_line(source)}\n")
    return 0


def _fetch(args: argparse.Namespace) -> int:
    settings = _settings()
    target = settings.weights
    if args.folder and not args.folder.is_dir():
        raise BadOption(f"--from: {args.folder} is no folder")
    sources = _chosen(args)
    if args.licence == "commercial":
        refuse_research_only(sources)
    absent = [source for source in sources if verify(source, target) != "ok"]
    for source in absent:
        sys.stderr.write(f"{_line(source)}\n")
    with bars() as (_, watch):
        fetch(absent, target, from_dir=args.folder, mirror=settings.mirror, progress=_say, watch=watch)
    models = [m.name for m in models_of(sources) if all((target / file).is_file() for file in m.files)]
    if models and (args.names or args.profile or args.folder):
        sys.stderr.write("".join(f"now build the graph: {how}\n" for how in graph_commands(models)))
    return 0


def _chosen(args: argparse.Namespace) -> list[Source]:
    if args.names and args.profile:
        raise BadOption("give names or --profile, not both")
    if args.profile:
        return of_profile(args.profile)
    return wanted(args.names, args.folder)


def _verify(args: argparse.Namespace) -> int:
    target = _target()
    chosen = wanted(args.names)
    if not args.names:
        chosen += [source for source in _there(target) if source not in chosen]
    states = [(source, verify(source, target)) for source in chosen]
    for source, state in states:
        sys.stdout.write(f"{source.name}: {state}\n")
    return 0 if all(state == "ok" for _, state in states) else 1


def _mirror(args: argparse.Namespace) -> int:
    target = _target()
    chosen = find(args.names) if args.names else _there(target)
    if not chosen:
        raise WeightsError(f"{target} holds none of the files: veracity weights fetch")
    for source in chosen:
        place = mirror.put(source, target, args.folder) if source.commercial else f"left out: {source.licence}"
        sys.stdout.write(f"{source.name}: {place}\n")
    return 0


def _there(target: Path) -> list[Source]:
    return [source for source in ASSETS if (target / source.name).is_file()]


def _line(source: Source) -> str:
    size = f"{source.size:,} B" if source.size is not None else "size unknown"
    return f"{source.name:36} {size:>15}  {source.licence:32} {source.homepage}"


def _say(source: Source, what: str) -> None:
    if what == "first use":
        sys.stderr.write(
            f"{source.name}: nobody stated its sha256 beforehand; it is recorded in {lock.LOCK_FILE} "
            "and holds from now on\n"
        )
    elif what != "here":
        sys.stderr.write(f"{source.name}: {what}\n")
