"""The command ``analyze`` with many files, interrupted, and with a server that the caller starts."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import COMMAND, documents, run

from veracity.server import Server
from veracity_client import cli
from veracity_client.console import Parser
from veracity_client.errors import ServerUnavailable

triton = pytest.mark.triton


@triton
def test_a_folder_and_a_pattern_are_analysed_in_order_several_at_a_time(doubles: Server, tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.mp4").write_text("fake" if number % 2 else "real")
    (tmp_path / "notes.txt").write_text("nothing")
    done = run("--json", "--jobs", "2", tmp_path, f"{tmp_path}/[01].mp4", url=doubles.grpc_url)
    assert done.returncode == 1
    assert [(Path(d["file"]).name, d.get("label")) for d in documents(done)] == [
        (f"{number}.mp4", "fake" if number % 2 else "real") for number in (*range(9), 0, 1)
    ]
    assert b"skipped 1 of 10 files" in done.stderr


@triton
def test_ctrl_c_is_one_line(doubles: Server, tmp_path: Path) -> None:
    gate, clip = tmp_path / "gate", tmp_path / "clip.mp4"
    os.mkfifo(clip)
    # a shell's background jobs, and so the tests in one, are born deaf to Ctrl-C
    command = ["env", "--default-signal=INT", *COMMAND, "--url", doubles.grpc_url, str(clip)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        with clip.open("wb") as pipe:  # opens when the command reads
            pipe.write(f"wait {gate}".encode())
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    gate.touch()
    assert (process.returncode, out, err) == (130, b"", b"veracity-client: interrupted\n")


@triton
def test_ctrl_c_ends_many_files_at_once(doubles: Server, tmp_path: Path) -> None:
    pipes = [tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "c.mp4"]
    for pipe in pipes:
        os.mkfifo(pipe)
    command = ["env", "--default-signal=INT", *COMMAND, "--jobs", "2", "--url", doubles.grpc_url, *map(str, pipes)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process,
        pipes[0].open("wb"),  # opens when the command reads it
        pipes[1].open("wb"),
    ):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"veracity-client: interrupted\n")


@triton
def test_a_hook_may_bring_the_server(doubles: Server, labelled_clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps: list[str] = []

    @contextmanager
    def connect() -> Iterator[str]:
        steps.append("start")
        yield doubles.grpc_url
        steps.append("stop")

    parser = Parser()
    cli.add_analyze(parser.add_subparsers())
    files = [str(labelled_clips / "fake"), str(labelled_clips / "real")]
    assert cli.run_analyze(parser.parse_args(["analyze", "--json", *files]), connect) == 1
    assert steps == ["start", "stop"]
    given = parser.parse_args(["analyze", "--json", "--url", doubles.grpc_url, *files])
    assert cli.run_analyze(given, connect) == 1
    assert steps == ["start", "stop"]
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_a_hook_that_fails_is_an_error_of_every_file(capsys: pytest.CaptureFixture[str]) -> None:
    @contextmanager
    def connect() -> Iterator[str]:
        raise ServerUnavailable("no tritonserver: pip install 'veracity[server]'")
        yield ""

    parser = Parser()
    cli.add_analyze(parser.add_subparsers())
    assert cli.run_analyze(parser.parse_args(["analyze", "--json", "a", "b"]), connect) == 3
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(d["file"], d["error"]["type"]) for d in lines] == [("a", "ServerUnavailable"), ("b", "ServerUnavailable")]
