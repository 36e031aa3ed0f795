"""The rows' place: what is written there, found again, refused, and what a full disk leaves."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import canned
import pyarrow as pa
import pyarrow.parquet
import pytest

from veracity.settings import CHECKOUT
from veracity_bulk import schema
from veracity_bulk.errors import OutputError, StoreUnavailable
from veracity_bulk.output import Output
from veracity_bulk.progress import Progress
from veracity_bulk.run import Tally
from veracity_client.errors import BadVideo, TooLong


def row(uri: str, *, sha256: str | None = "c" * 64, server: str = "1-f", **more: Any) -> schema.Row:
    return {
        "id": schema.identity(sha256, server, "{}"), "uri": uri, "content_sha256": sha256, "file_version": "1-2",
        "server": server, "options": "{}", "attempts": 1, "finished": 1.8e9,
        **(more or schema.of_verdict(canned.VERDICT, 4)),
    }  # fmt: skip


def rows_in(place: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pa.parquet.read_table(place / "rows").to_pylist()
    return found


def test_a_row_has_the_published_columns(tmp_path: Path) -> None:
    with Output(str(tmp_path)) as output:
        output.write([row("a"), row("b", **schema.of_error(BadVideo("no moov atom")))])
    (part,) = (tmp_path / "rows").iterdir()
    written = pa.parquet.read_schema(part)
    assert written.equals(schema.SCHEMA)
    assert schema.version_of(written.metadata) == schema.VERSION
    fine, bad = rows_in(tmp_path)
    assert (fine["label"], fine["profile"], dict(fine["models"])) == ("fake", "starter", {"audio_starter": "0" * 64})
    assert dict(fine["layers"])["3_lipsync"] == {"status": "failed", "code": "model_down", "fake_probability": None}
    assert fine["server_seconds"] == pytest.approx(canned.VERDICT.processing_time / 4)
    assert json.loads(fine["verdict"]) == json.loads(canned.VERDICT.to_json())
    assert (bad["error_class"], bad["error"], bad["label"], bad["verdict"]) == ("BadVideo", "no moov atom", None, None)


def test_an_identity_is_of_content_server_and_options() -> None:
    ids = {schema.identity(*each) for each in (("a", "s", "{}"), ("b", "s", "{}"), ("a", "t", "{}"), ("a", "s", "[]"))}
    assert len(ids) == 4
    assert schema.identity("a", "s", "{}") in ids


def test_what_another_try_may_mend_is_dropped_and_nothing_else(tmp_path: Path) -> None:
    with Output(str(tmp_path)) as output:
        output.write([
            row("fine"), row("bad", **schema.of_error(BadVideo("x"))), row("long", **schema.of_error(TooLong("x"))),
            row("gone", sha256=None, **schema.of_error(StoreUnavailable("x"))),
        ])  # fmt: skip
        output.write([row("fine", server="2-f"), row("gone", server="2-f")])
    with Output(str(tmp_path)) as output:
        earlier = output.earlier("1-f", "{}")
        assert {uri: [each.stands for each in found] for uri, found in earlier.items()} == {
            "fine": [True], "bad": [True], "long": [True], "gone": [False],
        }  # fmt: skip
        output.drop({earlier["gone"][0].part: {"gone"}})
        assert "gone" not in output.earlier("1-f", "{}")
    assert sorted((each["uri"], each["server"]) for each in rows_in(tmp_path)) == [
        ("bad", "1-f"), ("fine", "1-f"), ("fine", "2-f"), ("gone", "2-f"), ("long", "1-f"),
    ]  # fmt: skip


def test_another_schema_is_refused_and_stays(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    part = tmp_path / "rows" / "part-0.parquet"
    for metadata, said in (
        ({schema.KEY: b"veracity-bulk/0"}, "the schema veracity-bulk/0"),
        (None, "no schema of ours"),
    ):
        pa.parquet.write_table(pa.table({"uri": ["a"]}).replace_schema_metadata(metadata), part)
        before = part.read_bytes()
        with Output(str(tmp_path)) as output, pytest.raises(Exception, match=said) as raised:
            output.earlier("1-f", "{}")
        assert "this command writes veracity-bulk/1: nothing was changed; give another place" in str(raised.value)
        assert part.read_bytes() == before
    part.write_bytes(before[:100])
    with Output(str(tmp_path)) as output, pytest.raises(Exception, match=r"part-0\.parquet cannot be read"):
        output.earlier("1-f", "{}")


def test_a_second_run_is_kept_out_and_half_a_file_goes(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    half = tmp_path / "rows" / "part-1.parquet#1"
    half.write_bytes(b"half")
    with Output(str(tmp_path)):
        assert not half.exists()
        with pytest.raises(Exception, match="another run writes to it"):
            Output(str(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(Exception, match="rows cannot be written there"):
        Output(str(tmp_path / "file"))


def test_a_full_disk_keeps_what_is_written(small_disk: Path) -> None:
    with Output(str(small_disk)) as output:
        output.write([row("first")])
        rows = [row(str(k), error=os.urandom(5000).hex(), error_class="BadVideo") for k in range(200)]
        with pytest.raises(OutputError, match="No space left on device; the 1 rows that this run wrote stay"):
            output.write(rows)
    assert [each["uri"] for each in rows_in(small_disk)] == ["first"]
    assert len(list((small_disk / "rows").iterdir())) == 1
    with Output(str(small_disk)) as output:
        output.write([row("second")])
    assert {each["uri"] for each in rows_in(small_disk)} == {"first", "second"}


def test_the_report_counts_and_the_cost_is_of_a_video_hour(tmp_path: Path) -> None:
    tally = Tally()
    tally.add(row("a"))
    tally.add(row("b", **schema.of_error(BadVideo('no, "moov" atom'))))
    report = tally.report(files=3, seconds=10.0, servers=2, cores=8)
    assert report["labels"] == {"fake": 1}
    assert report["errors"] == {"BadVideo": 1}
    assert report["cost"] == {  # 4 s of video
        "busy_server_seconds_per_video_hour": 157.5, "server_seconds_per_video_hour": 18000.0,
        "core_seconds_per_video_hour": 144000.0,
    }  # fmt: skip
    with Output(str(tmp_path)) as output:
        output.finish(tally.dead, report)
    with (tmp_path / "dead-letters.csv").open() as file:
        assert list(csv.reader(file))[1:] == [["b", "BadVideo", 'no, "moov" atom', "1"]]
    assert json.loads((tmp_path / "report.json").read_text()) == report


def test_progress_says_how_long_the_rest_takes() -> None:
    with Progress(100, 20, 4) as progress:
        for _ in range(40):
            progress.done()
        assert progress.line(80.0) == "60 of 100 files, 0.50 a second, about 0:01:20 left"


def test_the_documented_schema_is_the_codes() -> None:
    assert schema.markdown() in (CHECKOUT / "docs" / "bulk.md").read_text()
