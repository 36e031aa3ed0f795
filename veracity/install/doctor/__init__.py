"""Examines everything a profile needs, by doing it: runs ffmpeg, resolves libraries, loads and asks every model."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from veracity.install.doctor import packages
from veracity.install.doctor.finding import Finding

if TYPE_CHECKING:
    from veracity.settings import Settings

COLOURS = {"ok": "green", "optional": "dim", "warning": "yellow", "missing": "yellow", "broken": "red"}
NO_FAULT = ("ok", "optional")


def examine(
    settings: Settings, *, graphs: bool = True, gpu_memory: Sequence[int] = (), memory: Sequence[int] = ()
) -> list[Finding]:
    """Examine the machine, the programs and the models of ``settings.profile``.

    Fatal in development: without it nothing can be scored, or it is broken. Fatal in production: every fault.
    Without ``graphs`` no graph is loaded and asked, which a server that starts does itself with each. The
    models are to fit into ``gpu_memory`` and ``memory``, sizes in bytes.
    """
    found = list(packages.examine())
    if not any(finding.fatal for finding in found):  # what follows imports them
        from veracity.install.doctor import machine, models
        from veracity.install.doctor import memory as models_memory

        found += [*machine.examine(settings), *models.examine(settings, graphs)]
        found += models_memory.examine(settings, gpu_memory, memory)
    strict = settings.env == "production"
    return [replace(f, fatal=f.fatal or (strict and f.state not in NO_FAULT)) for f in found]


def as_json(findings: list[Finding]) -> str:
    """Return the findings as one JSON document."""
    return json.dumps({"ok": not any(f.fatal for f in findings), "findings": [asdict(f) for f in findings]}) + "\n"


def as_table(findings: list[Finding]) -> str:
    """Return the findings as a table for a terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("what", "state", "detail", title="veracity doctor", title_justify="left")
    for f in findings:
        table.add_row(f.what, f"[{'red' if f.fatal else COLOURS[f.state]}]{f.state}[/]", escape(f.detail))
    buffer = io.StringIO()
    width = shutil.get_terminal_size((120, 24)).columns
    Console(file=buffer, width=width, force_terminal=sys.stdout.isatty()).print(table)
    return buffer.getvalue()
