"""The signed report: ``{"evidence", "chain", "signature", "timestamp"}`` as canonical JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from veracity_gateway.report.audit import AuditLog, Entry
from veracity_gateway.report.canonical import canonical, digest
from veracity_gateway.report.errors import UnreadableReport
from veracity_gateway.report.evidence import Evidence
from veracity_gateway.report.signing import Signature, SigningKey
from veracity_gateway.report.timestamps import TimestampService

EVENT = "report"


@dataclass(frozen=True)
class Report:
    """The evidence, its entry in an audit log, a signature of both, and a time stamp (DER) of all three."""

    evidence: Evidence
    signature: Signature
    chain: Entry | None = None
    timestamp: bytes | None = None

    def to_json(self) -> bytes:
        """Return the document."""
        return canonical(self)

    @classmethod
    def from_json(cls, document: bytes) -> Report:
        """Read a document, to show it again; nothing is verified. Raises :class:`UnreadableReport`."""
        try:
            return msgspec.json.decode(document, type=cls)
        except msgspec.MsgspecError as error:
            raise UnreadableReport(f"it is no report: {error}") from None


def signed_bytes(document: Mapping[str, Any]) -> bytes:
    """Return what the signature is of."""
    return canonical({name: document[name] for name in ("evidence", "chain")})


def stamped_bytes(document: Mapping[str, Any]) -> bytes:
    """Return what the time stamp is of."""
    return canonical({name: document[name] for name in ("evidence", "chain", "signature")})


def make_report(
    evidence: Evidence, key: SigningKey, log: AuditLog | None = None, service: TimestampService | None = None
) -> Report:
    """Enter the report in the log, at the time when the analysis ended; sign it, and have it stamped."""
    subject, time = evidence.verdict.video_id, evidence.times.finished
    chain = log.append(EVENT, subject, digest(evidence), time) if log else None
    report = sign_report(evidence, key, chain)
    return stamp_report(report, service) if service else report


def sign_report(evidence: Evidence, key: SigningKey, chain: Entry | None) -> Report:
    """Sign a report that is already in the log: the same one again has the same bytes."""
    return Report(evidence, key.sign(signed_bytes({"evidence": evidence, "chain": chain})), chain)


def stamp_report(report: Report, service: TimestampService) -> Report:
    """Have a signed report stamped."""
    parts = {"evidence": report.evidence, "chain": report.chain, "signature": report.signature}
    return replace(report, timestamp=service.stamp(stamped_bytes(parts)))
