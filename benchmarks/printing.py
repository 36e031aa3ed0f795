"""Tables on the screen, and what broke a promise below them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

BROKEN = "broken"  # the key of a row's list of sentences


def show(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a row for each mapping, a column for each of its words and numbers, then the broken promises of all."""
    names = dict.fromkeys(name for row in rows for name, value in row.items() if isinstance(value, (str, int, float)))
    table = Table(*(name.replace("_", " ") for name in names), title=title, title_justify="left")
    for row in rows:
        table.add_row(*(str(row.get(name, "")) for name in names))
    console = Console()
    console.print(table)
    for sentence in (sentence for row in rows for sentence in row.get(BROKEN, ())):
        console.print(f"broken: {sentence}", markup=False)
