"""What a person, or a program, is told of releases."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from veracity.releases.agreement import agreement
from veracity.releases.gate_result import Gate
from veracity.releases.serving import serving
from veracity.releases.store import ANSWERS, AUDIT, Store
from veracity_gateway.report.audit import AuditLog, FileRows

LAST = 5  # entries of the audit log
TOLD = ("current", "previous", "candidate", "mode", "share", "releases", "agreement", "audit_faults")


def print_gate(found: Gate) -> None:
    """Print the differences, and what they come to."""
    table = Table("", "current", "candidate", "difference, 95 %", "margin", "", box=None)
    for name, one in found.differences.items():
        values = (f"{one.current:.3f}", f"{one.candidate:.3f}", f"{one.low:+.3f} to {one.high:+.3f}", f"{one.margin:g}")
        table.add_row(name, *values, "passed" if one.passed else "not passed")
    console = Console(highlight=False)
    console.print(table)
    word = "passed" if found.passed else "; ".join(found.why)
    console.print(f"{found.real} real and {found.fake} fake clips: {word}", markup=False)


def show_status(store: Store, *, as_json: bool) -> int:
    """Print which release is what, and the last steps; returns 1 where the audit log was changed."""
    state, log = store.state(), AuditLog(FileRows(store.folder / AUDIT))
    audited = (store.folder / AUDIT).is_file()
    found: dict[str, Any] = {
        "current": state.current, "previous": state.previous, "candidate": state.candidate, "mode": state.mode,
        "share": state.share, "releases": store.names(), "serving": serving(store),
        "audit_faults": log.check() if audited else [],
    }  # fmt: skip
    if state.trying and state.current:
        found["agreement"] = asdict(agreement(*(store.path(name) / ANSWERS for name in (state.current, state.trying))))
    if as_json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return int(bool(found["audit_faults"]))
    sys.stdout.writelines(f"{name.replace('_', ' ')}: {found[name]}\n" for name in TOLD if found.get(name))
    sys.stdout.write(f"served: {', '.join(found['serving']['runs']) if found['serving'] else 'no'}\n")
    if audited and not found["audit_faults"]:
        sys.stdout.writelines(f"{e.time}  {e.event}  {e.subject}\n" for e in list(log.entries())[-LAST:])
    return int(bool(found["audit_faults"]))
