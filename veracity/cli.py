"""``veracity``: every command adds itself, from the folder whose work it does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from veracity_client.console import Parser, run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error of ours is one line on standard error."""
    return run_command("veracity", lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    args = parser().parse_args(argv)
    command: Callable[..., int] = args.command
    return command(args)


def parser() -> Parser:
    """Return the parser of all commands. Imported here, so that a broken installation exits with 3 as well."""
    from veracity import __version__, optional_commands, sample, settings_command, verify_command
    from veracity.calibrate import command as calibrate
    from veracity.drift import command as drift
    from veracity.install import install_command, weights_command
    from veracity.install.doctor import command as doctor
    from veracity.releases import command as releases
    from veracity.server import commands as server

    made = Parser(prog="veracity", description="Is this video fake?")
    made.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    for add in (
        server.add_analyze,
        server.add_serve,
        optional_commands.add_gateway,
        optional_commands.add_bulk,
        server.add_ready,
        settings_command.add,
        calibrate.add,
        drift.add,
        releases.add,
        doctor.add,
        install_command.add,
        weights_command.add,
        sample.add,
        verify_command.add,
    ):
        add(commands)
    return made


if __name__ == "__main__":
    sys.exit(main())
