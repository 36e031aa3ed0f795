"""The audit log: whatever is changed, taken out or moved shows."""

import json
import stat
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from report_samples import NOON

from veracity_gateway.report.audit import FIRST, AuditLog, FileRows
from veracity_gateway.report.canonical import canonical, digest
from veracity_gateway.report.errors import AuditLogError


def log_of(path: Path, entries: int = 5) -> AuditLog:
    log = AuditLog(FileRows(path))
    for number in range(entries):
        log.append("report", f"job-{number}", f"{number:064x}", NOON)
    return log


def rewrite(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(b"".join(lines))


def test_entries_follow_one_another(tmp_path: Path) -> None:
    log = log_of(tmp_path / "log")
    entries = list(FileRows(tmp_path / "log").entries())
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.previous for entry in entries] == [FIRST, *(entry.entry for entry in entries[:-1])]
    assert log.check() == []
    assert log.find(3) == entries[2]
    assert log.find(9) is None
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("field", ["sequence", "time", "event", "subject", "sha256", "previous", "entry"])
def test_a_changed_entry_shows(tmp_path: Path, field: str, number: int) -> None:
    path = tmp_path / "log"
    log = log_of(path)
    lines = path.read_bytes().splitlines(keepends=True)
    document = json.loads(lines[number])
    document[field] = document[field] + 1 if field == "sequence" else f"{document[field][:-1]}~"
    lines[number] = canonical(document) + b"\n"
    rewrite(path, lines)
    assert log.check()


@pytest.mark.parametrize("number", range(4))
def test_an_entry_that_was_changed_with_its_digest_shows_in_the_next(tmp_path: Path, number: int) -> None:
    path = tmp_path / "log"
    log = log_of(path)
    lines = path.read_bytes().splitlines(keepends=True)
    document = json.loads(lines[number])
    del document["entry"]
    document["subject"] = "forged"
    lines[number] = canonical({**document, "entry": digest(document)}) + b"\n"
    rewrite(path, lines)
    assert f"entry {number + 2} does not follow" in log.check()[0]


@pytest.mark.parametrize("order", [[1, 2, 3, 4], [0, 2, 3, 4], [0, 1, 3, 2, 4], [4, 3, 2, 1, 0], [0, 1, 1, 2, 3, 4]])
def test_entries_that_are_missing_moved_or_doubled_show(tmp_path: Path, order: list[int]) -> None:
    path = tmp_path / "log"
    log = log_of(path)
    lines = path.read_bytes().splitlines(keepends=True)
    rewrite(path, [lines[number] for number in order])
    assert log.check()


@pytest.mark.parametrize("junk", [b"{}\n", b"no json\n", b"[1]\n", b'{"half'])
def test_what_is_no_entry_shows(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "log"
    log = log_of(path)
    path.write_bytes(path.read_bytes() + junk)
    assert "line 6" in log.check()[0]


def test_a_line_that_was_cut_when_its_writer_was_killed_goes_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = log_of(path)
    whole = path.read_bytes()
    for left in (b'{"entry":"', b"x" * 10_000):
        path.write_bytes(whole + left)
        assert log.append("deleted", "job-5", None, NOON).sequence == 6
        assert log.check() == []


def test_an_entry_longer_than_a_block_is_found(tmp_path: Path) -> None:
    log = AuditLog(FileRows(tmp_path / "log"))
    for size in (3, 5000, 20_000, 1):
        log.append("report", "x" * size, None, NOON)
    assert log.check() == []


def test_processes_append_one_after_another(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3) as pool:
        list(pool.map(log_of, [tmp_path / "log"] * 3, [20] * 3))
    log = AuditLog(FileRows(tmp_path / "log"))
    assert log.check() == []
    assert log.find(60) is not None


def test_what_cannot_be_written_or_read_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(AuditLogError, match="cannot be written"):
        log_of(tmp_path)
    assert "cannot be read" in AuditLog(FileRows(tmp_path / "absent")).check()[0]


def test_a_full_disk_leaves_the_log_whole(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    log_of(tmp_path / "log")
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(AuditLogError):
        log_of(tmp_path / "full")
    assert AuditLog(FileRows(tmp_path / "log")).check() == []
