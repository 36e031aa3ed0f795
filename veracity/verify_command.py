"""``veracity verify``: is a report what was signed, and is it about this file? Needs no network."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from veracity.report_files import require_gateway
from veracity_client.console import printable

EPILOG = """\
Every check is a line: ok, failed or not checked, and why.

Exit code: 0 nothing failed, 1 something was changed or does not match, 3 no report, or something cannot be read.
A report whose key was not given with --key may have been made by anybody."""


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command ``verify``."""
    parser = commands.add_parser(
        "verify",
        help="check a signed report of an analysis",
        description="Check a report as JSON, HTML or PDF, without a network.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("report", type=Path, metavar="REPORT")
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="the media file that it should be about")
    parser.add_argument("--key", metavar="PUBLIC", help="the signer's public key: a PEM file, or its id of 64 digits")
    parser.add_argument("--audit", type=Path, metavar="LOG", help="the audit log that it should be in")
    parser.add_argument("--tsa-ca", type=Path, metavar="PEM", help="the certificates of the time stamp's authority")
    parser.set_defaults(command=_verify)


def _verify(args: argparse.Namespace) -> int:
    require_gateway()
    from veracity_gateway.report.verify import Expected, verify

    checks = verify(args.report.read_bytes(), Expected(args.file, args.key, args.audit, args.tsa_ca))
    sys.stdout.writelines(f"{check.name}: {check.result}: {printable(check.why)}\n" for check in checks)
    return 1 if any(check.result == "failed" for check in checks) else 0
