"""``python -m benchmarks throughput`` says what is missing before it starts anything."""

from pathlib import Path

import pytest

from benchmarks.__main__ import main


def test_no_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["throughput", "--perf-analyzer", "no-such-program"]) == 1
    assert "no-such-program was not found: pip install" in capsys.readouterr().err


def test_a_program_whose_library_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "perf_analyzer"
    program.write_text("#!/bin/sh\necho 'error while loading shared libraries: libb64.so.0d' >&2\nexit 127\n")
    program.chmod(0o755)
    assert main(["throughput", "--perf-analyzer", str(program)]) == 1
    assert "libb64.so.0d: install that library, or" in capsys.readouterr().err
