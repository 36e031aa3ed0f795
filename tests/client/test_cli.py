"""The command ``analyze``: in a process of its own where streams and signals count, in ours to hand in a hook."""

import json
import os
import socket
from pathlib import Path

import canned
import pytest
from command_line import documents, in_a_terminal, run

from veracity.server import Server
from veracity_client.console import printable
from veracity_client.verdict import Verdict

triton = pytest.mark.triton


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
def test_the_exit_code_is_the_highest(doubles: Server, labelled_clips: Path, names: list[str], code: int) -> None:
    done = run(*(labelled_clips / name for name in names), url=doubles.grpc_url)
    assert done.returncode == code, done.stderr


@triton
@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_json_is_one_document_a_file_in_order_and_nothing_else(
    doubles: Server, labelled_clips: Path, transport: str
) -> None:
    names = [str(labelled_clips / name) for name in ("fake", "error", "absent", "real")]
    done = run("--json", *names, url=f"{transport}://{doubles.grpc_url if transport == 'grpc' else doubles.http_url}")
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
@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_the_card_prints_in_any_encoding(doubles: Server, labelled_clips: Path, encoding: str) -> None:
    done = run(labelled_clips / "fake", url=doubles.grpc_url, PYTHONIOENCODING=encoding)
    assert done.returncode == 1, done.stderr
    assert done.stderr == b""
    assert b"FAKE" in done.stdout


@triton
def test_standard_input(doubles: Server) -> None:
    done = run("--json", "-", url=doubles.grpc_url, stdin=b"inconclusive")
    assert done.returncode == 2
    assert documents(done)[0]["file"] == "-"
    assert documents(done)[0]["input"]["bytes"] == len(b"inconclusive")


@triton
def test_options_reach_the_server(doubles: Server, labelled_clips: Path) -> None:
    options = [
        "--policy",
        "decided",
        "--layers",
        "semantic,audio",
        "--audio-track",
        "2",
        "--explain",
        "--priority",
        "bulk",
        "--timeout",
        "50",
    ]
    done = run("--json", *options, labelled_clips / "real", url=doubles.grpc_url)
    asked = json.loads(documents(done)[0]["reasoning"])["options"]
    assert 0 < asked.pop("deadline_seconds") <= 50
    chosen = {"policy": "decided", "layers": ["semantic", "audio"], "audio_track": 2, "explain": True}
    assert asked == chosen | {"priority": "bulk"}


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
def test_an_odd_name_breaks_nothing(doubles: Server, tmp_path: Path, name: bytes) -> None:
    path = os.fsencode(tmp_path) + b"/" + name
    Path(os.fsdecode(path)).write_text("real")
    plain, listed = run(path, url=doubles.grpc_url), run("--json", path, path + b".absent", url=doubles.grpc_url)
    assert plain.returncode == 0, plain.stderr
    assert b"\x1b[2J" not in plain.stdout
    assert printable(os.fsdecode(name)) in plain.stdout.decode()
    assert [os.fsencode(d["file"]) for d in documents(listed)] == [path, path + b".absent"]
    missing = run(path + b".absent", url=doubles.grpc_url)
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
def test_progress_is_for_a_terminal_alone(doubles: Server, labelled_clips: Path) -> None:
    assert run(labelled_clips / "real", url=doubles.grpc_url).stderr == b""
    done, seen = in_a_terminal("--url", doubles.grpc_url, labelled_clips / "real")
    assert done.returncode == 0
    assert "1_audio" in seen


def test_help_hides_the_key_and_says_the_form() -> None:
    done = run("--help", VERACITY_API_KEY="s3cret")
    assert b"s3cret" not in done.stdout
    assert b'{"file": NAME' in done.stdout
