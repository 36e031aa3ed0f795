"""What verify finds: every change, every forged part, and what it could not look at."""

import base64
import copy
import hashlib
import io
import json
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pypdf
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from report_samples import FILM, VOICE, evidence, full_evidence
from time_authority import TimeAuthority, serving

from veracity_client.verdict import Verdict
from veracity_gateway.report.audit import AuditLog, FileRows
from veracity_gateway.report.canonical import canonical, digest
from veracity_gateway.report.document import Report, make_report, sign_report
from veracity_gateway.report.errors import SigningKeyError, TimestampError, UnreadableReport
from veracity_gateway.report.html import EMBEDDED, to_html
from veracity_gateway.report.pdf import to_pdf
from veracity_gateway.report.signing import SigningKey
from veracity_gateway.report.timestamps import TimestampService
from veracity_gateway.report.verify import Check, Expected, verify

MEDIA = b"the bytes of a clip"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def key(folder: Path) -> SigningKey:
    return SigningKey.in_folder(folder / "keys")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimeAuthority]:
    with serving(tmp_path_factory.mktemp("authority")) as found:
        yield found


@pytest.fixture(scope="module")
def report(folder: Path, key: SigningKey, authority: TimeAuthority) -> Report:
    """A report with all parts, about ``clip`` in the folder, second in the log."""
    (folder / "clip").write_bytes(MEDIA)
    sha256 = hashlib.sha256(MEDIA).hexdigest()
    short = replace(full_evidence().verdict, input=replace(FILM.input, sha256=sha256))
    log = AuditLog(FileRows(folder / "log"))
    make_report(evidence(VOICE), key, log)
    found = make_report(replace(full_evidence(), verdict=short), key, log, TimestampService(authority.url))
    make_report(evidence(VOICE), key, log)
    return found


@pytest.fixture
def all_of_it(folder: Path, key: SigningKey, authority: TimeAuthority) -> Expected:
    return Expected(folder / "clip", key.id, folder / "log", authority.ca)


def failed(checks: list[Check]) -> set[str]:
    return {check.name for check in checks if check.result == "failed"}


def results(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.result for check in checks}


def shortened(value: Any) -> Any:
    """Return JSON with lists of four at most, as many as a box has numbers."""
    if isinstance(value, dict):
        return {name: shortened(held) for name, held in value.items()}
    return [shortened(held) for held in value[:4]] if isinstance(value, list) else value


def changes(value: Any) -> Iterator[Any]:
    """Return what a value becomes by one small change somewhere in it: of lists the first item stands for all."""
    if isinstance(value, dict):
        yield {**value, "more": 1}
        for name in value:
            yield {other: held for other, held in value.items() if other != name}
            yield from ({**value, name: changed} for changed in changes(value[name]))
    elif isinstance(value, list):
        yield [*value, value[0] if value else 1]
        if value:
            yield value[1:]
            yield from ([changed, *value[1:]] for changed in changes(value[0]))
    elif isinstance(value, str):
        yield from (value[:-1] + chr(ord(value[-1]) ^ 1), value + "x", None) if value else ("x",)
    else:
        yield {None: 1, True: False, False: True}.get(value, value + 1 if isinstance(value, (int, float)) else 1)


def test_a_whole_report_is_ok_in_every_respect(report: Report, all_of_it: Expected) -> None:
    found = results(verify(report.to_json(), all_of_it))
    assert found.pop("page") == "not checked"
    assert set(found.values()) == {"ok"}
    assert len(found) == 8


@pytest.mark.slow
def test_every_change_of_the_document_fails(key: SigningKey, tmp_path: Path) -> None:
    full = full_evidence()
    short = Verdict.from_json(canonical(shortened(json.loads(full.verdict.to_json()))))
    whole = make_report(replace(full, verdict=short), key, AuditLog(FileRows(tmp_path / "log")))
    plain = json.loads(whole.to_json())
    del plain["timestamp"]  # has tests of its own
    count = 0
    for changed in changes(plain):
        if changed == plain:
            continue
        count += 1
        try:
            checks = verify(canonical({"timestamp": None, **changed}))
        except UnreadableReport:
            continue
        assert failed(checks), changed
    assert count > 500


def test_each_part_that_was_exchanged_is_named(report: Report, key: SigningKey, all_of_it: Expected) -> None:
    other = json.loads(make_report(evidence(VOICE), key).to_json())
    document = json.loads(report.to_json())
    for part, names in {
        "evidence": {"signature", "file", "audit entry", "time stamp"},
        "signature": {"signature", "time stamp"},
        "chain": {"signature", "audit log", "time stamp"},
    }.items():
        found = failed(verify(canonical({**document, part: other[part]}), all_of_it))
        assert found == names, part


