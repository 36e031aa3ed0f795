"""``veracity-client analyze``: videos in, verdicts out, for a person or, with ``--json``, for a program."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, get_args

from veracity_client._version import __version__
from veracity_client.client import Detector
from veracity_client.console import ERROR, EXIT_CODES, Parser, run_command
from veracity_client.errors import VeracityError
from veracity_client.verdict import LayerName, Options, Policy, Verdict

if TYPE_CHECKING:
    from veracity_client.card import Screen

DEFAULT_URL = "localhost:8001"

Connect = Callable[[], AbstractContextManager[str]]
"""Gives a server where no ``--url`` was given: a context manager that yields its url and may stop it afterwards."""

DESCRIPTION = "Say of each video whether it is fake."
EPILOG = """\
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
    parser.add_argument("files", nargs="+", metavar="FILE", help="a video or sound file; - is standard input")
    parser.add_argument("--json", action="store_true", help="print one JSON document a line and file")
    parser.add_argument("--policy", choices=get_args(Policy), default="fail_fast", help="when to stop early")
    parser.add_argument("--layers", type=_layers, metavar="NAME,…", help=f"some of {','.join(get_args(LayerName))}")
    parser.add_argument("--audio-track", type=int, metavar="N", help="which sound track, from 0; else chosen")
    parser.add_argument("--video-track", type=int, metavar="N", help="which video track, from 0; else chosen")
    parser.add_argument("--url", help=f"grpc://, grpcs://, http:// or https:// HOST:PORT (default: {DEFAULT_URL})")
    parser.add_argument("--api-key", metavar="KEY", help="better given as VERACITY_API_KEY: others see command lines")
    parser.add_argument("--timeout", type=float, metavar="S", help="seconds for one file")
    return parser


def run_analyze(args: argparse.Namespace, connect: Connect | None = None) -> int:
    """Analyse the files one after another; return the highest of their exit codes.

    ``connect`` is called once where no ``--url`` was given. KeyboardInterrupt goes through.
    """
    report = _Json() if args.json else _screen()
    try:
        options = _options(args)
        server = connect() if connect and args.url is None else nullcontext(args.url or DEFAULT_URL)
        with server as url, _detector(url, args) as detector:
            return max(_analyze(name, detector, options, report) for name in args.files)
    except VeracityError as error:  # of the whole run: a bad option, or no server could be started
        for name in args.files:
            report.error(name, error)
        return ERROR


def _analyze(name: str, detector: Detector, options: Options, report: _Json | Screen) -> int:
    video: Any = sys.stdin.buffer if name == "-" else name
    try:
        verdict = report.watch(name, detector, video, options)
    except VeracityError as error:
        report.error(name, error)
        return ERROR
    report.verdict(name, verdict)
    return EXIT_CODES[verdict.label]


class _Json:
    """One document a line; ASCII, so that a name that is no UTF-8 comes back from it byte for byte."""

    def watch(self, _name: str, detector: Detector, video: Any, options: Options) -> Verdict:
        return detector.analyze(video, options)

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
        sys.stderr.write(f"{error.name} is missing: pip install 'veracity-client[cli]', or ask with --json\n")
        raise SystemExit(ERROR) from None
    return Screen()


def _detector(url: str, args: argparse.Namespace) -> Detector:
    api_key = args.api_key or os.environ.get("VERACITY_API_KEY") or None
    return Detector(url, api_key=api_key, timeout=args.timeout)


def _options(args: argparse.Namespace) -> Options:
    chosen: dict[str, Any] = {"layers": args.layers} if args.layers else {}
    return Options(policy=args.policy, audio_track=args.audio_track, video_track=args.video_track, **chosen)


def _layers(text: str) -> tuple[str, ...]:
    names, known = tuple(text.split(",")), get_args(LayerName)
    if not set(names) <= set(known):
        raise argparse.ArgumentTypeError(f"give some of {','.join(known)}, separated by commas; got {text!r}")
    return names


if __name__ == "__main__":
    sys.exit(main())
