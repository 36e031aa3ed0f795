"""The documents' tables of forensic practice, out of the committed result of ``python -m benchmarks accuracy``.

A result that is older than a measure does not have it: then the table says so in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from evaluation.markdown import NOTHING, figure, origin, percent, table
from evaluation.practice import ALL, attacks_of
from evaluation.quality_gate import CUES, Followed, Moved
from evaluation.results import RefusedResult, load
from evaluation.tables import KINDS, LAYERS, block
from veracity.catalog import MODELS
from veracity.catalog.layers import FileKind

_SHOWN = {
    "cllr": "Cllr", "cllr_min": "Cllr min", "misleading_to_fake": "reals misled to fake",
    "misleading_to_real": "fakes misled to real", "eer_hull": "EER, hull", "min_dcf": "minDCF", "act_dcf": "actDCF",
    "tpr_at_1_fpr": "TPR at 1 % FPR", "tpr_at_01_fpr": "TPR at 0.1 % FPR", "aurc": "AURC",
}  # fmt: skip


@block
def measures() -> str:
    """The verdict's measures by kind of file, and AUC with whole sources resampled."""
    document = load("accuracy")
    rows = list(map(_measured, _recorded(document, "measures")["verdict"]))
    head = ("", "real + fake", *_SHOWN.values(), "AUC, sources resampled")
    return f"{table(head, rows)}\n\n{origin(document)}"


def _measured(row: Mapping[str, Any]) -> tuple[str, ...]:
    own, sources = row["figures"] or {}, row["by_source"]["figures"] or {}
    name = "all together" if row["kind"] == ALL else KINDS[row["kind"]]
    cells = (figure(own.get(measure)) for measure in _SHOWN)
    return (name, f"{row['real']} + {row['fake']}", *cells, figure(sources.get("auc")))


@block
def attacks() -> str:
    """What became of the fakes of each kind."""
    document = load("accuracy")
    rates = attacks_of(document["subjects"]["verdict"])
    rows = [(kind["how"], str(kind["clips"]), *map(_share, _of(kind, "recall", "apcer", "apnrr")))
            for kind in rates["kinds"]]  # fmt: skip
    head = ("how the fakes were made", "clips", "called fake", "APCER: called real", "APNRR: inconclusive")
    worst = rates["apcer_max"]
    said = f"APCER_max: {_share(worst['apcer'])}, {worst['how']}. " if worst else ""
    reals = f"BPCER {_share(rates['bpcer'])} and BPNRR {_share(rates['bpnrr'])} of {rates['reals']} reals."
    few = f"Kinds of fewer than {rates['fewest']} fakes are no candidates for the worst."
    return f"{table(head, rows)}\n\n{said}{few} {reals}\n\n{origin(document)}"


@block
def early() -> str:
    """Verdicts that the voice alone would settle."""
    document = load("accuracy")
    found = _recorded(document, "fail_fast")
    if found is None:
        return "No film with sound was measured, or the models have no fail-fast threshold."
    wrong = "" if found["wrong"] is None else f"; of these {_share(found['wrong'])} are real"
    settled = f"{found['clips']} of {found['films']} films with sound"
    return f"`fail_fast` would settle {settled} by the voice alone, {_share(found['settled'])}{wrong}."


@block
def segments() -> str:
    """Average precision of the seconds that each layer calls fake."""
    document = load("localisation")
    found = _recorded(document, "segments")
    if found is None:
        return "The manifest that was measured states the fake seconds of no clip."
    heard = {key: of for key, of in found["layers"].items() if any(document["subjects"][key]["scored"].values())}
    rows = [(LAYERS[key], *(f"{value:.2f}" for value in of.values())) for key, of in heard.items()]
    names = next(iter(found["layers"].values()))
    head = ("layer", *(f"AP at IoU {name.removeprefix('ap_')}" for name in names))
    counted = f"{found['spans']} stretches in {found['fake']} partly fake clips, and {found['real']} real clips."
    return f"{table(head, rows)}\n\n{counted}\n\n{origin(document)}"


@block
def persons() -> str:
    """How often the fake person of several has the highest P(fake)."""
    document = load("persons")
    found = _recorded(document, "persons")
    if found is None:
        return "The manifest that was measured states the places of no people."
    rows = [(_who(name), *_person(of)) for name, of in found["outputs"].items()]
    head = ("P(fake) of a person by", "films", "by chance", "fake person highest", "pairs in a film in order",
            "real + fake persons", "AP", "AUC")  # fmt: skip
    of_clip = figure((found["clip"]["figures"] or {}).get("auc"))
    said = (
        f"Every face was found in {found['measured']['fake']} of {found['films']['fake']} films with a fake person and "
        f"{found['measured']['real']} of {found['films']['real']} without, and only these count. The verdict's P(fake) "
        f"of the film tells the former from the latter with AUC {of_clip}."
    )
    return f"{table(head, rows)}\n\n{said}\n\n{origin(document)}"


