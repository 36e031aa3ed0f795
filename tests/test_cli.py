"""The command ``analyze``: in a process of its own where streams and signals count, in ours to hand in a hook."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import canned
import pytest

from veracity.server import Server
from veracity_client import cli
from veracity_client.card import printable
from veracity_client.errors import ServerUnavailable
from veracity_client.verdict import Verdict

triton = pytest.mark.triton
QUIET = ["-W", "error", "-W", "ignore:Type google._upb:DeprecationWarning"]  # protobuf 4 on Python 3.12
COMMAND = [sys.executable, *QUIET, "-m", "veracity_client.cli", "analyze"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("double")
    canned.install(repository)
    with Server(repository, canary_seconds=3600.0) as running:
        yield running


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for label in ("real", "fake", "inconclusive", "error BadVideo: no moov atom"):
        (folder / label.partition(" ")[0]).write_text(label)
    return folder


def run(*arguments: Any, url: str | None = None, stdin: bytes = b"", **environment: str) -> Any:
    command = [*COMMAND, *(["--url", url] if url else []), *arguments]
    variables = {**os.environ, "COLUMNS": "200", **environment}
    return subprocess.run(command, input=stdin, capture_output=True, env=variables, check=False)


def documents(done: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.decode("ascii").splitlines()]


@triton
@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["real"], 0),
        (["fake"], 1),
        (["inconclusive"], 2),
        (["error"], 3),
        (["fake", "real"], 1),
        (["real", "error", "inconclusive"], 3),
    ],
)
def test_the_exit_code_is_the_highest(server: Server, clips: Path, names: list[str], code: int) -> None:
    done = run(*(clips / name for name in names), url=server.grpc_url)
    assert done.returncode == code, done.stderr


@triton
@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_json_is_one_document_a_file_in_order_and_nothing_else(server: Server, clips: Path, transport: str) -> None:
    names = [str(clips / name) for name in ("fake", "error", "absent", "real")]
    done = run("--json", *names, url=f"{transport}://{server.grpc_url if transport == 'grpc' else server.http_url}")
    assert done.returncode == 3
    assert done.stderr == b""
    fake, error, absent, real = found = documents(done)
    assert [document["file"] for document in found] == names
    assert (fake["label"], real["label"]) == ("fake", "real")
    verdict = Verdict.from_json(json.dumps(fake))
    assert verdict.layer_results == canned.VERDICT.layer_results
    assert error["error"]["type"] == "BadVideo"
    assert error["error"]["message"].startswith("no moov atom")
    assert set(absent) == {"file", "error"}
    assert absent["error"]["type"] == "BadVideo"
    assert "No such file" in absent["error"]["message"]


@triton
def test_a_folder_and_a_pattern_are_analysed_in_order_several_at_a_time(server: Server, tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.mp4").write_text("fake" if number % 2 else "real")
    (tmp_path / "notes.txt").write_text("nothing")
    done = run("--json", "--jobs", "2", tmp_path, f"{tmp_path}/[01].mp4", url=server.grpc_url)
    assert done.returncode == 1
    assert [(Path(d["file"]).name, d.get("label")) for d in documents(done)] == [
        (f"{number}.mp4", "fake" if number % 2 else "real") for number in (*range(9), 0, 1)
    ]
    assert b"skipped 1 of 10 files" in done.stderr


@triton
@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_the_card_prints_in_any_encoding(server: Server, clips: Path, encoding: str) -> None:
    done = run(clips / "fake", url=server.grpc_url, PYTHONIOENCODING=encoding)
    assert done.returncode == 1, done.stderr
    assert done.stderr == b""
    assert b"FAKE" in done.stdout


@triton
def test_standard_input(server: Server) -> None:
    done = run("--json", "-", url=server.grpc_url, stdin=b"inconclusive")
    assert done.returncode == 2
    assert documents(done)[0]["file"] == "-"
    assert documents(done)[0]["input"]["bytes"] == len(b"inconclusive")


@triton
def test_options_reach_the_server(server: Server, clips: Path) -> None:
    options = ["--policy", "decided", "--layers", "semantic,audio", "--audio-track", "2", "--timeout", "50"]
    done = run("--json", *options, clips / "real", url=server.grpc_url)
    asked = json.loads(documents(done)[0]["reasoning"])["options"]
    assert 0 < asked.pop("deadline_seconds") <= 50
    assert asked == {"policy": "decided", "layers": ["semantic", "audio"], "audio_track": 2}


ODD = [
    b"two\nlines.mp4",
    b'it\'s "quoted".mp4',
    b"[bold]markup[red].mp4",
    b"\xff\xfe.mp4",
    b"\x1b[2J.mp4",
    b":smile:.mp4",
]


@triton
@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_an_odd_name_breaks_nothing(server: Server, tmp_path: Path, name: bytes) -> None:
    path = os.fsencode(tmp_path) + b"/" + name
    Path(os.fsdecode(path)).write_text("real")
    plain, listed = run(path, url=server.grpc_url), run("--json", path, path + b".absent", url=server.grpc_url)
    assert plain.returncode == 0, plain.stderr
    assert b"\x1b[2J" not in plain.stdout
    assert printable(os.fsdecode(name)) in plain.stdout.decode()
    assert [os.fsencode(d["file"]) for d in documents(listed)] == [path, path + b".absent"]
    missing = run(path + b".absent", url=server.grpc_url)
    assert missing.returncode == 3
    assert len(missing.stderr.splitlines()) == 1
    assert b"BadVideo" in missing.stderr


def test_nobody_answers() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        done = run("--json", __file__, __file__, url=f"127.0.0.1:{bound.getsockname()[1]}")
    assert done.returncode == 3
    assert [d["error"]["type"] for d in documents(done)] == ["ServerUnavailable"] * 2


@pytest.mark.parametrize(
    "wrong",
    [
        ["--policy", "never"],
        ["--layers", "mouth"],
        ["--layers", ""],
        ["--audio-track", "x"],
        ["--jobs", "0"],
        ["--what"],
        [],
    ],
)
def test_a_wrong_command_line_is_an_error_and_not_inconclusive(wrong: list[str]) -> None:
    done = run(*wrong, *(["clip.mp4"] if wrong else []))
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.startswith(b"usage:")


def test_a_wrong_option_is_said_of_every_file() -> None:
    done = run("--json", "--audio-track", "-1", "a", "b")
    assert done.returncode == 3
    assert [(d["file"], d["error"]["type"]) for d in documents(done)] == [("a", "BadOption"), ("b", "BadOption")]


@triton
def test_ctrl_c_is_one_line(server: Server, tmp_path: Path) -> None:
    gate, clip = tmp_path / "gate", tmp_path / "clip.mp4"
    os.mkfifo(clip)
    # a shell's background jobs, and so the tests in one, are born deaf to Ctrl-C
    command = ["env", "--default-signal=INT", *COMMAND, "--url", server.grpc_url, str(clip)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        with clip.open("wb") as pipe:  # opens when the command reads
            pipe.write(f"wait {gate}".encode())
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    gate.touch()
    assert (process.returncode, out, err) == (130, b"", b"veracity-client: interrupted\n")


@triton
def test_ctrl_c_ends_many_files_at_once(server: Server, tmp_path: Path) -> None:
    pipes = [tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "c.mp4"]
    for pipe in pipes:
        os.mkfifo(pipe)
    command = ["env", "--default-signal=INT", *COMMAND, "--jobs", "2", "--url", server.grpc_url, *map(str, pipes)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process,
        pipes[0].open("wb"),  # opens when the command reads it
        pipes[1].open("wb"),
    ):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"veracity-client: interrupted\n")


@triton
def test_progress_is_for_a_terminal_alone(server: Server, clips: Path) -> None:
    assert run(clips / "real", url=server.grpc_url).stderr == b""
    seen = _in_a_terminal([*COMMAND, "--url", server.grpc_url, str(clips / "real")])
    assert "1_audio" in seen


def _in_a_terminal(command: list[str]) -> str:
    """Return what a command writes to standard error when that is a terminal."""
    ours, theirs = os.openpty()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        written = b""
        while chunk := _read(ours):
            written += chunk
    os.close(ours)
    assert process.returncode == 0
    return written.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other side is closed
        return b""


@triton
def test_a_hook_may_bring_the_server(server: Server, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = []

    @contextmanager
    def connect() -> Iterator[str]:
        steps.append("start")
        yield server.grpc_url
        steps.append("stop")

    parser = cli.Parser()
    cli.add_analyze(parser.add_subparsers())
    files = [str(clips / "fake"), str(clips / "real")]
    assert cli.run_analyze(parser.parse_args(["analyze", "--json", *files]), connect) == 1
    assert steps == ["start", "stop"]
    given = parser.parse_args(["analyze", "--json", "--url", server.grpc_url, *files])
    assert cli.run_analyze(given, connect) == 1
    assert steps == ["start", "stop"]
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_a_hook_that_fails_is_an_error_of_every_file(capsys: pytest.CaptureFixture[str]) -> None:
    @contextmanager
    def connect() -> Iterator[str]:
        raise ServerUnavailable("no tritonserver: pip install 'veracity[server]'")
        yield ""

    parser = cli.Parser()
    cli.add_analyze(parser.add_subparsers())
    assert cli.run_analyze(parser.parse_args(["analyze", "--json", "a", "b"]), connect) == 3
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(d["file"], d["error"]["type"]) for d in lines] == [("a", "ServerUnavailable"), ("b", "ServerUnavailable")]


def test_help_hides_the_key_and_says_the_form() -> None:
    done = run("--help", VERACITY_API_KEY="s3cret")
    assert b"s3cret" not in done.stdout
    assert b'{"file": NAME' in done.stdout
