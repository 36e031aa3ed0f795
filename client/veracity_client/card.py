"""What a person sees: progress while it runs, then a card a file. Needs rich (the extra ``cli``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from veracity_client.client import Detector
from veracity_client.console import printable
from veracity_client.errors import InternalError, VeracityError
from veracity_client.results import Line
from veracity_client.verdict import LayerResult, Options, Span, StageEvent, Verdict

COLOURS = {"fake": "red", "real": "green", "inconclusive": "yellow"}
WORST = 3  # moments on the card


def clock(seconds: float) -> str:
    """Return minutes and seconds: 63.25 is 1:03.2."""
    minutes, rest = divmod(int(seconds * 10), 600)
    return f"{minutes}:{rest / 10:04.1f}"


class Screen:
    """Cards on standard output, progress and errors on standard error."""

    def __init__(self) -> None:
        self._out = Console(highlight=False, emoji=False, markup=False)
        self._err = Console(highlight=False, emoji=False, markup=False, stderr=True)

    def watch(self, name: str, detector: Detector, video: bytes, options: Options) -> Verdict:
        """Analyse, with progress where standard error is a terminal and the transport sends stages."""
        if detector.protocol == "http" or not self._err.is_terminal:
            return detector.analyze(video, options)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._err, transient=True) as progress:
            return _follow(detector.stages(video, options), progress, printable(name))

    def show(self, name: str, found: Verdict | VeracityError | Line, _text: str) -> None:
        """Print the card, or the error in one line; of what an earlier run answered the error alone."""
        said = found.error if isinstance(found, Line) else found
        if isinstance(said, Verdict):
            self._out.print(card(name, said))
        elif said:
            self._line(f"{name}: {said.to_wire()}")

    def failed(self, _names: Iterable[str], error: VeracityError) -> None:
        """Print the error of the whole run in one line."""
        self._line(error.to_wire())

    def _line(self, text: str) -> None:
        self._err.print(Text(printable(text)), soft_wrap=True)


def _follow(events: Iterator[StageEvent | Verdict], progress: Progress, name: str) -> Verdict:
    tasks: dict[str, TaskID] = {}
    progress.add_task(name, total=None)
    for event in events:
        if isinstance(event, Verdict):
            return event
        if event.stage not in tasks:
            tasks[event.stage] = progress.add_task(f"  {printable(event.stage)}", total=None)
        done = 1.0 if event.status == "done" else event.progress
        if done is not None:
            progress.update(tasks[event.stage], total=1.0, completed=done)
    raise InternalError("the stream ended without a verdict")


def card(name: str, verdict: Verdict) -> Panel:
    """Lay out one verdict."""
    colour = COLOURS.get(verdict.label, "default")
    parts: list[RenderableType] = [
        Text(printable(name), "bold", overflow="fold"),
        _headline(verdict, colour),
        Text(printable(verdict.reasoning)),
        Text(),
        _layers(verdict),
    ]
    parts += [Text(), *_moments(verdict)] if any(verdict.timeline.values()) else []
    parts += [Text(), *_notes(verdict)]
    return Panel(Group(*parts), border_style=colour, padding=(0, 1))


def _headline(verdict: Verdict, colour: str) -> Text:
    said = "no score" if verdict.fake_probability is None else f"P(fake) {verdict.fake_probability:.2f}"
    headline = Text(verdict.label.upper(), style=f"bold {colour}")
    return headline.append(f"   {said}   confidence {verdict.confidence:.2f}", style="default not bold")


def _layers(verdict: Verdict) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("layer")
    table.add_column("status")
    table.add_column("P(fake)", justify="right")
    table.add_column("why", ratio=1, overflow="fold")
    for key, result in sorted(verdict.layer_results.items()):
        score = "–" if result.fake_probability is None else f"{result.fake_probability:.2f}"
        cells = (Text(printable(cell)) for cell in (key, result.status, score))
        table.add_row(*cells, Text(printable(_why(result))).append_text(_measured(result)))
    return table


def _measured(result: LayerResult) -> Text:
    """Say on a line of its own how well each model that answered measured."""
    said = (f"\n{printable(f'{model.name}: {model.measured}')}" for model in result.models if model.measured)
    return Text("".join(said), style="dim")


def _why(result: LayerResult) -> str:
    return (result.reasoning or result.reason) if result.status == "scored" else (result.reason or result.reasoning)


def _moments(verdict: Verdict) -> list[Text]:
    """Return the highest scores with their times, whatever the label."""
    spans = [(span, layer) for layer, found in verdict.timeline.items() for span in found]
    worst = sorted(spans, key=lambda pair: (-pair[0].score, pair[0].start))[:WORST]
    return [Text("worst moments", style="bold"), *(Text(_moment(span, layer)) for span, layer in worst)]


def _moment(span: Span, layer: str) -> str:
    return printable(f"  {clock(span.start)} – {clock(span.end)}   {span.score:.2f}   {layer}")


def _notes(verdict: Verdict) -> list[Text]:
    notes = [f"profile {verdict.profile.name}: {verdict.profile.statement}"]
    if not verdict.calibrated and verdict.fake_probability is not None:
        notes.append("not calibrated: a higher probability means more likely fake, but it is not a frequency")
    notes.append(f"policy {verdict.policy}, {verdict.processing_time:.2f} s")
    lines = [Text(printable(note), style="dim") for note in notes]
    return [Text(printable(_degraded(verdict)), "yellow"), *lines] if verdict.degraded else lines


def _degraded(verdict: Verdict) -> str:
    if verdict.degraded_reasons:
        return f"degraded: {'; '.join(reason.text for reason in verdict.degraded_reasons)}"
    failed = [key for key, result in sorted(verdict.layer_results.items()) if result.status == "failed"]
    if failed:
        return f"degraded: {', '.join(failed)} failed and did not count in this verdict"
    return "degraded: a model did not answer, or the file could not be read to its end; the reasons above say which"
