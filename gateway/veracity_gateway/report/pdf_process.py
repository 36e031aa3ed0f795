"""Reads a report on standard input, writes its PDF to standard output. :mod:`veracity_gateway.report.pdf` runs it."""

from __future__ import annotations

import sys

from weasyprint import HTML, Attachment
from weasyprint.urls import URLFetcher

from veracity_gateway.report.canonical import digest
from veracity_gateway.report.document import Report
from veracity_gateway.report.html import to_html
from veracity_gateway.report.pdf import ATTACHED


def main() -> None:
    """Make the PDF."""
    document = sys.stdin.buffer.read()
    report = Report.from_json(document)
    made = report.evidence.times.finished
    attached = Attachment(
        string=document.decode(),
        name=ATTACHED,
        description="The signed report, which veracity verify checks",
        created=made,
        modified=made,
        relationship="Source",
    )
    page = HTML(string=to_html(report), url_fetcher=URLFetcher(allowed_protocols=["data"]))
    identifier = bytes.fromhex(digest(report)[:32])
    pdf = page.write_pdf(attachments=[attached], pdf_identifier=identifier, pdf_tags=True, media_type="print")
    sys.stdout.buffer.write(pdf)


if __name__ == "__main__":
    main()
