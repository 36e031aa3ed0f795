"""``python -m benchmarks COMMAND``: how fast, how right, how it bears faults; and the documents' figures."""

from __future__ import annotations

import argparse
import importlib
import sys

from veracity import log
from veracity_client.errors import VeracityError

COMMANDS = (
    "latency", "throughput", "cold", "decode", "layers", "sweep", "peers", "long", "gpu", "proxy", "models",
    "accuracy", "robustness",
    "concurrency", "heal", "overload", "memory", "soak", "hostile", "gateway", "cluster", "bulk", "capacity",
    "figures",
)  # fmt: skip
INTERRUPTED = 130  # as of a program that SIGINT ended


def main(arguments: list[str] | None = None) -> int:
    """Run one benchmark and return its exit code."""
    from veracity.calibrate.errors import ManifestError

    args = _parser().parse_args(arguments)
    log.configure("warning")  # keep the output to the figures
    try:
        code: int = args.run(args)
        return code
    except VeracityError as error:
        return _refused(error.to_wire())
    except (ManifestError, OSError) as error:
        return _refused(str(error))
    except KeyboardInterrupt:
        sys.stderr.write("benchmarks: interrupted; what accuracy and robustness have analysed is kept\n")
        return INTERRUPTED


def _refused(why: str) -> int:
    """Say it in one line, whatever a library made of it."""
    sys.stderr.write(f"benchmarks: {' '.join(why.split())}\n")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="BENCHMARK")
    for name in COMMANDS:
        module = importlib.import_module(f"benchmarks.{name}")
        command = commands.add_parser(name, help=module.__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
