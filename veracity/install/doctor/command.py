"""``veracity doctor``."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command ``doctor``."""
    parser = commands.add_parser("doctor", help="check everything the chosen profile needs; exit 1 if it cannot run")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.add_argument("--profile", help="examine this one (default: VERACITY_PROFILE)")
    parser.add_argument(
        "--gpu-memory", nargs="+", default=[], metavar="SIZE", help="say whether the models fit: 24G, 20GiB, …"
    )
    parser.add_argument(
        "--memory", nargs="+", default=[], metavar="SIZE", help="the same for a machine where they run on the CPU"
    )
    parser.set_defaults(command=_doctor)


def _doctor(args: argparse.Namespace) -> int:
    from veracity.install import doctor
    from veracity.settings import Settings, read_size

    settings = Settings.from_env()
    if args.profile:
        settings = settings.replace(profile=args.profile)
    gpu_memory, memory = ([read_size(text) for text in sizes] for sizes in (args.gpu_memory, args.memory))
    findings = doctor.examine(settings, gpu_memory=gpu_memory, memory=memory)
    sys.stdout.write(doctor.as_json(findings) if args.json else doctor.as_table(findings))
    return 1 if any(finding.fatal for finding in findings) else 0
