"""Finds the signed document in a report: JSON is it, HTML and PDF carry it."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any, Literal

from veracity_gateway.report.canonical import canonical, parse
from veracity_gateway.report.errors import BadEvidence, UnreadableReport
from veracity_gateway.report.html import EMBEDDED, embeddable
from veracity_gateway.report.pdf import ATTACHED

Kind = Literal["JSON", "HTML", "PDF"]
PARTS = {"evidence", "chain", "signature", "timestamp"}


@dataclass(frozen=True)
class Opened:
    """A report of some ``kind``, the ``text`` of its document, and the ``document``."""

    kind: Kind
    text: bytes
    document: dict[str, Any]

    @property
    def is_canonical(self) -> bool:
        """Whether the text is the one form of its data."""
        try:
            form = canonical(self.document)
        except BadEvidence:
            return False
        return self.text == (embeddable(form) if self.kind == "HTML" else form)


def open_report(content: bytes) -> Opened:
    """Read a report; raises :class:`UnreadableReport` for what is none."""
    kind, text = _document(content)
    try:
        document = parse(text)
    except ValueError as error:
        raise UnreadableReport(f"its document is no JSON: {error}") from None
    if not isinstance(document, dict) or not document.keys() >= PARTS:
        raise UnreadableReport(f"it is no report: one has {', '.join(sorted(PARTS))}")
    if not isinstance(document["evidence"], dict):
        raise UnreadableReport("it is no report: its evidence is no object")
    return Opened(kind, text, document)


def _document(content: bytes) -> tuple[Kind, bytes]:
    if content.startswith(b"%PDF-"):
        return "PDF", _attached(content)
    if content.lstrip()[:1] == b"<":
        return "HTML", _embedded(content)
    return "JSON", content


def _embedded(content: bytes) -> bytes:
    found = re.findall(re.escape(EMBEDDED.encode()) + b"(.*?)</script>", content, re.DOTALL)
    if len(found) != 1:
        raise UnreadableReport(f"the page carries {len(found) or 'no'} signed documents; a report carries one")
    document: bytes = found[0]
    return document


def _attached(content: bytes) -> bytes:
    from pypdf import PdfReader  # only for a PDF

    try:
        found = PdfReader(io.BytesIO(content)).attachments.get(ATTACHED, [])
    except Exception as error:  # whatever a forged PDF makes of it
        raise UnreadableReport(f"the PDF cannot be read: {error}") from None
    if len(found) != 1:
        raise UnreadableReport(f"the PDF carries {len(found) or 'no'} files {ATTACHED}; a report carries one")
    return bytes(found[0])
