"""Checks a report without a network. Every check says what it found, and why it could not look where it could not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from veracity_client.errors import VeracityError
from veracity_gateway.report.audit import AuditLog, Entry, FileRows
from veracity_gateway.report.canonical import canonical, digest, from_base64
from veracity_gateway.report.document import Report, signed_bytes, stamped_bytes
from veracity_gateway.report.errors import BadEvidence, UnreadableReport
from veracity_gateway.report.evidence import SCHEMA, code_sha256
from veracity_gateway.report.html import to_html
from veracity_gateway.report.opened import PARTS, Opened, open_report
from veracity_gateway.report.signing import Signature, read_key_id
from veracity_gateway.report.timestamps import signer_fault, stamp_fault, stamp_time

Result = Literal["ok", "failed", "not checked"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    result: Result
    why: str


@dataclass(frozen=True)
class Expected:
    """What the reader has from elsewhere: the media file, the signer's key, the audit log, the time stamp's authority.

    ``key`` is a public key's PEM file or its id.
    """

    file: Path | None = None
    key: str | None = None
    audit: Path | None = None
    authority: Path | None = None


def verify(content: bytes, expected: Expected = Expected()) -> list[Check]:
    """Check a report as JSON, HTML or PDF.

    Raises :class:`UnreadableReport` for what is none, and another :class:`VeracityError` where something that is
    expected cannot be read.
    """
    opened = open_report(content)
    signature = _signature(opened)
    schema = opened.document["evidence"].get("schema")
    if signature.result == "ok" and schema != SCHEMA:
        raise UnreadableReport(f"the report is of {schema!r}, and this version reads {SCHEMA}: take a newer one")
    return [
        _schema(opened),
        _form(opened),
        signature,
        _key(opened, expected.key),
        _file(opened, expected.file),
        *_chain(opened, expected.audit),
        *_stamp(opened, expected.authority),
        _shown(opened, content),
    ]


def _schema(opened: Opened) -> Check:
    if more := opened.document.keys() - PARTS:
        return Check("schema", "failed", f"there is more in it than is signed: {', '.join(sorted(more))}")
    try:
        found = msgspec.convert(opened.document, Report)
    except (msgspec.ValidationError, VeracityError) as error:
        return Check("schema", "failed", str(error))
    if found.evidence.schema != SCHEMA:
        return Check("schema", "failed", f"it says {found.evidence.schema!r} and not {SCHEMA}")
    return Check("schema", "ok", f"{SCHEMA}, as {opened.kind}")


def _form(opened: Opened) -> Check:
    if opened.is_canonical:
        return Check("canonical form", "ok", "the bytes are the one form of this data (RFC 8785)")
    return Check("canonical form", "failed", "the document was written anew by something else than Veracity")


def _signature(opened: Opened) -> Check:
    try:
        found = msgspec.convert(opened.document["signature"], Signature)
        if canonical(found) != canonical(opened.document["signature"]):
            return Check("signature", "failed", "there is more in the signature than its four fields")
        fault = found.fault(signed_bytes(opened.document))
    except (msgspec.ValidationError, BadEvidence) as error:
        return Check("signature", "failed", str(error))
    if fault:
        return Check("signature", "failed", fault)
    return Check("signature", "ok", "nothing was changed since it was signed")


def _key(opened: Opened, key: str | None) -> Check:
    signature = opened.document["signature"]
    given = signature.get("key_id") if isinstance(signature, dict) else None
    if key is None:
        why = (
            f"the only key is the one inside the report, {given}: it proves nothing about who signed; "
            "give the signer's with --key"
        )
        return Check("key", "not checked", why)
    if read_key_id(key) == given:
        return Check("key", "ok", f"signed by the key that was given, {given}")
    return Check("key", "failed", f"signed by the key {given}, and not by the one that was given")


def _file(opened: Opened, file: Path | None) -> Check:
    if file is None:
        return Check("file", "not checked", "no media file was given")
    found = _sha256(file)
    try:
        told = opened.document["evidence"]["verdict"]["input"]["sha256"]
    except (KeyError, TypeError):
        return Check("file", "failed", "the report names no sha256")
    if found == told:
        return Check("file", "ok", f"its sha256 is the one in the report, {told}")
    return Check("file", "failed", f"its sha256 is {found}, and the report is about {told}")


def _sha256(file: Path) -> str:
    found = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def _chain(opened: Opened, audit: Path | None) -> Iterator[Check]:
    if opened.document["chain"] is None:
        result: Result = "not checked" if audit is None else "failed"
        yield Check("audit log", result, "the report says that it was entered in none")
        return
    try:
        entry = msgspec.convert(opened.document["chain"], Entry)
        fault = _entry_fault(entry, opened)
    except (msgspec.ValidationError, BadEvidence) as error:
        fault = str(error)
    if fault:
        yield Check("audit entry", "failed", fault)
        return
    yield Check("audit entry", "ok", f"entry {entry.sequence} names this report")
    yield _in_log(entry, audit)


def _entry_fault(entry: Entry, opened: Opened) -> str | None:
    if canonical(entry) != canonical(opened.document["chain"]):
        return "there is more in the entry than its fields"
    if entry.sha256 != digest(opened.document["evidence"]):
        return f"entry {entry.sequence} names another report"
    return entry.fault()


def _in_log(entry: Entry, audit: Path | None) -> Check:
    if audit is None:
        return Check("audit log", "not checked", "no log was given (--audit)")
    log = AuditLog(FileRows(audit))
    if faults := log.check():
        return Check("audit log", "failed", "; ".join(faults[:3]))
    if log.find(entry.sequence) != entry:
        return Check("audit log", "failed", f"entry {entry.sequence} of the log is another one, or is missing")
    return Check("audit log", "ok", f"it is whole, and its entry {entry.sequence} is this report's")


def _stamp(opened: Opened, authority: Path | None) -> Iterator[Check]:
    if opened.document["timestamp"] is None:
        result: Result = "not checked" if authority is None else "failed"
        yield Check("time stamp", result, "the report has none")
        return
    try:
        stamp, content = from_base64(opened.document["timestamp"]), stamped_bytes(opened.document)
        fault = stamp_fault(stamp, content)
    except (ValueError, BadEvidence) as error:
        fault = str(error)
    if fault:
        yield Check("time stamp", "failed", fault)
    elif authority is None:
        yield Check("time stamp", "not checked", f"it says {stamp_time(stamp)}; whose it is, --tsa-ca would show")
    elif fault := signer_fault(stamp, content, authority):
        yield Check("time stamp", "failed", fault)
    else:
        yield Check("time stamp", "ok", f"the report existed at {stamp_time(stamp)}")


def _shown(opened: Opened, content: bytes) -> Check:
    if opened.kind == "JSON":
        return Check("page", "not checked", "JSON has none")
    if opened.kind == "PDF":
        return Check("page", "not checked", "only the attached document is verified, not what the pages show")
    if opened.document["evidence"].get("report_code") != code_sha256():
        why = "another version of Veracity made it: only the embedded document is verified, not what the page shows"
        return Check("page", "not checked", why)
    try:
        made = to_html(msgspec.convert(opened.document, Report)).encode()
    except (msgspec.ValidationError, VeracityError):
        made = b""
    if made == content:
        return Check("page", "ok", "it shows what the embedded document says, and nothing else")
    return Check("page", "failed", "it shows something else than the embedded document says")
