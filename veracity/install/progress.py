"""Progress of an installation: bars where somebody looks, lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from veracity.catalog import Source
from veracity.install.store import Bytes


@contextmanager
def bars() -> Iterator[tuple[Callable[[str], None], Bytes | None]]:
    """Yield what says a step and what draws the bytes of a download (None where standard error is no terminal)."""
    if not sys.stderr.isatty():
        yield (lambda line: print(line, file=sys.stderr, flush=True)), None  # noqa: T201
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, Any] = {}
        step = progress.add_task("", total=None)

        def say(line: str) -> None:
            progress.update(step, description=line)
            progress.console.print(line, highlight=False)

        def watch(source: Source, there: int, total: int | None) -> None:
            if source.name not in tasks:
                tasks[source.name] = progress.add_task(source.name, total=total)
            progress.update(tasks[source.name], completed=there, total=total)

        yield say, watch
