"""`VERACITY_ANSWERS`: a line a verdict, also from several processes at once, and no request is lost over it."""

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import canned
import pytest
from structlog.testing import capture_logs

from veracity.answers import record


def many(path: Path) -> None:
    for _ in range(50):
        record(path, canned.VERDICT)


def test_a_line_says_what_was_found_and_not_where(tmp_path: Path) -> None:
    record(tmp_path / "answers.jsonl", canned.VERDICT)
    (line,) = map(json.loads, (tmp_path / "answers.jsonl").read_text().splitlines())
    assert line["layer_results"]["1_audio"]["fake_probability"] == 0.97
    assert line["input"]["sha256"] == "a" * 64
    assert not {"faces", "timeline", "explanation"} & line.keys()
    assert line["layer_results"]["2_visual"]["frame_scores"] is None
    assert (tmp_path / "answers.jsonl").stat().st_mode & 0o077 == 0


def test_lines_of_several_processes_stay_whole(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(many, [tmp_path / "answers.jsonl"] * 4))
    lines = (tmp_path / "answers.jsonl").read_text().splitlines()
    assert len(lines) == 200
    assert {json.loads(line)["video_id"] for line in lines} == {canned.VERDICT.video_id}


@pytest.mark.parametrize("place", ["no/such/folder", "."])
def test_a_line_that_cannot_be_written_is_said_in_the_log(tmp_path: Path, place: str) -> None:
    with capture_logs() as logs:
        record(tmp_path / place, canned.VERDICT)
    assert [line["event"] for line in logs] == ["answer not recorded"]
