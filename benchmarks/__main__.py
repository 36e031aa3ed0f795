"""``python -m benchmarks latency | throughput | models``."""

from __future__ import annotations

import argparse
import sys

from benchmarks import latency, models, throughput
from veracity import log
from veracity_client.errors import VeracityError

COMMANDS = {"latency": latency, "throughput": throughput, "models": models}


def main() -> int:
    """Run one benchmark and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="BENCHMARK")
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    args = parser.parse_args()
    log.configure("warning")  # the figures are what is wanted
    try:
        code: int = args.run(args)
        return code
    except VeracityError as error:
        sys.stderr.write(f"benchmarks: {error.to_wire()}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
