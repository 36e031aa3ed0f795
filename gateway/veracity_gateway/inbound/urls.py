"""A file from an address: http or https, public, within size and time, and media by its first bytes."""

from __future__ import annotations

from pathlib import Path

from veracity_gateway.errors import BadUrl
from veracity_gateway.inbound.files import Received
from veracity_gateway.settings import Settings


def check_url(url: str) -> str:
    """Return an address that may be asked as far as its text says; raises :class:`BadUrl`."""
    raise NotImplementedError


def name_of(url: str) -> str:
    """Return the file name in an address."""
    raise NotImplementedError


async def fetch(url: str, folder: Path, settings: Settings) -> Received:
    """Fetch a file into a folder; raises :class:`BadUrl`, TooLarge or UploadTimeout, and leaves nothing then."""
    raise BadUrl("not yet")
