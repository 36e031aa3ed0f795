"""The HTML pages of the measurements, with tables and curves, one file each: templates/ filled with their JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from evaluation import practice
from evaluation.outputs import ScoredOutput, labels
from evaluation.segments import IOUS
from veracity.calibrate.metrics import MEASURES
from veracity.calibrate.scores import ScoredClip

CALLED = {"fake": "called fake", "inconclusive": "inconclusive", "real": "called real", "no score": "no score",
          "error": "error"}  # fmt: skip
FEW = 10  # clips, below which a group's figures and their intervals say little
SHORT = {
    "auc": "AUC", "average_precision": "AP", "eer": "EER", "fpr_at_95_tpr": "FPR at 95 % TPR", "f1": "F1",
    "ece": "ECE", "ece_even": "ECE, even", "cllr": "Cllr", "cllr_min": "Cllr min", "eer_hull": "EER, hull",
    "min_dcf": "minDCF", "act_dcf": "actDCF", "tpr_at_1_fpr": "TPR at 1 % FPR", "tpr_at_01_fpr": "TPR at 0.1 % FPR",
    "aurc": "AURC", **{f"ap_{least}": f"AP at {least}" for least in IOUS},
}  # fmt: skip


def write(document: Mapping[str, Any], clips: Sequence[ScoredClip], about: Sequence[ScoredOutput]) -> str:
    """The page of an accuracy measurement; ``document`` is its JSON, ``clips`` the clips of the curves."""
    subjects = document["subjects"]
    items = {name: found["items"] for name, found in subjects.items() if found["items"]}
    measured = document["forensic"]["measures"]
    curves = {
        output.name: _curves(output, subjects[output.name], measured[output.name][0]["figures"], clips)
        for output in about
    }
    return _TEMPLATES.get_template("accuracy.html.j2").render(document, items=items, curves=curves)


def robustness(document: Mapping[str, Any]) -> str:
    """The page of a robustness measurement out of its JSON: the table of conditions, and all figures of each."""
    return _TEMPLATES.get_template("robustness.html.j2").render(document)


def short(measure: str) -> str:
    """A measure's name for a person."""
    return SHORT.get(measure, measure.replace("_", " "))


def worded(figure: Mapping[str, float]) -> str:
    """A figure with its interval, in a sentence."""
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _curves(
    output: ScoredOutput, found: Mapping[str, Any], forensic: Mapping[str, Any], clips: Sequence[ScoredClip]
) -> list[tuple[str, str, str]]:
    """Name, caption and SVG of each panel; none where there are no figures."""
    if not found["figures"]:
        return []
    from evaluation import figures  # matplotlib takes a second to load, and only this needs it

    captions, scored = _captions(found, forensic), output.scored(clips)
    about = {panel: f"{output.name}, {panel}: {words}" for panel, words in captions.items()}
    drawn = figures.panels(labels(scored), output.scores(scored), output.name, about)
    return [(panel, captions[panel], svg) for panel, svg in drawn.items()]


def _captions(found: Mapping[str, Any], forensic: Mapping[str, Any]) -> dict[str, str]:
    """Legends of the curves, in figures."""
    auc, eer, ece = (worded(found["figures"][name]) for name in ("auc", "eer", "ece"))
    cllr, least, aurc = (worded(forensic[name]) for name in ("cllr", "cllr_min", "aurc"))
    reals, fakes = (f"{forensic[f'misleading_to_{word}']['value']:.1%}" for word in ("fake", "real"))
    counts, missing = found["scored"], found["without_score"]
    silent = missing["real"] + missing["fake"]
    return {
        "ROC": f"AUC {auc}",
        "DET": f"EER {eer}",
        "reliability": f"ECE {ece}; the larger a dot, the more clips",
        "scores": f"{counts['real']} real and {counts['fake']} fake clips; {silent} more have no score",
        "Tippett": f"misleading: {reals} of the reals, {fakes} of the fakes",
        "PAV": f"Cllr {cllr}, at best {least}",
        "risk": f"AURC {aurc}",
    }


def _words(counts: Iterable[Mapping[str, int]]) -> dict[str, str]:
    """What clips were called, of which a column is made, and its head."""
    called = {word for row in counts for word in row}
    return {word: head for word, head in CALLED.items() if word in called}


_TEMPLATES = Environment(  # autoescape: names out of a manifest are no markup
    loader=PackageLoader("evaluation"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_TEMPLATES.globals |= {
    "MEASURES": MEASURES,
    "PRACTICE": practice.MEASURES,
    "RESAMPLED": practice.RESAMPLED,
    "MEANINGS": MEASURES | practice.MEASURES,
    "FEW": FEW,
}
_TEMPLATES.filters |= {"short": short, "worded": worded, "words": _words, "auc_of": "AUC {}".format}