def test_a_report_signed_anew_by_another_key_fails_where_the_key_is_known(
    report: Report, all_of_it: Expected, tmp_path: Path
) -> None:
    forged = sign_report(replace(report.evidence, name="other.mp4"), SigningKey.in_folder(tmp_path), None)
    checks = {check.name: check for check in verify(forged.to_json())}
    assert checks["signature"].result == "ok"
    assert checks["key"].result == "not checked"
    assert "proves nothing about who signed" in checks["key"].why
    assert failed(verify(forged.to_json(), all_of_it)) == {"key", "audit log", "time stamp"}


def test_the_key_may_be_given_as_pem(report: Report, folder: Path) -> None:
    given = Expected(key=str(folder / "keys" / "report-key.pub.pem"))
    assert results(verify(report.to_json(), given))["key"] == "ok"


@pytest.mark.parametrize("given", ["absent.pem", "0" * 63])
def test_what_is_no_key_is_an_error(report: Report, given: str) -> None:
    with pytest.raises(SigningKeyError):
        verify(report.to_json(), Expected(key=given))


def test_another_file_fails(report: Report, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(MEDIA + b"\0")
    assert failed(verify(report.to_json(), Expected(tmp_path / "other"))) == {"file"}


def test_a_forged_log_fails(report: Report, folder: Path, tmp_path: Path) -> None:
    lines = (folder / "log").read_bytes().splitlines(keepends=True)
    first = json.loads(lines[0])
    forged = {**first, "subject": "nobody"}
    del forged["entry"]
    for name, content in {
        "cut off": lines[:1],
        "missing": [lines[0], lines[2]],
        "changed": [canonical({**first, "subject": "nobody"}) + b"\n", *lines[1:]],
        "changed with its digest": [canonical({**forged, "entry": digest(forged)}) + b"\n", *lines[1:]],
        "empty": [],
    }.items():
        (tmp_path / "log").write_bytes(b"".join(content))
        assert failed(verify(report.to_json(), Expected(audit=tmp_path / "log"))) == {"audit log"}, name


def test_a_log_made_anew_fails(report: Report, tmp_path: Path, key: SigningKey) -> None:
    log = AuditLog(FileRows(tmp_path / "log"))
    log.append("report", "another", None, report.evidence.times.finished)
    log.append("report", report.evidence.verdict.video_id, digest(report.evidence), report.evidence.times.finished)
    assert log.check() == []
    assert failed(verify(report.to_json(), Expected(audit=tmp_path / "log"))) == {"audit log"}


def test_without_the_authority_the_time_stamp_is_said_and_not_trusted(report: Report) -> None:
    [found] = [check for check in verify(report.to_json()) if check.name == "time stamp"]
    assert found.result == "not checked"
    assert "+00:00" in found.why


def test_a_time_stamp_of_another_authority_fails(
    report: Report, tmp_path: Path, all_of_it: Expected, authority: TimeAuthority
) -> None:
    other = TimeAuthority(tmp_path)
    assert failed(verify(report.to_json(), replace(all_of_it, authority=other.ca))) == {"time stamp"}
    with pytest.raises(TimestampError, match="no certificates"):
        verify(report.to_json(), replace(all_of_it, authority=authority.folder / "ca.key"))


def test_a_changed_time_stamp_fails(report: Report, authority: TimeAuthority) -> None:
    stamp = report.timestamp or b""
    trusting = Expected(authority=authority.ca)
    for place in (5, len(stamp) // 3, len(stamp) // 2, len(stamp) - 3):
        changed = stamp[:place] + bytes([stamp[place] ^ 1]) + stamp[place + 1 :]
        assert failed(verify(replace(report, timestamp=changed).to_json(), trusting)) == {"time stamp"}, place
    for other in (b"", b"junk", stamp[:-1]):
        assert failed(verify(replace(report, timestamp=other).to_json(), trusting)) == {"time stamp"}


@pytest.mark.parametrize("path", ["/junk", "/broken"])
def test_a_service_that_gives_no_time_stamp_is_an_error(key: SigningKey, authority: TimeAuthority, path: str) -> None:
    with pytest.raises(TimestampError):
        make_report(evidence(), key, None, TimestampService(authority.url + path))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "no url", "http://[bad"])
def test_a_service_that_is_not_there_is_an_error(key: SigningKey, url: str) -> None:
    with pytest.raises(TimestampError, match="did not answer"):
        make_report(evidence(), key, None, TimestampService(url, timeout=2))


