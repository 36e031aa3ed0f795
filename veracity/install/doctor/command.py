"""``veracity doctor``."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command ``doctor``."""
    parser = commands.add_parser("doctor", help="check everything the chosen profile needs; exit 1 if it cannot run")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.set_defaults(command=_doctor)


def _doctor(args: argparse.Namespace) -> int:
    from veracity.install import doctor
    from veracity.settings import Settings

    findings = doctor.examine(Settings.from_env())
    sys.stdout.write(doctor.as_json(findings) if args.json else doctor.as_table(findings))
    return 1 if any(finding.fatal for finding in findings) else 0
