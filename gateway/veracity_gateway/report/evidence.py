"""What a report says: a verdict, and all that is needed to judge what it rests on.

Nothing here reads a clock, a setting or the network: the same verdict with the same circumstances gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import msgspec

from veracity_client import __version__
from veracity_client.info import version_of
from veracity_client.options import Options
from veracity_client.verdict import Verdict
from veracity_gateway.report.canonical import canonical, clean
from veracity_gateway.report.errors import BadEvidence
from veracity_gateway.report.limits import limits_of

SCHEMA = "veracity-report/1"
CODE = (".py", ".jinja", ".css")  # of this folder: what decides how a report looks
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


@dataclass(frozen=True)
class Times:
    """When the file came, and when its analysis started and finished: with a time zone."""

    created: Moment
    started: Moment
    finished: Moment


@dataclass(frozen=True)
class Picture:
    """One picture that explains the verdict, as PNG."""

    title: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class Review:
    """What a person said of the verdict: ``agree``, ``disagree`` or ``cannot_tell``."""

    reviewer: str
    time: Moment
    opinion: str
    note: str = ""


@dataclass(frozen=True)
class Circumstances:
    """What the verdict does not say itself: the file's name, what was asked of which server, and when.

    ``versions`` are those of programs by name, as far as they are known. ``fingerprint`` is the server's version, and
    a digest of its code, models, calibration and limits (:class:`veracity_client.info.ServerInfo`).
    """

    name: str
    options: Options
    times: Times
    fingerprint: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """All that a report says; it is shown from this, and signed as this.

    ``report_code`` is the sha256 of the programs and templates that made the report. ``provenance`` is what the file
    claims of its own origin: it stands beside the verdict and took no part in it.
    """

    name: str
    verdict: Verdict
    options: Mapping[str, Any]
    times: Times
    fingerprint: str | None
    versions: Mapping[str, str]
    report_code: str
    limits: tuple[str, ...]
    provenance: Mapping[str, Any] | None
    pictures: tuple[Picture, ...]
    reviews: tuple[Review, ...]
    schema: str = SCHEMA


def make_evidence(
    verdict: Verdict,
    circumstances: Circumstances,
    *,
    provenance: Mapping[str, Any] | None = None,
    pictures: tuple[Picture, ...] = (),
    reviews: tuple[Review, ...] = (),
) -> Evidence:
    """Return the evidence; raises :class:`BadEvidence` for what fits no report, such as a time without a zone."""
    made = Evidence(
        name=circumstances.name,
        verdict=verdict,
        options=msgspec.to_builtins(circumstances.options),
        times=circumstances.times,
        fingerprint=circumstances.fingerprint,
        versions={"veracity-gateway": __version__, **_server(circumstances.fingerprint), **circumstances.versions},
        report_code=code_sha256(),
        limits=limits_of(verdict),
        provenance=provenance,
        pictures=pictures,
        reviews=reviews,
    )
    try:
        return msgspec.json.decode(canonical(clean(msgspec.to_builtins(made))), type=Evidence)
    except (TypeError, ValueError) as error:
        raise BadEvidence(f"no report can be made of this: {error}") from None


def _server(fingerprint: str | None) -> dict[str, str]:
    version = version_of(fingerprint or "")
    return {"veracity": version} if version else {}


@cache
def code_sha256() -> str:
    """Return one digest of the programs and templates of this folder."""
    found = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*")):
        if path.suffix in CODE:
            content = path.read_bytes()
            found.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return found.hexdigest()
