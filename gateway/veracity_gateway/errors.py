"""What can go wrong in the gateway, beside the errors of :mod:`veracity_client.errors`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from veracity_client.errors import BadOption, VeracityError


class BadRequest(BadOption):
    """The request is not as the documentation says: a wrong field, no file, two files."""


class BadUrl(BadOption):
    """A ``video_url`` or the target of a webhook that may not be asked, or that did not answer with media."""


class NotFound(VeracityError):
    """There is no such job or page, or it belongs to someone else."""

    http = 404


class NotAllowed(VeracityError):
    """The path is there, and not with this method."""

    http = 405


class Forbidden(VeracityError):
    """The key lacks the scope that this needs, or a page's request lacks its CSRF token."""

    http = 403


class WrongHost(VeracityError):
    """The request's ``Host`` is none that this gateway answers as."""

    http = 421


class Conflict(VeracityError):
    """It does not go with what is there: an ``Idempotency-Key`` of another request, a report of a job under way."""

    http = 409


class Gone(VeracityError):
    """It was there and was deleted: media after the verdict, for instance."""

    http = 410


class WrongVersion(VeracityError):
    """A request to ``/uploads`` that does not say ``Tus-Resumable: 1.0.0``."""

    http = 412
    headers: ClassVar[dict[str, str]] = {"Tus-Version": "1.0.0"}


class UploadBusy(VeracityError):
    """Another request writes to this upload at this moment."""

    http = 423


class ChecksumMismatch(VeracityError):
    """What came of an upload has not the ``Upload-Checksum`` that it was sent with; it was not kept."""

    http = 460


class UnsupportedType(VeracityError):
    """The body's content type is none that this address takes."""

    http = 415


class RangeNotSatisfiable(VeracityError):
    """The bytes that were asked for are not in the file."""

    http = 416

    def __init__(self, size: int) -> None:
        super().__init__(f"the file has {size:,} bytes")
        self.headers = {"Content-Range": f"bytes */{size}"}


class TooManyRequests(VeracityError):
    """More requests than the key's limit or quota; ``wait`` seconds later there is one again."""

    http = 429

    def __init__(self, message: str, wait: float = 1.0, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(max(1, math.ceil(wait))), **(headers or {})}


class UploadTimeout(VeracityError):
    """The body did not come in time."""

    http = 408


class UrlUnavailable(VeracityError):
    """The address that a caller named does not answer, or answers that it cannot now."""

    http = 502


class UrlTimeout(VeracityError):
    """The address that a caller named does not answer in time."""

    http = 504


class StoreUnavailable(VeracityError):
    """The database or the store of media does not answer."""

    http = 503


class SecretsKeyError(VeracityError):
    """The key that encrypts webhooks' secrets is missing, is another one, or others may read it."""


class StorageFull(VeracityError):
    """The disk or the bucket takes no more."""

    http = 507
