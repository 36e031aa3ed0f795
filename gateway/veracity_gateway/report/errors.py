"""What can go wrong with reports."""

from __future__ import annotations

from veracity_client.errors import VeracityError


class BadEvidence(VeracityError):
    """What was given cannot be written as canonical JSON, or does not fit together."""

    triton, http = "INVALID_ARG", 422


class UnreadableReport(VeracityError):
    """It is no report, or one of a version that is not known."""

    triton, http = "INVALID_ARG", 422


class SigningKeyError(VeracityError):
    """The key cannot be read, is of another kind, or others may read it."""


class AuditLogError(VeracityError):
    """The log cannot be read or written."""


class TimestampError(VeracityError):
    """The service did not answer, refused, or answered something else than was asked."""

    triton, http = "UNAVAILABLE", 502
