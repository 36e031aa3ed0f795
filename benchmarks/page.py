"""One HTML page of a measurement: nothing is fetched, and it can be read in light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from benchmarks.tally import Subject, labels
from training.metrics import MEASURES
from training.scores import Said

STYLE = """
:root { color-scheme: light dark; --real: #2a78c8; --fake: #d1541f; --faint: #8888; --line: #8884; }
@media (prefers-color-scheme: dark) { :root { --real: #6db3ff; --fake: #ff8f5c; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .6rem 0 1.4rem; font-size: 13px; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .2rem .7rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
small, .faint { opacity: .7; } small { display: block; } svg { width: 100%; height: auto; }
summary { cursor: pointer; } code { font-size: 12px; }
"""
NOTE = (
    "Intervals are 95 %: of figures from 1000 resamples of the clips, reals and fakes apart and a clip's items "
    "together; of shares Wilson's. They tell the luck of these clips, not what other sources, people or tools would "
    "give. With fewer than ten clips of a label they say little. Of a group of one label the AUC is against all clips "
    "of the other label and of its kind. Sound files and still pictures are analysed as they are."
)
Cell = str | tuple[str, str]  # a figure has its interval under it


def write(document: Mapping[str, Any], said: Sequence[Said], about: Sequence[Subject]) -> str:
    """The page of an accuracy measurement; ``document`` is its JSON, ``said`` what the curves are drawn from."""
    measured = document["subjects"]
    body = [
        f"<h1>{escape(document['title'])}</h1>",
        _circumstances(document),
        f"<p>{escape(_verdicts(document))}</p>",
        "<h2>Overall, per clip</h2>",
        _overall((name, found, found["scored"]) for name, found in measured.items()),
        "<h2>Per item</h2>",
        _overall((f"{name}: {of['item']}", of, of) for name, found in measured.items() if (of := found["items"])),
        *(_subject(subject, measured[subject.name], said) for subject in about),
        robustness(document["robustness"]) if document.get("robustness") else "",
        _errors(document["errors"]),
        "<h2>What the figures mean</h2>",
        _table(("measure", "meaning"), [(name, measure.meaning) for name, measure in MEASURES.items()]),
        f"<p>{escape(NOTE)}</p>",
    ]
    return html(document["title"], body)


def html(title: str, body: Iterable[str]) -> str:
    """A whole page around its parts."""
    head = f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>{escape(title)}</title>"
    return (
        f"<!doctype html><html lang='en'><head>{head}<style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def robustness(document: Mapping[str, Any]) -> str:
    """The table of conditions: AUC of each layer and of the verdict, and how much is left without a score."""
    names = list(document["conditions"][0]["subjects"])
    rows: list[list[Cell]] = []
    for condition in document["conditions"]:
        cells: list[Cell] = [(condition["name"], condition["what"]), str(condition["altered"])]
        for name in names:
            found = condition["subjects"][name]
            value, interval = _figure((found["figures"] or {}).get("auc"))
            cells.append((value, f"{interval} · {found['without_score']['share']['value']:.0%} without a score"))
        cells.append(f"{condition['decided']['inconclusive']['value']:.0%}")
        rows.append(cells)
    head = ("condition", "clips altered", *(f"AUC {name}" for name in names), "inconclusive")
    words = "Every row is over the same clips: one that a condition cannot alter keeps what was said of it as it is."
    return f"<h2>Robustness</h2><p>{words}</p>{_table(head, rows, number_from=1)}"


def _circumstances(document: Mapping[str, Any]) -> str:
    machine, manifest, clips = document["machine"], document["manifest"], document["clips"]
    models = "<br>".join(f"{escape(name)} <code>{sha[:16]}</code>" for name, sha in document["models"].items())
    facts = {
        "media": f"{manifest['name']} <code>{manifest['sha256'][:16]}</code>, split {escape(manifest['split'])}: "
        f"{clips['real']} real and {clips['fake']} fake clips, {document['seconds'] / 60:.0f} minutes",
        "through": escape(document["through"]),
        "models": models or "none answered",
        "code": f"version {escape(document['version'])}, commit <code>{escape(document['commit'])}</code>",
        "when and where": f"{escape(document['date'])}, {machine['cores']} cores of {escape(machine['cpu'])}",
    }
    rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in facts.items())
    return f"<table>{rows}</table>"


def _verdicts(document: Mapping[str, Any]) -> str:
    decided, bounds = document["decided"], document["thresholds"]
    wrong = decided["wrong"]
    words = f"{wrong['value']:.1%} [{wrong['low']:.1%}, {wrong['high']:.1%}] of those wrongly" if wrong else "none"
    return (
        f"The verdict says fake from P(fake) {bounds['fake']:.2f} on and real down to {bounds['real']:.2f}: it decides "
        f"on {decided['real']} real and {decided['fake']} fake clips, {words}; {decided['inconclusive']['value']:.1%} "
        "stay inconclusive or could not be analysed."
    )


def _overall(rows: Iterable[tuple[str, Mapping[str, Any], Mapping[str, int]]]) -> str:
    head = ("", "real", "fake", *(name.replace("_", " ") for name in MEASURES))
    cells: list[list[Cell]] = []
    for name, found, count in rows:
        line: list[Cell] = [name, str(count["real"]), str(count["fake"])]
        if found["figures"] is None:
            line += [("–", found["unmeasurable"])]
        else:
            line += [_figure(found["figures"][measure]) for measure in MEASURES]
        cells.append(line)
    return _table(head, cells, number_from=1)


def _subject(subject: Subject, found: Mapping[str, Any], said: Sequence[Said]) -> str:
    from benchmarks import figures  # matplotlib takes a second to load, and only this needs it

    parts = [f"<h2>{escape(subject.name)}</h2>"]
    scored = subject.scored(said)
    if found["figures"]:
        parts.append(figures.panels(labels(scored), subject.scores(scored), subject.name))
    else:
        parts.append(f"<p>Not measurable: {escape(found['unmeasurable'])}.</p>")
    words = sorted({word for row in found["confusion"].values() for word in row})
    counts = [[f"is {label}", *(str(row.get(word, 0)) for word in words)] for label, row in found["confusion"].items()]
    parts.append(_table(("", *(f"called {w}" if w in ("fake", "real") else w for w in words)), counts, number_from=1))
    if found["reasons"]:
        missing = [(row["reason"], str(row["real"]), str(row["fake"])) for row in found["reasons"]]
        share = found["without_score"]["share"]["value"]
        parts.append(f"<p>Without a score: {share:.1%} of the clips.</p>")
        parts.append(_table(("why", "real", "fake"), missing, number_from=1))
    for of, rows in found["by"].items():
        parts.append(f"<details><summary>by {of}</summary>{_groups(of, rows)}</details>")
    return "".join(parts)


def _groups(of: str, rows: Sequence[Mapping[str, Any]]) -> str:
    cells: list[list[Cell]] = []
    for row in rows:
        line: list[Cell] = [row[of], row["label"], str(row["clips"]), str(row["scored"])]
        if row["scored"]:
            line += [f"{row['mean_fake_probability']:.2f}", _figure(row["wrong"]), _figure(row["auc"])]
        cells.append(line)
    head = (of, "label", "clips", "scored", "mean P(fake)", "wrong at one half", "AUC against the rest")
    return _table(head, cells, number_from=2)


def _errors(errors: Sequence[Mapping[str, str]]) -> str:
    if not errors:
        return "<h2>Errors</h2><p>Every clip could be analysed.</p>"
    rows = [(one["id"], one["label"], one["error"]) for one in errors]
    return f"<h2>Errors</h2>{_table(('clip', 'label', 'error'), rows)}"


def _figure(of: Mapping[str, float] | None) -> tuple[str, str]:
    return (f"{of['value']:.3f}", f"{of['low']:.3f}–{of['high']:.3f}") if of else ("–", "")


def _table(head: Sequence[str], rows: Iterable[Sequence[Cell]], number_from: int = 99) -> str:
    """A table; columns from ``number_from`` on hold figures."""

    def line(cells: Sequence[Cell], tag: str) -> str:
        kinds = (f"<{tag} class='n'>" if at >= number_from else f"<{tag}>" for at in range(len(cells)))
        return "<tr>" + "".join(f"{kind}{_cell(cell)}</{tag}>" for kind, cell in zip(kinds, cells)) + "</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return escape(cell)
    return f"{escape(cell[0])}<small>{escape(cell[1])}</small>" if cell[1] else escape(cell[0])