def _who(name: str) -> str:
    """The verdict, or a model and its layer."""
    if name not in MODELS:
        return name
    layer = next(word for key, word in LAYERS.items() if key.endswith(f"_{MODELS[name].layer}"))
    return f"{layer}, `{name}`"


def _person(of: Mapping[str, Any]) -> tuple[str, ...]:
    figures, chance, people = of["figures"] or {}, of["chance"], of["people"]
    of_films = (figure(figures.get(name)) for name in ("highest", "pairs"))
    of_people = (figure(figures.get(name)) for name in ("average_precision", "auc"))
    by_chance = NOTHING if chance is None else f"{chance:.2f}"
    return str(of["films"]), by_chance, *of_films, f"{people['real']} + {people['fake']}", *of_people


@block
def shortcuts() -> str:
    """Cues of the file alone beside the verdict."""
    document = load("accuracy")
    tables = _recorded(document, "shortcuts")
    rows = [(KINDS[of["kind"]], *_cue(of, row)) for of in tables for row in of["rows"] if row["auc"]]
    if not rows:
        return "No cue was recorded with the scores that were measured."
    head = ("", "clips", "cue", "fakes have", "AUC of the cue", "AUC of the verdict", "beats it",
            "correlation: reals", "correlation: fakes")  # fmt: skip
    return f"{table(head, rows)}\n\n{origin(document)}"


@block
def gate(kind: FileKind) -> str:
    """Each model's correlation with each cue of quality, of clips of a kind of file that did not teach it.

    Over all and within sources; of copies at other qualities how the changes go together, and the score's mean change.
    """
    document = load(f"quality_gate_{kind}")
    cells: dict[tuple[str, str, str, int], dict[str, str]] = {}
    for row in document["rows"]:
        over_all, within = (NOTHING if row[key] is None else f"{row[key]:+.2f}" for key in ("correlation", "within"))
        own = cells.setdefault((_name(row), row["label"], "clips", row["clips"]), {})
        own[row["cue"]] = _bold(f"{over_all}, {within}", Followed(**row).too_much)
    for row in document.get("pairs", ()):
        own = cells.setdefault((_name(row), row["label"], "copies", row["pairs"]), {})
        own[row["cue"]] = _bold(f"{row['correlation']:+.2f} ({row['change']:+.2f})", Moved(**row).too_much)
    cues = [cue for cue in CUES if any(cue in of for of in cells.values())]
    rows = [
        (name, label, f"{count} {what}", *(of.get(cue, NOTHING) for cue in cues))
        for (name, label, what, count), of in sorted(cells.items())
    ]
    head = ("", "label", "of", *(cue.replace("_", " ") for cue in cues))
    return f"{table(head, rows)}\n\n{origin(document, 'python -m training gate')}"


def _name(row: Mapping[str, Any]) -> str:
    return f"`{row['model']}`{', silent' if row['silent'] else ''}"


def _bold(text: str, bold: bool) -> str:
    return f"**{text}**" if bold else text


def _cue(of: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[str, ...]:
    auc = figure(row["auc"]) if "low" in row["auc"] else f"{row['auc']['value']:.2f}"
    related = (row["spearman"][label] for label in ("real", "fake"))
    correlations = (NOTHING if value is None else f"{value:+.2f}" for value in related)
    beats = "yes" if row["beats"] else "no"
    return (str(row["clips"]), row["cue"].replace("_", " "), row["fake"], auc, figure(of["verdict"]), beats,
            *correlations)  # fmt: skip


def _recorded(document: Mapping[str, Any], name: str) -> Any:
    """A part of what was recorded for these tables; raises :class:`RefusedResult` where the result has none."""
    if name not in document.get("forensic", {}):
        what = f"`accuracy.json` of {document['date'][:10]} is older than these measures"
        raise RefusedResult(f"{what}; the next `python -m benchmarks accuracy` records them")
    return document["forensic"][name]


def _of(kind: Mapping[str, Any], *names: str) -> Iterable[Mapping[str, float]]:
    return (kind[name] for name in names)


def _share(of: Mapping[str, float]) -> str:
    return f"{percent(of['value'])} [{percent(of['low'])}, {percent(of['high'])}]"
