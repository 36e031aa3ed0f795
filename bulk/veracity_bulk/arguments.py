"""The command line of ``veracity bulk``, and of ``veracity-bulk`` where no engine is installed. Imports no Ray."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

from veracity_client.cli import add_options, options_of
from veracity_client.errors import BadOption

Command = Callable[[argparse.Namespace], int]

TEXT = "analyse folders, manifests and buckets on Ray, into Parquet"
EPILOG = """\
INPUT is a folder, a file, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX, or a manifest: a .csv or .parquet file, in any of
these places, whose column --column names files by path, s3://, gs://, https:// or http://.

OUT is a folder, or a prefix of a bucket: rows/ has a row a file, dead-letters.csv the files without a verdict,
report.json what was done and what it cost. The same command goes on where an earlier one was ended.

Exit code: 0 every file has a verdict, 1 some have none, 3 the run could not go on, 130 interrupted."""


def add_arguments(parser: argparse.ArgumentParser, command: Command, *, servers: str) -> None:
    """Declare what the command takes; ``servers`` says which are asked by default."""
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, EPILOG
    parser.add_argument("given", metavar="INPUT")
    parser.add_argument("out", metavar="OUT")
    parser.add_argument("--url", action="append", help=f"a server; may be given for each (default: {servers})")
    parser.add_argument("--api-key", metavar="KEY", help="better given as VERACITY_API_KEY")
    text = "a running Ray cluster: auto, or HOST:PORT of its head (default: one is started here)"
    parser.add_argument("--ray", metavar="ADDRESS", default=os.environ.get("RAY_ADDRESS") or None, help=text)
    parser.add_argument("--column", default="uri", metavar="NAME", help="of a manifest (default: uri)")
    text = "files at once a server (default: as many as it analyses at once)"
    parser.add_argument("--in-flight", type=_positive, metavar="N", help=text)
    text = "how often a file is tried whose error may pass (default: 10)"
    parser.add_argument("--attempts", type=_positive, metavar="N", default=10, help=text)
    parser.add_argument(
        "--timeout", type=float, metavar="S", default=300.0, help="seconds for one attempt (default: 300)"
    )
    text = "of a file; a larger one is not read (default: 209715200, the servers' own default)"
    parser.add_argument("--max-bytes", type=_positive, metavar="N", default=200 << 20, help=text)
    text = "how long a row waits to be written with others, up to 500 a file (default: 30)"
    parser.add_argument("--part-seconds", type=float, metavar="S", default=30.0, help=text)
    text = "processor cores of one server, or GPUs: the cost is told in their seconds"
    parser.add_argument("--cores", type=float, metavar="N", help=text)
    add_options(parser, priority="bulk")
    parser.set_defaults(command=command)


def task_of(args: argparse.Namespace, urls: tuple[str, ...]) -> Any:
    """Return what the command line says. Raises :class:`BadOption`."""
    from veracity_bulk.run import Task

    if args.cores is not None and not args.cores > 0:
        raise BadOption(f"--cores is over 0, got {args.cores}")
    return Task(
        args.given, args.out, options_of(args, deadline_seconds=args.timeout), args.column, urls,
        args.api_key or os.environ.get("VERACITY_API_KEY") or None, args.ray, args.in_flight, args.attempts,
        args.max_bytes, args.part_seconds, args.cores,
    )  # fmt: skip


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"give a whole number over 0, got {text!r}")
    return int(text)
