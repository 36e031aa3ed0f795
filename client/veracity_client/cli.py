"""``veracity-client analyze``: videos in, verdicts out, for a person or, with ``--json``, for a program."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from typing import TYPE_CHECKING, Any, get_args

from veracity_client._version import __version__
from veracity_client.client import Detector
from veracity_client.console import ERROR, EXIT_CODES, Parser, run_command
from veracity_client.errors import BadVideo, VeracityError
from veracity_client.inputs import STANDARD_INPUT, expand
from veracity_client.ordered import ordered_map
from veracity_client.verdict import LayerName, OperatingPoint, Options, Policy, Verdict

if TYPE_CHECKING:
    from veracity_client.card import Screen

DEFAULT_URL = "localhost:8001"

Connect = Callable[[], AbstractContextManager[str]]
"""Gives a server where no ``--url`` was given: a context manager that yields its url and may stop it afterwards."""

JOBS = 4  # as many videos as a server analyses at the same time, unless it is set up otherwise

DESCRIPTION = "Say of each video whether it is fake."
EPILOG = """\
A FILE may be a folder, whose media files are analysed with those of all folders below it, or a quoted pattern like
'clips/*.mp4' or 'clips/**/*.mov'. What was skipped in a folder is said on standard error.

Exit code: 0 real, 1 fake, 2 inconclusive, 3 error, 130 interrupted; with several files the highest of theirs.
With --json each file gives one line, in the order given: {"file": NAME, ...the verdict...} or
{"file": NAME, "error": {"type": ..., "message": ...}}; nothing else goes to standard output."""


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
    parser.add_argument("--policy", choices=get_args(Policy), default="fail_fast", help="when to stop early")
    parser.add_argument("--operating-point", choices=get_args(OperatingPoint), default="balanced",
                        help="how often a word may be wrong: 1, 5 or 10 %%")  # fmt: skip
    parser.add_argument("--layers", type=_layers, metavar="NAME,…", help=f"some of {','.join(get_args(LayerName))}")
    parser.add_argument("--audio-track", type=int, metavar="N", help="which sound track, from 0; else chosen")
    parser.add_argument("--video-track", type=int, metavar="N", help="which video track, from 0; else chosen")
    parser.add_argument(
        "--url",
        action="append",
        help=f"grpc://, grpcs://, http:// or https:// HOST:PORT (default: {DEFAULT_URL}); may be given for each server",
    )
    parser.add_argument("--api-key", metavar="KEY", help="better given as VERACITY_API_KEY: others see command lines")
    parser.add_argument("--timeout", type=float, metavar="S", help="seconds for one file")
    parser.add_argument("--jobs", type=_jobs, default=JOBS, metavar="N", help=f"files at a time (default: {JOBS})")
    return parser


def run_analyze(args: argparse.Namespace, connect: Connect | None = None) -> int:
    """Analyse the files, ``args.jobs`` at a time, and report in the order given; return the highest exit code.

    A file is read when its turn comes. ``connect`` is called once where no ``--url`` was given. KeyboardInterrupt goes
    through.
    """
    report = _Json() if args.json else _screen()
    names, notes = expand(args.files)
    for note in notes:
        sys.stderr.write(f"{note}\n")
    try:
        options = _options(args)
        server: AbstractContextManager[str | list[str]]
        server = connect() if connect and args.url is None else nullcontext(args.url or DEFAULT_URL)
        with server as url, _detector(url, args) as detector:
            watch = report.watch if min(args.jobs, len(names)) == 1 else _analyze

            def analyze(name: str) -> Verdict | VeracityError:
                try:
                    return watch(name, detector, _open(name), options)
                except VeracityError as error:
                    return error

            with closing(ordered_map(analyze, names, args.jobs)) as results:
                return max(_report(report, name, result) for name, result in zip(names, results))
    except VeracityError as error:  # of the whole run: a bad option, or no server could be started
        for name in names:
            report.error(name, error)
        return ERROR


def _open(name: str) -> Any:
    if name != STANDARD_INPUT:
        return name
    try:  # not sys.stdin, whose lock a thread that still reads would hold when the process ends
        return os.fdopen(os.dup(0), "rb")
    except OSError as error:
        raise BadVideo(f"cannot read standard input: {error.strerror}") from None


def _analyze(_name: str, detector: Detector, video: Any, options: Options) -> Verdict:
    return detector.analyze(video, options)


def _report(report: _Json | Screen, name: str, result: Verdict | VeracityError) -> int:
    if isinstance(result, VeracityError):
        report.error(name, result)
        return ERROR
    report.verdict(name, result)
    return EXIT_CODES[result.final_verdict]


class _Json:
    """One document a line; ASCII, so that a name that is no UTF-8 comes back from it byte for byte."""

    def watch(self, name: str, detector: Detector, video: Any, options: Options) -> Verdict:
        return _analyze(name, detector, video, options)

    def verdict(self, name: str, verdict: Verdict) -> None:
        self._line({"file": name, **verdict.to_dict()})

    def error(self, name: str, error: VeracityError) -> None:
        self._line({"file": name, "error": error.to_dict()})

    def _line(self, document: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()


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


def _options(args: argparse.Namespace) -> Options:
    chosen: dict[str, Any] = {"layers": args.layers} if args.layers else {}
    chosen |= {name: getattr(args, name) for name in ("policy", "operating_point", "audio_track", "video_track")}
    return Options(**chosen)


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
