"""What a server says of itself in the configuration of its detector, which Triton tells its callers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from veracity_client._version import __version__

FINGERPRINT = "veracity_fingerprint"  # a parameter of the configuration


@dataclass(frozen=True)
class ServerInfo:
    """``videos_at_once``: how many the server analyses at the same time.

    ``fingerprint``: VERSION-SHA256, of what its answers depend on beside the file and the options: code, models,
    calibration and limits. None where it does not say.
    """

    videos_at_once: int
    fingerprint: str | None


def read_info(config: Mapping[str, Any]) -> ServerInfo | None:
    """Read a configuration in Triton's JSON form; None for anything else."""
    try:
        count = sum(int(group.get("count", 1)) for group in config["instance_group"])
        said = config.get("parameters", {}).get(FINGERPRINT, {}).get("string_value")
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return ServerInfo(max(1, count), said if isinstance(said, str) else None)


def versioned(digest: str) -> str:
    """Return a server's fingerprint."""
    return f"{__version__}-{digest}"


def version_of(fingerprint: str) -> str:
    """Return the version of the server that a fingerprint is of."""
    return fingerprint.rpartition("-")[0]
