"""The report as PDF, from its HTML; the signed document is attached to it as ``report.json``.

It is made in a process of its own: the dates that fontTools writes into fonts follow the environment, and the same
report is to give the same bytes.
"""

from __future__ import annotations

import os
import subprocess
import sys

from veracity_client.errors import InternalError
from veracity_gateway.report.document import Report

ATTACHED = "report.json"
SECONDS = 300.0


def to_pdf(report: Report) -> bytes:
    """Return the PDF. The same report gives the same bytes, with the same fonts and the same version of WeasyPrint."""
    date = str(int(report.evidence.times.finished.timestamp()))
    environment = {**os.environ, "SOURCE_DATE_EPOCH": date, "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "veracity_gateway.report.pdf_process"]
    try:
        done = subprocess.run(
            command, input=report.to_json(), capture_output=True, env=environment, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise InternalError(f"the PDF was not made within {SECONDS:.0f} s") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise InternalError(f"the PDF could not be made: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout
