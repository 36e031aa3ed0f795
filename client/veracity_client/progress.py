"""Progress over many files, on standard error where that is a terminal, and nothing where it is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


class FilesProgress:
    """Counts files of ``total``; any thread may call :meth:`done`."""

    def __init__(self, total: int, jobs: int) -> None:
        self._bar = _bar(total, jobs) if total > 1 and sys.stderr.isatty() else None

    def __enter__(self) -> FilesProgress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def done(self, *, asked: bool) -> None:
        """Count a file. Those that an earlier run ``asked`` about say nothing of the time that is left."""
        if self._bar:
            (task,) = self._bar.tasks
            self._bar.update(task.id, advance=1, asked=task.fields["asked"] + asked)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the bar away while something is printed, on the same terminal perhaps."""
        if not self._bar:
            yield
            return
        self._bar.stop()
        yield
        self._bar.start()


def _bar(total: int, jobs: int) -> Progress | None:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
        from rich.table import Column
        from rich.text import Text
    except ModuleNotFoundError:  # --json does without
        return None

    class TimeLeft(ProgressColumn):
        max_refresh = 0.5  # seconds

        def render(self, task: Task) -> Text:
            """Say how long the rest takes at the rate so far: rich's own column looks at the last 30 s alone."""
            if not task.fields["asked"] or task.elapsed is None:
                return Text("")
            left = task.elapsed / task.fields["asked"] * (total - task.completed)
            return Text(f"about {timedelta(seconds=round(left))} left")

    bar = Progress(
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TextColumn(f"files, {jobs} at a time", markup=False),
        BarColumn(20),
        TimeLeft(table_column=Column(no_wrap=True)),  # one line, which is all that is taken away
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    bar.add_task("files", total=total, asked=0)
    return bar
