"""``python -m benchmarks figures``: pages are written, compared, and refused where they are out of date."""

from pathlib import Path

import pytest

from benchmarks.__main__ import main
from evaluation import tables

PAGE = """# Page
<!-- [[[cog print(figures.calibration("visual_starter")) ]]] -->
<!-- [[[end]]] -->
The end.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("no block\n")
    (tmp_path / "docs" / "page.md").write_text(PAGE)
    return tmp_path


def test_a_page_is_written_and_then_up_to_date(folder: Path) -> None:
    page = folder / "docs" / "page.md"
    assert main(["figures", "--folder", str(folder)]) == 0
    assert "| `visual_starter` |" in page.read_text()
    assert page.read_text().endswith("<!-- [[[end]]] -->\nThe end.\n")
    assert main(["figures", "--check", "--folder", str(folder)]) == 0


def test_a_page_that_was_edited_by_hand_fails_the_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = folder / "docs" / "page.md"
    main(["figures", "--folder", str(folder)])
    edited = page.read_text().replace("| `visual_starter` | ", "| `visual_starter` | 1")  # ten times the clips
    page.write_text(edited)
    assert main(["figures", "--check", "--folder", str(folder)]) == 1
    assert "out of date: python -m benchmarks figures" in capsys.readouterr().err
    assert page.read_text() == edited


def test_the_committed_pages_are_up_to_date() -> None:
    assert main(["figures", "--check"]) == 0


def test_a_verdict_without_a_score_counts_as_inconclusive() -> None:
    rows = [line.split(" | ") for line in tables.verdict_by_kind().splitlines() if " | " in line][2:]
    for name, _, _, _, *shares in rows:
        reals, fakes = ([int(share.split()[0]) for share in shares[part]] for part in (slice(3), slice(3, 6)))
        assert (sum(reals), sum(fakes)) == pytest.approx((100, 100), abs=2), name
