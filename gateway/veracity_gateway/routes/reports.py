"""Signed reports of jobs, and the log that they are entered in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from veracity_gateway.audit import log_in
from veracity_gateway.gateway import Gateway
from veracity_gateway.report.canonical import canonical
from veracity_gateway.report.document import Report
from veracity_gateway.report.html import to_html
from veracity_gateway.report.pdf import to_pdf
from veracity_gateway.routes.jobs import JobId
from veracity_gateway.routes.parts import Admin, Reader, TheGateway

router = APIRouter(tags=["reports"])

# the page carries a policy of its own, which knows the digest of its style; both hold
CSP = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; sandbox"


def _answers(kind: str, schema: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": "The report", "content": {kind: {"schema": schema}}}}


TEXT, BYTES = {"type": "string"}, {"type": "string", "format": "binary"}
PARTS = ("evidence", "signature", "chain", "timestamp")
OBJECT = {"type": "object", "required": list(PARTS), "properties": {name: {} for name in PARTS}}


@router.get("/jobs/{job_id}/report.json", response_class=Response, responses=_answers("application/json", OBJECT))
def report_json(job_id: JobId, gateway: TheGateway, caller: Reader) -> Response:
    """Return the signed report: what `veracity verify` checks."""
    return Response(_report(job_id, gateway, caller.sees).to_json(), media_type="application/json")


@router.get("/jobs/{job_id}/report.html", response_class=Response, responses=_answers("text/html", TEXT))
def report_html(job_id: JobId, gateway: TheGateway, caller: Reader) -> Response:
    """Return the report as one self-contained page."""
    page = to_html(_report(job_id, gateway, caller.sees))
    return Response(page, media_type="text/html", headers={"Content-Security-Policy": CSP})


@router.get("/jobs/{job_id}/report.pdf", response_class=Response, responses=_answers("application/pdf", BYTES))
async def report_pdf(job_id: JobId, gateway: TheGateway, caller: Reader) -> Response:
    """Return the report as PDF."""
    report = await run_sync(_report, job_id, gateway, caller.sees)
    return Response(await gateway.slow.run(to_pdf, report), media_type="application/pdf")


@router.get("/audit", response_class=StreamingResponse, responses=_answers("application/jsonl", TEXT))
def audit(gateway: TheGateway, _caller: Admin) -> StreamingResponse:
    """Return the audit log, an entry a line: what `veracity verify --audit` reads."""
    return StreamingResponse(_lines(gateway), media_type="application/jsonl")


def _report(job_id: str, gateway: Gateway, owner: str | None) -> Report:
    return gateway.reports.of(gateway.queries.job(job_id, owner))


def _lines(gateway: Gateway) -> Iterator[bytes]:
    with gateway.database.reading() as session:
        entries = list(log_in(session).entries())
    for entry in entries:
        yield canonical(entry) + b"\n"
