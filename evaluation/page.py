"""The HTML pages of the measurements, with tables and curves, one file each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from evaluation.markup import Cell, details, facts, page, table
from evaluation.outputs import VERDICT, ScoredOutput, labels
from veracity.calibrate.metrics import MEASURES
from veracity.calibrate.scores import ScoredClip

CALLED = ("fake", "inconclusive", "real", "no score", "error")
FEW = 10  # clips, below which a group's figures and their intervals say little
SHORT = {"auc": "AUC", "average_precision": "AP", "eer": "EER", "fpr_at_95_tpr": "FPR at 95 % TPR", "f1": "F1",
         "ece": "ECE", "ece_even": "ECE, even"}  # fmt: skip
NOTE = (
    "Intervals are 95 %: of figures from 1000 resamples of the clips, reals and fakes apart and a clip's items "
    "together; of shares Wilson's. They tell the luck of these clips, not what other sources, people or tools would "
    "give. Of few clips they say little, of one nothing. A group of one label is held against all clips of the other "
    "label and of its kinds, a group of both against itself; precision, F1 and ECE follow how many there are of each. "
    "What has no score takes part in no figure, and is counted. Sound files and still pictures are analysed as they "
    "are."
)
ROBUSTNESS = (
    "Every row is over the same clips: one that a condition cannot alter keeps what was said of it as it is. AUC, its "
    "95 % interval, and how many of the clips have no score."
)


def write(document: Mapping[str, Any], said: Sequence[ScoredClip], about: Sequence[ScoredOutput]) -> str:
    """The page of an accuracy measurement; ``document`` is its JSON, ``said`` the clips of the curves."""
    measured = document["subjects"]
    beside = document.get("robustness")
    body = [
        _circumstances(document),
        f"<p>{escape(_verdicts(document))}</p>",
        "<h2>Overall, per clip</h2>",
        _overall("overall, per clip", measured),
        "<h2>Overall, per item</h2>",
        _overall("overall, per item", {f"{name}: {of['item']}": of for name, found in measured.items()
                                       if (of := found["items"])}),
        *(_subject(output, measured[output.name], said) for output in about),
        f"<h2>Robustness</h2>{_conditions(beside)}" if beside else "",
        _errors(document["errors"]),
        "<h2>What the figures mean</h2>",
        table("measures", ("measure", "meaning"), [(short(name), of.meaning) for name, of in MEASURES.items()]),
        f"<p>{escape(NOTE)}</p>",
    ]  # fmt: skip
    return page(document["title"], body)


def robustness(document: Mapping[str, Any]) -> str:
    """The page of a robustness measurement out of its JSON: the table of conditions, and all figures of each."""
    every = (
        details(f"{one['name']}: all figures", _overall(one["name"], one["subjects"])) for one in document["conditions"]
    )
    return page(document["title"], [_circumstances(document), _conditions(document), *every, f"<p>{escape(NOTE)}</p>"])


def short(measure: str) -> str:
    """A measure's name for a person."""
    return SHORT.get(measure, measure.replace("_", " "))


def worded(figure: Mapping[str, float]) -> str:
    """A figure with its interval, in a sentence."""
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _conditions(document: Mapping[str, Any]) -> str:
    names = list(document["conditions"][0]["subjects"])
    rows: list[list[Cell]] = []
    for condition in document["conditions"]:
        cells: list[Cell] = [(condition["name"], condition["what"]), str(condition["altered"])]
        for name in names:
            found = condition["subjects"][name]
            silent = sum(found["without_score"][label] for label in ("real", "fake"))
            cells.append((*_figure((found["figures"] or {}).get("auc")), f"{silent} without" if silent else ""))
        cells.append(_share(condition["decided"]["inconclusive"]))
        rows.append(cells)
    head = ("condition", "clips altered", *(f"AUC {name}" for name in names), "inconclusive")
    return f"<p>{ROBUSTNESS}</p>{table('robustness', head, rows, number_from=1)}"


def _circumstances(document: Mapping[str, Any]) -> str:
    machine, manifest, clips = document["machine"], document["manifest"], document["clips"]
    models = "<br>".join(f"{escape(name)} <code>{sha[:16]}</code>" for name, sha in document["models"].items())
    return facts(
        {
            "media": f"{escape(manifest['name'])} <code>{manifest['sha256'][:16]}</code>, split "
            f"{escape(manifest['split'])}: {clips['real']} real and {clips['fake']} fake clips, "
            f"{document['seconds'] / 60:.1f} minutes",
            "through": escape(document["through"]),
            "models": models or "none answered",
            "code": f"version {escape(document['version'])}, commit <code>{escape(document['commit'])}</code>",
            "when and where": f"{escape(document['date'])}, {machine['cores']} cores of {escape(machine['cpu'])}",
        }.items()
    )


def _verdicts(document: Mapping[str, Any]) -> str:
    decided = document["decided"]
    bounds = "; ".join(
        f"{escape(kind)} fake from P(fake) {of['fake']:.2f} on and real down to {of['real']:.2f}"
        for kind, of in sorted(document["thresholds"].items())
    )
    wrong = decided["wrong"]
    words = f"{wrong['value']:.1%} [{wrong['low']:.1%}, {wrong['high']:.1%}] of those wrongly" if wrong else "none"
    return (
        f"The verdict calls {bounds}. It decides on {decided['real']} real and {decided['fake']} fake clips, {words}; "
        f"{decided['inconclusive']['value']:.1%} "
        "stay inconclusive or could not be analysed."
    )


