"""``veracity``: analyze, serve, ready, doctor, weights, sample."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from veracity import log
from veracity.install import command as weights_command
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
    weights_command.add(commands)
    doctor = commands.add_parser("doctor", help="check everything the chosen profile needs; exit 1 if it cannot run")
    doctor.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    doctor.set_defaults(command=_doctor)
    _add_ready(commands).set_defaults(command=_ready)
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


def _add_ready(commands: argparse._SubParsersAction[Any]) -> argparse.ArgumentParser:
    text = "ask every model of a running server; exit 1, with a line a fault, if one does not answer"
    readiness: argparse.ArgumentParser = commands.add_parser("ready", help=text)
    readiness.add_argument(
        "url", nargs="?", default=client_cli.DEFAULT_URL, help="its gRPC address (default: %(default)s)"
    )
    readiness.add_argument(
        "--timeout", type=float, default=10.0, metavar="S", help="seconds a model (default: %(default)s)"
    )
    return readiness


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
    from veracity.install import doctor

    findings = doctor.examine(Settings.from_env())
    sys.stdout.write(doctor.as_json(findings) if args.json else doctor.as_table(findings))
    return 1 if any(finding.fatal for finding in findings) else 0


def _ready(args: argparse.Namespace) -> int:
    from veracity.server import readiness

    found = list(readiness.faults(Settings.from_env(), args.url, args.timeout))
    sys.stdout.write("".join(f"{fault}\n" for fault in found or ["ready: every model answered"]))
    return 1 if found else 0


def _sample(args: argparse.Namespace) -> int:
    from veracity.catalog.assets import PORTRAIT_FILE
    from veracity.media import find_ffmpeg
    from veracity.sample import make_sample

    settings = Settings.from_env()
    make_sample(args.file, settings.weights / PORTRAIT_FILE, find_ffmpeg(settings.ffmpeg))
    return 0


if __name__ == "__main__":
    sys.exit(main())
