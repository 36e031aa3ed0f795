"""A crash never looks like a verdict: Python's own exit code for it is 1, which says fake."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

QUIET = ["-W", "error", "-W", "ignore:Type google._upb:DeprecationWarning"]  # protobuf 4 on Python 3.12
COMMANDS = {
    "client": ["veracity_client.cli", "analyze", "--json", "absent.mp4", "--url", "localhost:1"],
    "client help": ["veracity_client.cli", "--help"],
    "weights": ["veracity.cli", "weights", "list"],
    "help": ["veracity.cli", "analyze", "--help"],
}


def shell(line: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell line in which "$@" is the command."""
    command = ["sh", "-c", line, "sh", sys.executable, *QUIET, *arguments]
    variables = {**os.environ, "PYTHONUNBUFFERED": "", **environment}  # argparse itself hides what fails unbuffered
    return subprocess.run(command, capture_output=True, text=True, errors="replace", env=variables, check=False)


def crash(statement: str) -> list[str]:
    code = "import sys; from veracity_client.console import run_command\ndef command():\n    "
    return ["-c", f"{code}{statement}\nsys.exit(run_command('veracity', command))"]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('"$@" >/dev/full', "No space left on device"),
        ('"$@" >&-', "standard output is closed"),
        ('"$@" >/dev/full 2>/dev/full', ""),
        ('"$@" >&- 2>&-', ""),
        ('"$@" >&- 2>&- <&-', ""),
    ],
)
def test_output_that_cannot_be_written_is_an_error(name: str, line: str, said: str) -> None:
    done = shell(line, "-m", *COMMANDS[name])
    assert done.returncode == 3, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("raise RuntimeError('what nobody thought of')", "RuntimeError: what nobody thought of"),
        ("import no_such_module", "no_such_module"),
        ("raise MemoryError", "MemoryError"),
        ("sys.exit('in words')", ""),
        ("raise FileNotFoundError(2, 'No such file', 'settings.toml')", "settings.toml"),
    ],
)
def test_whatever_goes_wrong_exits_with_3(statement: str, said: str) -> None:
    done = shell('"$@"', *crash(statement))
    assert done.returncode == 3
    assert said in done.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "ascii:strict", "utf-8"])
def test_any_text_is_printed_in_any_encoding(encoding: str) -> None:
    done = shell(
        '"$@"',
        *crash("sys.stdout.write('M\\u00fcller \\u2013 \\u4f60 \\udcff\\n'); return 0"),
        PYTHONIOENCODING=encoding,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_dashes_stay_dashes_where_an_encoding_lacks_the_long_ones() -> None:
    done = shell('"$@"', *crash("print('1 \\u2013 2\\u2026 \\u4f60'); return 0"), PYTHONIOENCODING="ascii")
    assert done.stdout == "1 - 2... ?\n"


def test_nothing_is_printed_into_a_file_that_took_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    target = tmp_path / "target"
    done = shell('"$@" 2>&-', *crash(f"open({str(target)!r}, 'w').close(); sys.stderr.write('lost'); return 0"))
    assert done.returncode == 0
    assert target.read_text() == ""
