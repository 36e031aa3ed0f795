"""``analyze --out``: a file of lines that a later run of the same command goes on with."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from command_line import COMMAND, documents, run
from server_models import eventually

from veracity.server import Server
from veracity_client.errors import BY_NAME, BadOption
from veracity_client.reports import json_line
from veracity_client.results import ResultsFile

triton = pytest.mark.triton
OF_THE_FILE = {"BadVideo", "UnsupportedCodec", "NoFrames", "LimitExceeded", "TooLarge", "TooLong", "TooManyPixels"}
NOBODY = "127.0.0.1:1"


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    """Five files, a fake one among them; the doubles call each by its first word."""
    names = ["e.mp4", "a.mp4", "d.mp4", "b.mp4", "c.mp4"]
    for name in names:
        (tmp_path / name).write_text(f"{'fake' if name == 'd.mp4' else 'real'} {name}")
    return [tmp_path / name for name in names]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text("ascii").splitlines()]


def names(out: Path) -> list[str]:
    return [Path(line["file"]).name for line in lines(out)]


def requests(server: Server) -> int:
    """How many requests the detector was asked in all."""
    page = httpx.get(f"http://{server.http_url}/v2/models/deepfake_detector/stats").json()
    stats = page["model_stats"][0]["inference_stats"]
    return int(stats["success"]["count"]) + int(stats["fail"]["count"])


@contextlib.contextmanager
def begun(*arguments: str | Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [*COMMAND, "--url", url, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@triton
def test_a_line_a_file_in_the_order_given_with_its_digest(doubles: Server, clips: list[Path], out: Path) -> None:
    done = run("--out", out, *clips, url=doubles.grpc_url)
    assert (done.returncode, done.stderr) == (1, b"")
    assert done.stdout.count(b"REAL") == 4
    assert [line["file"] for line in lines(out)] == [str(clip) for clip in clips]
    for clip, line in zip(clips, lines(out)):
        assert line["input"]["sha256"] == hashlib.sha256(clip.read_bytes()).hexdigest()
        assert line["asked"]["policy"] == "fail_fast"


@triton
def test_a_second_run_asks_nobody_and_counts_the_old_lines(doubles: Server, clips: list[Path], out: Path) -> None:
    clips[0].write_text("error BadVideo: no moov atom")
    first = run("--json", "--out", out, *clips, url=doubles.grpc_url)
    assert first.stdout == out.read_bytes()
    before, asked = out.read_bytes(), requests(doubles)
    again = run("--json", "--out", out, *clips, url=doubles.grpc_url)
    assert (first.returncode, again.returncode) == (3, 3)
    assert again.stdout == first.stdout
    assert b"5 of 5 files" in again.stderr
    cards = run("--out", out, *clips, url=doubles.grpc_url)
    assert (cards.returncode, cards.stdout) == (3, b"")
    assert b"e.mp4: BadVideo: no moov atom" in cards.stderr
    assert run("--out", out, *clips[1:], url=doubles.grpc_url).returncode == 1
    assert (out.read_bytes(), requests(doubles)) == (before, asked)


@triton
def test_what_was_killed_goes_on(doubles: Server, clips: list[Path], out: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    clips[2].write_text(f"wait {gate}")
    with begun("--out", out, *clips, url=doubles.grpc_url) as process:
        eventually(lambda: out.exists() and len(out.read_bytes().splitlines()) == 2)
        process.send_signal(signal.SIGKILL)
    whole = out.read_bytes()
    with out.open("ab") as file:  # as if it had been killed while it wrote
        file.write(whole.splitlines()[0][:1000])
    gate.touch()
    asked = requests(doubles)
    done = run("--out", out, *clips, url=doubles.grpc_url)
    assert done.returncode == 1
    assert requests(doubles) - asked <= 4  # three, and the one that the killed run had asked
    assert out.read_bytes().startswith(whole)
    assert names(out) == [clip.name for clip in clips]
    assert out.read_bytes().endswith(b"\n")


@pytest.mark.parametrize("length", [1, 9, 20, -1])
def test_a_half_line_is_cut_off_at_once(length: int, out: Path) -> None:
    whole = json_line("a.mp4", BY_NAME["NoFrames"]("neither"))
    out.write_text(whole + json_line("b.mp4", BY_NAME["NoFrames"]("neither"))[:length])
    with ResultsFile(str(out), ["a.mp4"]):
        assert out.read_text() == whole


@triton
def test_two_runs_do_not_write_one_file(doubles: Server, clips: list[Path], out: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    clips[0].write_text(f"wait {gate}")
    with begun("--out", out, *clips, url=doubles.grpc_url) as process:
        eventually(out.exists)
        for option in ([], ["--json"]):
            second = run("--out", out, *option, *clips[1:], url=doubles.grpc_url)
            assert second.returncode == 3
            assert b"BadOption: --out" in second.stderr
            assert b"another run" in second.stderr
            assert len(second.stderr.splitlines()) == 1
        assert [line["error"]["type"] for line in documents(second)] == ["BadOption"] * 4
        gate.touch()
        process.communicate(timeout=60)
    assert names(out) == [clip.name for clip in clips]


@triton
def test_a_changed_file_is_asked_again(doubles: Server, clips: list[Path], out: Path) -> None:
    run("--out", out, *clips, url=doubles.grpc_url)
    before, asked = lines(out), requests(doubles)
    status = clips[1].stat()
    clips[1].write_text("fake a.mp4")  # as long, and as old
    os.utime(clips[1], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert run("--out", out, *clips, url=doubles.grpc_url).returncode == 1
    after = lines(out)
    assert requests(doubles) == asked + 1
    assert (before.pop(1)["label"], after.pop(1)["label"]) == ("real", "fake")
    assert before == after  # in its place in the order given


@triton
def test_errors_that_pass_are_asked_again_and_others_are_not(doubles: Server, clips: list[Path], out: Path) -> None:
    clips[1].write_text("error AnalysisTimeout: slow")
    clips[3].write_text("error NoFrames: neither")
    run("--out", out, *clips, url=doubles.grpc_url)
    asked, before = requests(doubles), out.read_bytes()
    assert run("--out", out, *clips, url=doubles.grpc_url).returncode == 3
    assert requests(doubles) == asked + 1
    assert names(out) == [clip.name for clip in clips]
    found = [line.get("error", {}).get("message", "") for line in lines(out)]
    assert found[1].endswith("(asked 2)")
    assert found[3].endswith("(asked 1)")
    assert before.splitlines()[3] == out.read_bytes().splitlines()[3]


@pytest.mark.parametrize("kind", BY_NAME)
def test_whose_fault_an_error_is(kind: str, out: Path) -> None:
    with ResultsFile(str(out), ["clip"]) as results:
        results.append(json_line("clip", BY_NAME[kind]("why"), {"asked": {}, "input": {"sha256": "0"}}))
    with ResultsFile(str(out), ["clip"]) as results:
        assert (results.kept("clip", "0", {}) is not None) == (kind in OF_THE_FILE)


@triton
def test_an_answer_of_other_options_or_models_is_none(doubles: Server, clips: list[Path], out: Path) -> None:
    run("--out", out, *clips, url=doubles.grpc_url)
    for option in (["--policy", "exhaustive"], ["--layers", "audio,visual"], ["--audio-track", "1"]):
        for again, wanted in ((option, 5), ([*option, "--timeout", "50"], 0)):
            asked = requests(doubles)
            run("--out", out, *again, *clips, url=doubles.grpc_url)
            assert requests(doubles) == asked + wanted
    assert {line["asked"]["audio_track"] for line in lines(out)} == {1}
    server = lines(out)[0]["asked"]["server"]
    out.write_text(out.read_text().replace(server, "f" * 64, 2))
    asked = requests(doubles)
    run("--out", out, "--audio-track", "1", *clips, url=doubles.grpc_url)
    assert requests(doubles) == asked + 2
    assert {line["asked"]["server"] for line in lines(out)} == {server}
    assert names(out) == [clip.name for clip in clips]


@triton
def test_a_server_that_is_gone_takes_no_answer_away(doubles: Server, clips: list[Path], out: Path) -> None:
    run("--out", out, *clips[:3], url=doubles.grpc_url)
    before = out.read_bytes()
    done = run("--json", "--out", out, *clips, url=NOBODY)
    assert [line["error"]["type"] for line in documents(done)] == ["ServerUnavailable"] * 5
    assert out.read_bytes().startswith(before)
    assert [line["error"]["type"] for line in lines(out)[3:]] == ["ServerUnavailable"] * 2
    asked = requests(doubles)
    assert run("--out", out, *clips, url=doubles.grpc_url).returncode == 1
    assert requests(doubles) == asked + 2
    assert out.read_bytes().startswith(before)


@triton
def test_a_full_disk_loses_nothing_that_is_written(doubles: Server, clips: list[Path], out: Path) -> None:
    run("--out", out, *clips, url=doubles.grpc_url)
    whole = out.read_bytes()
    out.unlink()
    room = len(b"".join(whole.splitlines(keepends=True)[:2])) + 500
    limited = ["prlimit", f"--fsize={room}", *COMMAND, "--url", doubles.grpc_url, "--json", "--out", str(out)]
    full = subprocess.run([*limited, *map(str, clips)], capture_output=True, check=False)
    assert full.returncode == 3
    assert b"BadOption: --out" in full.stderr
    assert b"File too large; the lines of 2 files that are in it stay" in full.stderr
    assert [line.get("label") for line in documents(full)] == ["real", "real", None, None, None]
    assert out.read_bytes() == b"".join(whole.splitlines(keepends=True)[:2])
    assert run("--out", out, *clips, url=doubles.grpc_url).returncode == 1
    assert out.read_bytes() == whole


@pytest.mark.parametrize(
    ("place", "said"),
    [(".", "Is a directory"), ("absent/results", "No such file"), ("/dev/full", "no file"), ("\n/x", "No such file")],
)
def test_a_place_that_holds_no_file_is_said_at_once(place: str, said: str, clips: list[Path], tmp_path: Path) -> None:
    done = run("--out", tmp_path / place, *clips, url=NOBODY)
    assert done.returncode == 3
    assert said in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"\0\0\0\x20ftypisom, a video",
        b'{"label": "fake"}\n',
        b'{"file": "a.mp4", "final_verdict": true}\n{"file": "b.mp4"}\n',
        b'{"file": "a.mp4", "final_verdict": true}\nhalf',
        b'{"file": "a.mp4", "final_verdict": true\n',
        b'{"file": 1, "final_verdict": true}\n',
    ],
)
def test_a_file_of_something_else_is_not_touched(content: bytes, out: Path) -> None:
    out.write_bytes(content)
    with pytest.raises(BadOption, match="is no result"):
        ResultsFile(str(out), ["clip"])
    assert out.read_bytes() == content


def test_the_lines_of_json_are_taken_and_asked_anew(out: Path) -> None:
    out.write_bytes(b'{"file": "a.mp4", "final_verdict": true, "input": {"sha256": "0"}}\n')
    with ResultsFile(str(out), ["a.mp4"]) as results:
        assert results.kept("a.mp4", "0", {}) is None


@triton
def test_other_names_lines_a_link_and_the_mode_stay(doubles: Server, clips: list[Path], tmp_path: Path) -> None:
    real, out = tmp_path / "real.jsonl", tmp_path / "link.jsonl"
    real.touch(0o640)
    out.symlink_to(real)
    run("--out", out, clips[2], clips[0], clips[3], url=doubles.grpc_url)
    run("--out", out, *clips[:3], clips[0], url=doubles.grpc_url)
    assert names(out) == ["b.mp4", "e.mp4", "a.mp4", "d.mp4"]
    assert out.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir() if path not in clips) == ["link.jsonl", "real.jsonl"]


@triton
def test_standard_input_odd_names_and_the_file_itself(doubles: Server, tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff\n.mp4"
    Path(os.fsdecode(odd)).write_text("fake")
    out = tmp_path / "results.jsonl"
    for _ in range(2):
        done = run("--json", "--out", out, "-", f"{tmp_path}/*", url=doubles.grpc_url, stdin=b"real")
        assert done.returncode == 1
        assert [os.fsencode(line["file"]) for line in lines(out)] == [b"-", odd]
    assert b"2 of 2 files" in done.stderr
    alone = run("--out", out, out, url=doubles.grpc_url)
    assert (alone.returncode, b"nothing to analyse" in alone.stderr) == (3, True)


@triton
def test_an_interrupted_run_keeps_what_it_has(doubles: Server, clips: list[Path], out: Path, tmp_path: Path) -> None:
    run("--out", out, clips[1], url=doubles.grpc_url)
    gate = tmp_path / "gate"
    clips[3].write_text(f"wait {gate}")
    command = ["env", "--default-signal=INT", *COMMAND, "--url", doubles.grpc_url, "--out", str(out)]
    arguments = [*command, *map(str, clips[:4])]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        eventually(lambda: len(out.read_bytes().splitlines()) == 3)
        time.sleep(0.5)  # until it waits for the fourth
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    gate.touch()
    assert (process.returncode, said) == (130, b"veracity-client: interrupted\n")
    assert names(out) == ["e.mp4", "a.mp4", "d.mp4"]