def test_openssl_says_the_same(report: Report, folder: Path, authority: TimeAuthority, tmp_path: Path) -> None:
    document = json.loads(report.to_json())
    signed, stamped, value, stamp = (tmp_path / name for name in ("signed", "stamped", "value", "stamp"))
    del document["timestamp"]
    stamped.write_bytes(canonical(document))
    value.write_bytes(base64.b64decode(document.pop("signature")["value"]))
    signed.write_bytes(canonical(document))
    stamp.write_bytes(report.timestamp or b"")
    key = folder / "keys" / "report-key.pub.pem"
    for command in (
        ["pkeyutl", "-verify", "-pubin", "-inkey", key, "-rawin", "-in", signed, "-sigfile", value],
        ["ts", "-verify", "-data", stamped, "-in", stamp, "-CAfile", authority.ca],
    ):
        subprocess.run(["openssl", *map(str, command)], capture_output=True, check=True)


def test_a_page_is_checked_with_what_it_shows(report: Report, all_of_it: Expected) -> None:
    page = to_html(report).encode()
    found = results(verify(page, all_of_it))
    assert set(found.values()) == {"ok"}
    changed = page.replace(b"<strong>Inconclusive", b"<strong>Called real")
    assert changed != page
    assert failed(verify(changed, all_of_it)) == {"page"}


def test_a_page_of_another_version_says_that_only_its_data_is_verified(key: SigningKey) -> None:
    older = make_report(replace(evidence(), report_code="0" * 64), key)
    [found] = [check for check in verify(to_html(older).encode()) if check.name == "page"]
    assert found.result == "not checked"
    assert "only the embedded document is verified" in found.why


def test_a_page_whose_data_was_changed_fails(report: Report) -> None:
    page = to_html(report).encode()
    assert {"signature", "page"} <= failed(verify(page.replace(b'"label":"inconclusive"', b'"label":"real"')))


def test_a_page_with_two_documents_is_none(report: Report) -> None:
    page = to_html(report)
    with pytest.raises(UnreadableReport, match="2 signed documents"):
        verify((page + EMBEDDED + "{}</script>").encode())


@pytest.mark.slow
def test_a_pdf_carries_the_document(report: Report, all_of_it: Expected) -> None:
    pdf = to_pdf(report)
    found = results(verify(pdf, all_of_it))
    assert found.pop("page") == "not checked"
    assert set(found.values()) == {"ok"}
    other = pypdf.PdfWriter(clone_from=io.BytesIO(pdf))
    other.add_attachment("report.json", b"{}")
    twice = io.BytesIO()
    other.write(twice)
    with pytest.raises(UnreadableReport, match="2 files"):
        verify(twice.getvalue())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no json",
        b"[]",
        b"{}",
        b"<html></html>",
        b"%PDF-1.7\njunk",
        b"\xff\xfe",
        b'{"evidence":{}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_report_cannot_be_read(content: bytes) -> None:
    with pytest.raises(UnreadableReport):
        verify(content)


def test_a_report_of_a_newer_schema_cannot_be_read(key: SigningKey) -> None:
    newer = sign_report(replace(evidence(), schema="veracity-report/2"), key, None)
    with pytest.raises(UnreadableReport, match="take a newer one"):
        verify(newer.to_json())


def test_fields_that_a_later_version_adds_do_not_hurt(report: Report, key: SigningKey) -> None:
    document = json.loads(report.to_json())
    later = {"evidence": copy.deepcopy(document["evidence"]), "chain": None}
    later["evidence"]["verdict"]["new"] = later["evidence"]["later"] = 1
    signature = json.loads(canonical(key.sign(canonical(later))))
    assert not failed(verify(canonical({**later, "signature": signature, "timestamp": None})))


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "keys"
    first = SigningKey.in_folder(folder)
    assert SigningKey.in_folder(folder).id == first.id == SigningKey.from_pem(folder / "report-key.pem").id
    assert stat.S_IMODE((folder / "report-key.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name for path in folder.iterdir()} == {"report-key.pem", "report-key.pub.pem"}


def test_keys_that_cannot_sign_are_refused(tmp_path: Path) -> None:
    key = SigningKey.in_folder(tmp_path / "keys")
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_pem())
    path.chmod(0o640)
    with pytest.raises(SigningKeyError, match="chmod 600"):
        SigningKey.from_pem(path)
    other = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content, said in ((b"no key", "no private key"), (other, "another kind"), (key.public_pem(), "no private key")):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(SigningKeyError, match=said):
            SigningKey.from_pem(path)
    with pytest.raises(SigningKeyError, match="cannot be read"):
        SigningKey.from_pem(tmp_path / "absent.pem")
    with pytest.raises(SigningKeyError, match="can be kept"):
        SigningKey.in_folder(path / "below")
