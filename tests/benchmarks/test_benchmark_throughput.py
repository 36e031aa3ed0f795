"""``python -m benchmarks throughput`` says what is missing before it starts anything, and reads the output."""

import argparse
import base64
import json
import struct
from pathlib import Path

import pytest

from benchmarks import throughput
from benchmarks.__main__ import main
from evaluation import speed_tables
from veracity_client.errors import VeracityError

# As perf_analyzer 2.60.0 wrote them, columns and models shortened.
CONCURRENT = "Concurrency,Inferences/Second,Client Send,Server Queue,p50 latency,p90 latency,p95 latency,p99 latency\n\
2,1.19347,19,142,1491606,2006100,2006101,2006102\n"
RATE = CONCURRENT.replace("Concurrency", "Request Rate").replace("\n2,", "\n1.3,")
PROFILE = b'{"experiments":[{"experiment":{"mode":"request_rate","value":1.3},"requests":[' + b",".join(
    b'{"timestamp":%d,"request_inputs":{"VIDEO":"\xff\x00"},"response_timestamps":[1]}' % nanoseconds
    for nanoseconds in (5_000_000_000, 5_500_000_000, 7_000_000_000)
)
OUTPUT = """  Server:\x20
    Inference count: 6
    Execution count: 6
    Successful request count: 6
    Avg request latency: 1513213 usec (overhead 380483 usec + queue 330136 usec + compute 802594 usec)

  Composing models:\x20
  lipsync_starter, version: 1
      Request count: 0
  semantic_texture_starter, version: 1
      Inference count: 15
      Execution count: 6
      Successful request count: 5
      Avg request latency: 595503 usec (overhead 6 usec + queue 316093 usec + compute input 142 usec + \
compute infer 279134 usec + compute output 127 usec)
Inferences/Second vs. Client p95 Batch Latency
"""


def test_no_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["throughput", "--perf-analyzer", "no-such-program"]) == 1
    assert "no-such-program was not found: pip install" in capsys.readouterr().err


def test_a_program_whose_library_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "perf_analyzer"
    program.write_text("#!/bin/sh\necho 'error while loading shared libraries: libb64.so.0d' >&2\nexit 127\n")
    program.chmod(0o755)
    assert main(["throughput", "--perf-analyzer", str(program)]) == 1
    assert "libb64.so.0d: install that library, or" in capsys.readouterr().err


def _program(folder: Path, report: str, output: str) -> Path:
    """A program that keeps its arguments, writes a report and a profile to where it is told, and prints."""
    program = folder / "program"
    (folder / "report").write_text(report)
    (folder / "output").write_text(output)
    (folder / "profile").write_bytes(PROFILE)
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {folder}/arguments\n'
        f'while [ $# -gt 0 ]; do case "$1" in -f) cp {folder}/report "$2";;'
        f' --profile-export-file) cp {folder}/profile "$2";; esac; shift; done\ncat {folder}/output\n'
    )
    program.chmod(0o755)
    return program


def _level(folder: Path, report: str, output: str, options: list[str]) -> dict[str, object]:
    args = argparse.Namespace(perf_analyzer=str(_program(folder, report, output)), requests=7)
    return throughput.level(args, "grpc", "localhost:1", folder / "input.json", options)


def test_one_file_holds_several_requests(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"sound")
    (tmp_path / "b").write_bytes(b"video")
    data = json.loads(throughput.input_file(tmp_path, [tmp_path / "a", tmp_path / "b"], "exhaustive").read_text())
    videos = [base64.b64decode(request["VIDEO"]["content"]["b64"]) for request in data["data"]]
    assert videos == [struct.pack("<I", 5) + b"sound", struct.pack("<I", 5) + b"video"]
    assert b'"policy":"exhaustive"' in base64.b64decode(data["data"][0]["OPTIONS"]["content"]["b64"]).replace(b" ", b"")


def test_most_files_are_small_and_each_kind_is_there() -> None:
    assert {*throughput.MIX} == {"sound", "picture", "720p", "1080p"}
    assert sum(kind in {"sound", "picture"} for kind in throughput.MIX) > len(throughput.MIX) / 2


def test_a_level_has_its_percentiles_and_what_the_models_did(tmp_path: Path) -> None:
    options = [*throughput.level_at(2), "--bls-composing-models", "semantic_texture_starter:1,lipsync_starter:1"]
    assert _level(tmp_path, CONCURRENT, OUTPUT, options) == {
        "concurrency": 2, "videos_per_second": 1.193, "queue_ms": 0.1,
        "p50_ms": 1491.6, "p90_ms": 2006.1, "p95_ms": 2006.1, "p99_ms": 2006.1,
        "models": [{"model": "semantic_texture_starter", "requests": 5, "items_a_run": 2.5,
                    "queue_ms": 316.1, "compute_ms": 279.1}],
    }  # fmt: skip


def test_a_rate_is_poisson_and_has_no_warm_up_which_would_never_end(tmp_path: Path) -> None:
    found = _level(tmp_path, RATE, OUTPUT, throughput.rate_of(0.9))
    assert found["sent_per_second"] == 1.0
    assert (found["request_rate"], "concurrency" in found, "models" in found) == (1.3, False, False)
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments[arguments.index("--request-rate-range") + 1] == "0.900:0.900"
    assert arguments[arguments.index("--request-distribution") + 1] == "poisson"
    assert "--async" in arguments
    assert "--warmup-request-count" not in arguments


def test_no_word_of_the_models_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VeracityError, match="tells nothing of the models"):
        _level(tmp_path, CONCURRENT, "  Server:", ["--bls-composing-models", "face_detector:1"])


def test_the_page_shows_every_level(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = ["--bls-composing-models", "semantic_texture_starter:1"]
    sweeps = {
        "grpc": [_level(tmp_path, CONCURRENT, OUTPUT, options)],
        throughput.POISSON: [_level(tmp_path, RATE, OUTPUT, [*options, *throughput.rate_of(0.9)])],
    }
    document = {"sweeps": sweeps, "mix": {"sound": 10, "1080p": 1}, "requests": 40, "benchmark": "throughput",
                "date": "2026-11-30", "version": "1", "commit": "abc", "machine": {"cores": 2, "cpu": "X"}}  # fmt: skip
    monkeypatch.setattr(speed_tables, "load", lambda name: document)
    page = speed_tables.throughput()
    assert "| grpc | 2 at a time | 1.19 | 1.5 s | 2.0 s | 2.0 s | 2.0 s |" in page
    assert "| grpc, Poisson | 1.00 a second |" in page
    assert "| `semantic_texture_starter` | 5 | 2.5 | 316 ms | 279 ms |" in page
