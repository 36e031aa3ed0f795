"""``veracity``: analyze, serve, doctor, weights, sample."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from veracity import log
from veracity.layers import MODELS
from veracity.settings import Settings
from veracity_client import cli as client_cli
from veracity_client.errors import VeracityError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error of ours is one line on stderr."""
    args = _parser().parse_args(argv)
    try:
        command: Callable[[argparse.Namespace], int] = args.command
        return command(args)
    except VeracityError as error:
        sys.stderr.write(f"veracity: {error.to_wire()}\n")
        return client_cli.ERROR
    except KeyboardInterrupt:
        sys.stderr.write("veracity: interrupted\n")
        return client_cli.INTERRUPTED
    except BrokenPipeError:
        return client_cli.reader_gone()


def _parser() -> argparse.ArgumentParser:
    parser = client_cli.Parser(prog="veracity", description="Is this video fake?")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    client_cli.add_analyze(commands).set_defaults(command=_analyze)
    _add_serve(commands).set_defaults(command=_serve)
    _add_weights(commands)
    doctor = commands.add_parser("doctor", help="check everything the chosen profile needs; exit 1 if it cannot run")
    doctor.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    doctor.set_defaults(command=_doctor)
    sample = commands.add_parser("sample", help="make a sample clip: espeak-ng's voice over a moving photograph")
    sample.add_argument("file", type=Path)
    sample.set_defaults(command=_sample)
    return parser


def _add_serve(commands: argparse._SubParsersAction[Any]) -> argparse.ArgumentParser:
    formatter = argparse.ArgumentDefaultsHelpFormatter
    serve: argparse.ArgumentParser = commands.add_parser("serve", help="run the server", formatter_class=formatter)
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on")
    serve.add_argument("--http-port", type=int, default=8000, help="0 picks a free one")
    serve.add_argument("--grpc-port", type=int, default=8001, help="0 picks a free one")
    serve.add_argument("--metrics-port", type=int, default=8002, help="0 picks a free one")
    return serve


def _add_weights(commands: argparse._SubParsersAction[Any]) -> None:
    weights = commands.add_parser("weights", help="list, fetch or verify the files that models are made of")
    actions = weights.add_subparsers(required=True, metavar="ACTION")
    for name, command in (("list", _weights_list), ("fetch", _weights_fetch), ("verify", _weights_verify)):
        action = actions.add_parser(name)
        action.set_defaults(command=command)
        if name != "list":
            action.add_argument("names", nargs="*", metavar="NAME", help="files or models; none means all by default")
        if name == "fetch":
            action.add_argument("--from", dest="folder", type=Path, help="take the files from this folder instead")


def _analyze(args: argparse.Namespace) -> int:
    return client_cli.run_analyze(args, connect=_own_server)


@contextmanager
def _own_server() -> Iterator[str]:
    """Yield the address of a server: the one at the default port, else one of our own until we leave."""
    from veracity.server import Server
    from veracity_client import Detector

    with Detector(client_cli.DEFAULT_URL) as detector:
        if detector.ready():
            yield client_cli.DEFAULT_URL
            return
    settings = Settings.from_env()
    log.configure("warning")  # the person wants the verdict, and stdout is its alone
    sys.stderr.write(f"no server at {client_cli.DEFAULT_URL}: starting one of our own\n")
    with Server.from_settings(settings) as server:
        server.require("deepfake_detector")
        yield server.grpc_url


def _serve(args: argparse.Namespace) -> int:
    from veracity.server import serve

    return serve(
        Settings.from_env(),
        host=args.host,
        http_port=args.http_port,
        grpc_port=args.grpc_port,
        metrics_port=args.metrics_port,
    )


def _doctor(args: argparse.Namespace) -> int:
    from veracity import doctor

    findings = doctor.examine(Settings.from_env())
    sys.stdout.write(doctor.as_json(findings) if args.json else doctor.as_table(findings))
    return 1 if any(finding.fatal for finding in findings) else 0


def _sample(args: argparse.Namespace) -> int:
    from veracity.assets import PORTRAIT_FILE
    from veracity.media import find_ffmpeg
    from veracity.sample import make_sample

    settings = Settings.from_env()
    make_sample(args.file, settings.weights / PORTRAIT_FILE, find_ffmpeg(settings.ffmpeg))
    return 0


def _weights_list(_args: argparse.Namespace) -> int:
    from veracity import assets, weights

    target = Settings.from_env().weights
    for source in assets.ASSETS:
        state = weights.verify(source, target)
        sys.stdout.write(f"{source.name:32} {state:14} {source.size:>12,} B  {source.licence:12} {source.homepage}\n")
    return 0


def _weights_fetch(args: argparse.Namespace) -> int:
    from veracity import weights

    target = Settings.from_env().weights
    weights.fetch(weights.wanted(args.names, args.folder), target, from_dir=args.folder, progress=_say)
    for name in args.names:
        if name in MODELS:
            sys.stderr.write(f"now make the graph of it: python -m export {name}\n")
    return 0


def _weights_verify(args: argparse.Namespace) -> int:
    from veracity import weights

    target = Settings.from_env().weights
    states = [(source, weights.verify(source, target)) for source in weights.wanted(args.names)]
    for source, state in states:
        sys.stdout.write(f"{source.name}: {state}\n")
    return 0 if all(state == "ok" for _, state in states) else 1


def _say(source: object, what: str) -> None:
    if what != "here":
        sys.stderr.write(f"{getattr(source, 'name', source)}: {what}\n")


if __name__ == "__main__":
    sys.exit(main())
