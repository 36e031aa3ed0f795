"""`python -m export parity`: what counts as passed, and cases that cannot be run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="make test-export installs torch")

from export.__main__ import main
from export.parity import Row

pytestmark = pytest.mark.export

CROPS = Path(__file__).parent.parent / "data" / "sbi_face_crop.json"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (Row("a", "9 match", 1e-4, 1e-5), "ok"),
        (Row("a", "–", 0.0, None), "ok"),
        (Row("a", "9 match", 1e-5, 1.1e-4), "over 0.0001"),
        (Row("a", "9 match", float("nan"), 1e-5), "over 0.0001"),
        (Row("a", "1 differ", 1e-5, 1e-5, differing=1), "other keys"),
    ],
)
def test_a_row_passes_with_the_same_keys_and_the_same_numbers(row: Row, said: str) -> None:
    assert (row.said, row.passed) == (said, said == "ok")


def test_a_case_that_cannot_be_run_fails_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(CROPS, tmp_path)
    assert main(["parity", str(tmp_path)]) == 0
    np.savez(tmp_path / "whole.npz", waveform=np.zeros(9_000))
    (tmp_path / "aasist.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:3_000])
    (tmp_path / "whole.npz").rename(tmp_path / "nobodys.npz")
    (tmp_path / "lipforensics.json").write_text('{"keys": [')
    capsys.readouterr()
    assert main(["parity", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["aasist", "lipforensics", "nobodys", "sbi_face_crop"]
    for line, words in zip(lines, ("'aasist' cannot be read", "'lipforensics' cannot", "unknown case 'nobodys'", "ok")):
        assert words in line


def test_a_folder_without_cases_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parity", str(tmp_path)]) == 1
    assert capsys.readouterr() == (
        "",
        f"export: ExportError: no cases in {tmp_path}: a case is NAME.json, with NAME.npz\n",
    )
