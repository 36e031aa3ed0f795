"""``veracity analyze``, ``serve`` and ``ready``. What is slow to import is imported by the command that needs it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from veracity import report_files
from veracity.install.install_command import before_serving
from veracity.settings_command import SettingsHelp
from veracity_client import cli as client_cli

Commands = argparse._SubParsersAction  # what add_subparsers() returns; argparse has no public name for it


def add_analyze(commands: Commands[Any]) -> None:
    """Add ``analyze``: the client's command, with a server of our own where none answers."""
    parser = client_cli.add_analyze(commands)
    report_files.add_options(parser)
    parser.set_defaults(command=_analyze)


def add_serve(commands: Commands[Any]) -> None:
    """Add ``serve``."""
    formatter = argparse.RawDescriptionHelpFormatter
    serve = commands.add_parser("serve", help="run the server", formatter_class=formatter, add_help=False)
    serve.add_argument("-h", "--help", action=SettingsHelp, help="show this help and every setting")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    for name, port in (("http", 8000), ("grpc", 8001), ("metrics", 8002), ("health", 8003)):
        text = "0 picks a free one (default: %(default)s)"
        serve.add_argument(f"--{name}-port", type=int, default=port, metavar="PORT", help=text)
    serve.add_argument("--insecure", action="store_true", help="let other machines in without API keys")
    for name, text in (
        ("cert", "the server's certificate"),
        ("key", "its key"),
        ("client-ca", "who signs the clients'"),
    ):
        serve.add_argument(f"--tls-{name}", type=Path, metavar="PEM", help=text)
    serve.add_argument(
        "--drain-seconds", type=float, metavar="S", help="what requests in flight get at a stop (default: the setting)"
    )
    serve.set_defaults(command=_serve)


def add_ready(commands: Commands[Any]) -> None:
    """Add ``ready``."""
    text = "send each model of a running server a request; exit 1, with a line per fault, if one does not answer"
    ready = commands.add_parser("ready", help=text)
    ready.add_argument("url", nargs="?", default=client_cli.DEFAULT_URL, help="its gRPC address (default: %(default)s)")
    ready.add_argument(
        "--timeout", type=float, default=10.0, metavar="S", help="seconds per model (default: %(default)s)"
    )
    ready.set_defaults(command=_ready)


def _analyze(args: argparse.Namespace) -> int:
    return client_cli.run_analyze(args, connect=own_server, wrap=report_files.writer(args))


@contextmanager
def own_server() -> Iterator[str]:
    """Yield the address of a server: the one at the default port, else one that runs until the command ends."""
    from veracity import log
    from veracity.server import Server
    from veracity.server.proxy.access import Access
    from veracity.settings import Settings
    from veracity_client import Detector

    with Detector(client_cli.DEFAULT_URL) as detector:
        if detector.ready():
            yield client_cli.DEFAULT_URL
            return
    settings = Settings.from_env()
    before_serving(settings)
    log.configure("warning")  # only the verdict matters here, and it alone goes to standard output
    sys.stderr.write(f"no server at {client_cli.DEFAULT_URL}: starting one for this command\n")
    with Server.from_settings(settings, access=Access()) as server:  # for this command, which has no key
        server.require("deepfake_detector")
        yield server.grpc_url


def _serve(args: argparse.Namespace) -> int:
    from veracity.server import serve
    from veracity.settings import Settings

    names = ("insecure", "tls_cert", "tls_key", "tls_client_ca", "drain_seconds")
    given = {name: value for name in names if (value := getattr(args, name)) is not None and value is not False}
    settings = Settings.from_env().replace(**given)
    before_serving(settings)
    return serve(
        settings,
        host=args.host,
        http_port=args.http_port,
        grpc_port=args.grpc_port,
        metrics_port=args.metrics_port,
        health_port=args.health_port,
    )


def _ready(args: argparse.Namespace) -> int:
    from veracity.server import readiness
    from veracity.settings import Settings

    who = "every model" if readiness.own_run(args.url) else "both detectors"
    api_key = os.environ.get("VERACITY_API_KEY") or None
    found = list(readiness.faults(Settings.from_env(), args.url, args.timeout, api_key))
    sys.stdout.write("".join(f"{fault}\n" for fault in found or [f"ready: {who} answered"]))
    return 1 if found else 0
