"""``veracity-client analyze``: videos in, verdicts out, for a person or, with ``--json``, for a program."""

from __future__ import annotations

import argparse
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from typing import TYPE_CHECKING, Any, get_args

from veracity_client import telemetry
from veracity_client._version import __version__
from veracity_client.batch import Answer, Batch, asked_in, jobs_of
from veracity_client.client import Detector
from veracity_client.console import ERROR, Parser, run_command
from veracity_client.errors import VeracityError
from veracity_client.inputs import expand, without
from veracity_client.options import Priority
from veracity_client.ordered import ordered_map
from veracity_client.progress import FilesProgress
from veracity_client.reports import Json, Reporter
from veracity_client.results import Line, ResultsFile
from veracity_client.verdict import LayerName, OperatingPoint, Options, Policy

if TYPE_CHECKING:
    from veracity_client.card import Screen

DEFAULT_URL = "localhost:8001"

Connect = Callable[[], AbstractContextManager[str]]
"""Gives a server where no ``--url`` was given: a context manager that yields its url and may stop it afterwards."""
Wrap = Callable[[Reporter], Reporter]
"""Gives a reporter that does more with what is found, around the one that shows it."""

DESCRIPTION = "Say of each video whether it is fake."
EPILOG = """\
A FILE may be a folder, whose media files are analysed with those of all folders below it, or a quoted pattern like
'clips/*.mp4' or 'clips/**/*.mov'. What was skipped in a folder is said on standard error.

Exit code: 0 real, 1 fake, 2 inconclusive, 3 error, 130 interrupted; with several files the highest of theirs.
With --json each file gives one line, in the order given: {"file": NAME, ...the verdict...} or
{"file": NAME, "error": {"type": ..., "message": ...}}; nothing else goes to standard output.

With --out the same lines go to a file, each when its video is done. The same command again skips what has its answer
there, and asks again about files that changed, errors of the server, and answers of other options or models."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``veracity-client`` and return its exit code."""
    return run_command("veracity-client", lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    parser = Parser(prog="veracity-client", description="Ask a Veracity server whether videos are fake.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    add_analyze(parser.add_subparsers(required=True, metavar="COMMAND"))
    return run_analyze(parser.parse_args(argv))


def add_analyze(commands: argparse._SubParsersAction[Any]) -> argparse.ArgumentParser:
    """Add the command ``analyze`` and return its parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "analyze",
        help="say of each video whether it is fake",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a video, picture or sound file, a folder, or a pattern; - is standard input",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document a line and file")
    add_options(parser)
    parser.add_argument("--explain", action="store_true",
                        help="add pictures of what the models saw, to be found with --json or --out")  # fmt: skip
    parser.add_argument(
        "--url",
        action="append",
        help=f"grpc://, grpcs://, http:// or https:// HOST:PORT (default: {DEFAULT_URL}); may be given for each server",
    )
    parser.add_argument("--api-key", metavar="KEY", help="better given as VERACITY_API_KEY: others see command lines")
    parser.add_argument("--timeout", type=float, metavar="S", help="seconds for one file")
    parser.add_argument(
        "--jobs", type=_jobs, metavar="N", help="files at a time (default: as many as the servers analyse at once)"
    )
    parser.add_argument("--out", metavar="RESULTS", help="a file of JSON lines, with which a later run goes on")
    return parser


def add_options(parser: argparse.ArgumentParser, *, priority: Priority = "interactive") -> None:
    """Declare what may be chosen of every analysis, for :func:`options_of`; ``priority`` is what holds without one."""
    parser.add_argument("--policy", choices=get_args(Policy), default="fail_fast", help="when to stop early")
    parser.add_argument("--operating-point", choices=get_args(OperatingPoint), default="balanced",
                        help="how often a word may be wrong: 1, 5 or 10 %%")  # fmt: skip
    parser.add_argument("--layers", type=_layers, metavar="NAME,…", help=f"some of {','.join(get_args(LayerName))}")
    parser.add_argument("--audio-track", type=int, metavar="N", help="which sound track, from 0; else chosen")
    parser.add_argument("--video-track", type=int, metavar="N", help="which video track, from 0; else chosen")
    text = "bulk waits while somebody waits whose request is interactive (default: %(default)s)"
    parser.add_argument("--priority", choices=get_args(Priority), default=priority, help=text)


def options_of(args: argparse.Namespace, **more: Any) -> Options:
    """Return what was chosen with :func:`add_options`, and ``more``."""
    chosen: dict[str, Any] = {"layers": args.layers} if args.layers else {}
    names = ("policy", "operating_point", "audio_track", "video_track", "priority")
    chosen |= {name: getattr(args, name) for name in names}
    return Options(**chosen, **more)


def run_analyze(args: argparse.Namespace, connect: Connect | None = None, wrap: Wrap | None = None) -> int:
    """Analyse the files, several at a time, and report in the order given; return the highest exit code.

    A file is read when its turn comes. ``connect`` is called once where no ``--url`` was given. KeyboardInterrupt goes
    through.
    """
    shown: Reporter = Json() if args.json else _screen()
    report = wrap(shown) if wrap else shown
    names, notes = expand(args.files)
    for note in notes:
        sys.stderr.write(f"{note}\n")
    names = names if args.out is None else without(names, args.out)
    left = deque(names)
    try:
        telemetry.start("veracity-client")
        return _analyze_all(args, names, left, report, connect)
    except VeracityError as error:  # of the whole run: a bad option, no server could be started, a disk is full
        report.failed(left, error)
        return ERROR


def _analyze_all(
    args: argparse.Namespace, names: Sequence[str], left: deque[str], report: Reporter, connect: Connect | None
) -> int:
    """Analyse and report; ``left`` loses each file that was reported."""
    options, code, kept = options_of(args, explain=args.explain), 0, 0
    with ExitStack() as stack:
        results = None if args.out is None else stack.enter_context(ResultsFile(args.out, names))
        url = stack.enter_context(connect()) if connect and args.url is None else args.url or DEFAULT_URL
        detector = stack.enter_context(_detector(url, args))
        many = len(names) > 1
        servers = detector.info() if results or (many and args.jobs is None) else []
        jobs = args.jobs or jobs_of(servers) if many else 1
        asked = asked_in(options, servers) if results else None
        batch = Batch(detector, options, Json().watch if many else report.watch, results, asked)
        progress = stack.enter_context(FilesProgress(len(names), jobs))

        def answer(name: str) -> Answer:
            found = batch.answer(name)
            progress.done(asked=not isinstance(found.found, Line))
            return found

        for found in stack.enter_context(closing(ordered_map(answer, names, jobs))):
            if isinstance(found.found, Line):
                kept += 1
            elif results:
                results.append(found.text)
            with progress.hidden():
                report.show(found.name, found.found, found.text)
            code = max(code, found.code)
            left.popleft()
    if kept:
        sys.stderr.write(f"{kept} of {len(names)} files have their answer in {args.out} from an earlier run\n")
    return code


def _screen() -> Screen:
    try:
        from veracity_client.card import Screen
    except ModuleNotFoundError as error:
        sys.stderr.write(f"{error.name} is missing: pip install {error.name}, or ask with --json\n")
        raise SystemExit(ERROR) from None
    return Screen()


def _detector(url: str | Sequence[str], args: argparse.Namespace) -> Detector:
    api_key = args.api_key or os.environ.get("VERACITY_API_KEY") or None
    return Detector(url, api_key=api_key, timeout=args.timeout)


def _jobs(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"give a whole number over 0, got {text!r}")
    return int(text)


def _layers(text: str) -> tuple[str, ...]:
    names, known = tuple(text.split(",")), get_args(LayerName)
    if not set(names) <= set(known):
        raise argparse.ArgumentTypeError(f"give some of {','.join(known)}, separated by commas; got {text!r}")
    return names


if __name__ == "__main__":
    sys.exit(main())