def _overall(about: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Clips with the number without a score; items."""
    per_clip = any("without_score" in found for found in rows.values())
    lines: list[list[Cell]] = []
    for name, found in rows.items():
        count = found.get("scored", found)
        line: list[Cell] = [name, str(count["real"]), str(count["fake"])]
        if per_clip:
            line.append(_without(found))
        lines.append([*line, *_measures(found)])
    missing = ["without a score"] if per_clip else []
    return table(about, ("", "real", "fake", *missing, *_head(MEASURES)), lines, number_from=1)


def _without(found: Mapping[str, Any]) -> Cell:
    of = found["without_score"]
    return (f"{of['real'] + of['fake']}", f"{of['share']['value']:.1%}")


def _head(names: Iterable[str]) -> list[Cell]:
    return [(short(name), MEASURES[name].meaning) for name in names]


def _measures(found: Mapping[str, Any], names: Iterable[str] = MEASURES) -> list[Cell]:
    if not found.get("figures"):
        return [("–", found.get("unmeasurable", "no score"))]
    return [_figure(found["figures"][name]) for name in names]


def _subject(output: ScoredOutput, found: Mapping[str, Any], said: Sequence[ScoredClip]) -> str:
    parts = [f"<h2>{escape(output.name)}</h2>"]
    if found["figures"]:
        parts.append(_panels(output, found, output.scored(said)))
    else:
        parts.append(f"<p>Not measurable: {escape(found['unmeasurable'])}.</p>")
    parts.append(_confusion(f"{output.name}, clips", found["confusion"]))
    if found["reasons"]:
        missing = [(row["reason"], str(row["real"]), str(row["fake"])) for row in found["reasons"]]
        parts.append(f"<p>Without a score: {found['without_score']['share']['value']:.1%} of the clips.</p>")
        parts.append(table(f"{output.name}, why there is no score", ("why", "real", "fake"), missing, number_from=1))
    if found["items"]:
        parts.append(details("items called what", _confusion(f"{output.name}, items", found["items"]["confusion"])))
    for of, rows in found["by"].items():
        parts.append(details(f"by {of}", _groups(output, of, rows)))
    return "".join(parts)


def _panels(output: ScoredOutput, found: Mapping[str, Any], scored: Sequence[ScoredClip]) -> str:
    from evaluation import figures  # matplotlib takes a second to load, and only this needs it

    captions = _captions(found)
    about = {panel: f"{output.name}, {panel}: {words}" for panel, words in captions.items()}
    drawn = figures.panels(labels(scored), output.scores(scored), output.name, about)
    each = (
        f"<figure><figcaption><b>{panel}</b>{escape(captions[panel])}</figcaption>{svg}</figure>"
        for panel, svg in drawn.items()
    )
    return f"<div class='panels'>{''.join(each)}</div>"


def _captions(found: Mapping[str, Any]) -> dict[str, str]:
    """Legends of the curves, in figures."""
    auc, eer, ece = (worded(found["figures"][name]) for name in ("auc", "eer", "ece"))
    counts, missing = found["scored"], found["without_score"]
    silent = missing["real"] + missing["fake"]
    return {
        "ROC": f"AUC {auc}",
        "DET": f"EER {eer}",
        "reliability": f"ECE {ece}; the larger a dot, the more clips",
        "scores": f"{counts['real']} real and {counts['fake']} fake clips; {silent} more have no score",
    }


def _confusion(about: str, confusion: Mapping[str, Mapping[str, int]]) -> str:
    words = [word for word in CALLED if any(word in row for row in confusion.values())]
    counts = [[f"is {label}", *(str(row.get(word, 0)) for word in words)] for label, row in confusion.items()]
    return table(f"{about}: called what", ("", *map(_call, words)), counts, number_from=1)


def _call(word: str) -> str:
    return f"called {word}" if word in ("fake", "real") else word


def _groups(output: ScoredOutput, of: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Per clip, and under it per item."""
    names = next((list(row["figures"]) for row in rows if row.get("figures")), ["auc"])
    words = [word for word in CALLED if any(word in row["called"] for row in rows)]
    lines: list[list[Cell]] = []
    for row in rows:
        counts = [str(row["called"].get(word, 0)) for word in words]
        label = (row["label"], "few" if row["scored"] < FEW else "")
        line: list[Cell] = [row[of], label, str(row["clips"]), *counts]
        if row["scored"]:
            line += [f"{row['mean_fake_probability']:.2f}", _figure(row["wrong"])]
        if "figures" in row:
            line += _measures(row, names)
        lines.append(line)
    head = (of, "label", "clips", *map(_call, words), "mean P(fake)", "wrong at one half", *_head(names))
    clips = table(f"{output.name} by {of}, clips", head, lines, number_from=2)
    return clips + _group_items(output, of, [row for row in rows if row.get("items")], names)


def _group_items(output: ScoredOutput, of: str, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    if output.name == VERDICT or not rows:
        return ""
    lines: list[list[Cell]] = []
    for row in rows:
        items = row["items"]
        lines.append([row[of], row["label"], str(items["real"] + items["fake"]), *_measures(items, names)])
    head = (of, "label", "items", *_head(names))
    about = f"{output.name} by {of}, items"
    return f"<p>Per item ({escape(output.item)}):</p>{table(about, head, lines, number_from=2)}"


def _errors(errors: Sequence[Mapping[str, str]]) -> str:
    if not errors:
        return "<h2>Errors</h2><p>Every clip could be analysed.</p>"
    rows = [(one["id"], one["label"], one["error"]) for one in errors]
    return f"<h2>Errors</h2>{table('errors', ('clip', 'label', 'error'), rows)}"


def _share(of: Mapping[str, float]) -> tuple[str, str]:
    return f"{of['value']:.0%}", f"{of['low']:.0%}–{of['high']:.0%}"


def _figure(of: Mapping[str, float] | None) -> tuple[str, str]:
    return (f"{of['value']:.3f}", f"{of['low']:.3f}–{of['high']:.3f}") if of else ("–", "")
