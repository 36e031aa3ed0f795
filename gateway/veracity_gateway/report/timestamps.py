"""RFC 3161: a service signs that a digest existed at a time. It sees the digest and nothing else of a report."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)
from rfc3161_client.verify import SHA256_OID

from veracity_gateway.report.errors import TimestampError

QUERY = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
LIMIT = 64 * 1024  # of an answer: one with its certificates has about 5 kB


@dataclass(frozen=True)
class TimestampService:
    """A service at a URL."""

    url: str
    timeout: float = 20.0

    def stamp(self, content: bytes) -> bytes:
        """Return the service's answer (DER) about these bytes; raises :class:`TimestampError`."""
        asked = TimestampRequestBuilder().data(content).hash_algorithm(HashAlgorithm.SHA256).build()
        try:
            answer = httpx.post(self.url, content=asked.as_bytes(), headers=QUERY, timeout=self.timeout)
            answer.raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TimestampError(f"the time-stamp service {self.url} did not answer: {error}") from None
        found = read_stamp(answer.content)
        if found.tst_info.nonce != asked.nonce or not _is_of(found, content):
            raise TimestampError(f"the time-stamp service {self.url} answered about something else")
        return answer.content


def read_stamp(stamp: bytes) -> TimeStampResponse:
    """Read an answer of a service; raises :class:`TimestampError` for what holds no time stamp."""
    if len(stamp) > LIMIT:
        raise TimestampError(f"the time stamp has over {LIMIT} bytes")
    try:
        found = decode_timestamp_response(stamp)
        if found.status != 0:
            raise TimestampError(f"the time-stamp service refused: {'; '.join(found.status_string) or found.status}")
        _ = found.tst_info.gen_time  # is read now: an answer may lack its token
    except ValueError as error:
        raise TimestampError(f"it is no RFC 3161 time stamp: {error}") from None
    return found


def stamp_fault(stamp: bytes, content: bytes) -> str | None:
    """Return why this is no time stamp of these bytes; None where it is, whoever signed it."""
    try:
        return None if _is_of(read_stamp(stamp), content) else "the time stamp is of another report"
    except TimestampError as error:
        return error.message


def stamp_time(stamp: bytes) -> datetime:
    """Return the time that it states."""
    return read_stamp(stamp).tst_info.gen_time


def signer_fault(stamp: bytes, content: bytes, authority: Path) -> str | None:
    """Return why no certificate of the PEM file ``authority`` stands behind the stamp; None where one does."""
    try:
        roots = x509.load_pem_x509_certificates(authority.read_bytes())
    except OSError as error:
        raise TimestampError(f"the certificates {authority} cannot be read: {error.strerror}") from None
    except ValueError:
        raise TimestampError(f"{authority} holds no certificates in PEM form") from None
    try:
        VerifierBuilder(roots=roots).build().verify_message(read_stamp(stamp), content)
    except VerificationError as error:
        return f"the time stamp is not signed by this authority: {error}"
    return None


def _is_of(found: TimeStampResponse, content: bytes) -> bool:
    imprint = found.tst_info.message_imprint
    return imprint.hash_algorithm.dotted_string == SHA256_OID and imprint.message == hashlib.sha256(content).digest()
