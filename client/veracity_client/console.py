"""What every command line of ours shares: exit codes, the parser, and an exit code for whatever goes wrong."""

from __future__ import annotations

import argparse
import codecs
import contextlib
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn, TextIO

from veracity_client.errors import VeracityError

EXIT_CODES = {False: 0, True: 1, None: 2}  # by ``final_verdict``: real, fake, inconclusive
ERROR = 3
INTERRUPTED = 130
PLAIN = {"–": "-", "—": "-", "…": "...", "’": "'", "“": '"', "”": '"', "×": "x", "≥": ">=", "≤": "<="}


def printable(text: str) -> str:
    """Return ``text`` on one line, with escapes for what could not be seen, and for what a terminal would obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Parser(argparse.ArgumentParser):
    """A wrong command line exits with 3, since 2 says inconclusive. Parsers of sub-commands inherit this."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how it is used, and leave."""
        self.print_usage(sys.stderr)
        self.exit(ERROR, f"{self.prog}: error: {message}\n")


def run_command(program: str, command: Callable[[], int]) -> int:
    """Run ``command`` and return its exit code; whatever goes wrong is said on standard error and exits with 3.

    Python's own exit code for a crash is 1, which says *fake* here. Characters that the output cannot encode become
    plain ones or question marks.
    """
    if not _streams_are_usable():
        _say(f"{program}: standard output is closed")
        return ERROR
    try:
        code = _exit_code(command)
        sys.stdout.flush()
    except VeracityError as error:
        return _say(f"{program}: {error.to_wire()}")
    except KeyboardInterrupt:
        _say(f"{program}: interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # who read our output stopped reading, as ``head`` does
        return ERROR
    except OSError as error:
        return _say(f"{program}: {error}")
    except Exception:
        return _say(f"{traceback.format_exc()}{program}: this is a fault in the program, please report it")
    finally:
        _let_go_of_output()
    return code


def _exit_code(command: Callable[[], int]) -> int:
    try:
        return command()
    except SystemExit as leaving:  # argparse, after --help or a wrong command line
        return leaving.code if isinstance(leaving.code, int) else 0 if leaving.code is None else ERROR


def _say(line: str) -> int:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    return ERROR


def _streams_are_usable() -> bool:
    """Make both streams print any text. Return whether there is a standard output; a closed error stream is replaced.

    The numbers of closed streams are taken, so that no file or socket that is opened later is printed into.
    """
    while (taken := os.open(os.devnull, os.O_RDWR)) <= 2:  # standard error's number
        os.set_inheritable(taken, True)
    os.close(taken)
    sys.stderr = sys.stderr or _devnull()
    codecs.register_error("veracity.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="veracity.plain")
    return sys.stdout is not None


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replace what an encoding lacks; a handler for :mod:`codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(character, "?") for character in error.object[error.start : error.end]), error.end


def _devnull() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - open until the process ends


def _let_go_of_output() -> None:
    """Drop what cannot be written: the interpreter flushes once more at exit, and would exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
