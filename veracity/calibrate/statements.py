"""What calibration.toml says of a model, a fusion and a profile: every number in it is counted here, none by hand."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from veracity.calibrate import metrics
from veracity.calibrate.fit import Fitted, labels, pooled
from veracity.calibrate.fusion_fit import Candidate, Table
from veracity.calibrate.labelled_outputs import LabelledClip
from veracity.calibrate.toml_tables import Value
from veracity.catalog import LAYERS, MODELS
from veracity.decision.domain import Domain
from veracity.decision.fusion import log_odds
from veracity.decision.quality import QualityTerm
from veracity_client.options import OperatingPoint
from veracity_client.verdict import Label, Rates, Thresholds

OWN = "own "  # how a manifest of `python -m training films` begins to say how a fake was made
_KINDS = {"audio": "sound files", "video": "videos", "images": "pictures"}


def brief(estimate: metrics.Estimate) -> str:
    """0.81 [0.72, 0.89]."""
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def clips(rows: Sequence[LabelledClip]) -> str:
    """34 real and 17 fake videos (9 of them our own fakes) of 9 sources."""
    fakes = int(labels(rows).sum())
    own = sum(row.fake and row.how.startswith(OWN) for row in rows)
    ours = f" ({own} of them our own fakes)" if own else ""
    kinds = " and ".join(_KINDS[kind] for kind in sorted({row.kind for row in rows}))
    sources = len({row.source for row in rows})
    return f"{len(rows) - fakes} real and {fakes} fake {kinds}{ours} of {sources} source{'s' * (sources > 1)}"


def model_statement(fitted: Fitted, tested: Sequence[LabelledClip]) -> str:
    """One sentence on how well a model measured, and on what."""
    measured = f"AUC {brief(fitted.auc)} on {clips(fitted.rows)} that it was not trained on"
    if fitted.calibrator.uninformative:
        seen = fitted.auc.low > 0.5
        why = "but no better than a coin on sources left out" if seen else "which does not separate real from fake"
        return f"uninformative: {measured}, {why}, so it carries no weight"
    return f"{measured}, calibration error {fitted.ece:.2f}{_quality(fitted)}{_model_tested(fitted, tested)}"


def _quality(fitted: Fitted) -> str:
    units = {"width": "for twice the width", "fineness": "a unit of fineness"}
    terms = [f"{term.slope:+.2f} {units[term.cue]}" for term in fitted.calibrator.quality]
    return f", quality taken off ({', '.join(terms)})" if terms else ""


def _model_tested(fitted: Fitted, tested: Sequence[LabelledClip]) -> str:
    layer = MODELS[fitted.model].layer
    rows = [row for row in tested if fitted.model in row.outputs and layer and row.is_evidence_for(layer)]
    fakes = labels(rows)
    if len(set(fakes.tolist())) < 2:
        return ""
    auc = metrics.interval(metrics.auc, fakes, log_odds(pooled(rows, fitted.model, fitted.calibrator)))
    return f"; AUC {brief(auc)} on {clips(rows)} held out for testing"


def model_table(fitted: Fitted, tested: Sequence[LabelledClip], checkpoint: str) -> dict[str, Value]:
    """What ``[models.NAME]`` says of a fit; ``checkpoint`` is the sha256 of the weights that it holds for."""
    sources = ", ".join(sorted({row.source for row in fitted.rows}))
    return {
        "checkpoint": checkpoint,
        "data": f"clips that it was not trained on, of {sources}",
        "statement": model_statement(fitted, tested),
    }


def _terms(terms: Sequence[QualityTerm]) -> dict[str, Value]:
    found = tuple(
        {"cue": term.cue, "slope": term.slope, "middle": term.middle, "within": (term.low, term.high)} for term in terms
    )
    return {"quality": found} if found else {}


def scale(fitted: Fitted, date: datetime.date) -> dict[str, Value]:
    """What ``[models.NAME]``, or for still pictures ``[models.NAME.still]``, has of a fit."""
    bounds = (("fake", fitted.thresholds.fake), ("real", fitted.thresholds.real))
    return {
        "temperature": fitted.calibrator.temperature,
        "bias": fitted.calibrator.bias,
        **_terms(fitted.calibrator.quality),
        **{key: bound for key, bound in bounds if bound is not None},
        "date": date,
        "real_clips": int((~fitted.fakes).sum()),
        "fake_clips": int(fitted.fakes.sum()),
        "auc": (fitted.auc.value, fitted.auc.low, fitted.auc.high),
        "ece": fitted.ece,
    }


def shares(fakes: metrics.Labels, verdicts: Sequence[Label]) -> dict[str, float]:
    """real_called_fake and the other five: shares of the real and of the fake clips."""
    words: tuple[Label, ...] = ("fake", "real", "inconclusive")
    return {
        f"{'fake' if truth else 'real'}_called_{word}": sum(verdicts[k] == word for k in own) / max(len(own), 1)
        for truth in (False, True)
        for own in [[k for k, fake in enumerate(fakes) if bool(fake) == truth]]
        for word in words
    }


def called(fakes: metrics.Labels, verdicts: Sequence[Label]) -> str:
    """What became of the real ones and of the fakes, in words."""
    counted = shares(fakes, verdicts)
    return " and ".join(
        f"of the {truth} ones {counted[f'{truth}_called_fake']:.0%} were called fake, "
        f"{counted[f'{truth}_called_real']:.0%} real"
        for truth in ("real", "fake")
    ) + ", the rest inconclusive"  # fmt: skip


def measured(rows: Sequence[LabelledClip], probability: metrics.Scores, verdicts: Sequence[Label], which: str) -> str:
    """AUC of fused probabilities and what they were called, in words."""
    fakes = labels(rows)
    auc = metrics.interval(metrics.auc, fakes, log_odds(probability))
    return f"AUC {brief(auc)} on {clips(rows)} {which}; {called(fakes, verdicts)}"


def fusion_table(
    best: Candidate,
    points: Mapping[OperatingPoint, tuple[Thresholds, Rates]],
    date: datetime.date,
    data: Table,
    statement: str,
    domain: Domain,
) -> dict[str, Value]:
    """The table ``[profiles.NAME.fusion.KIND]``."""
    known: dict[str, Value] = {**domain.ranges, **{name: tuple(sorted(of)) for name, of in domain.words.items()}}
    return {
        "sees": {layer.name: round(float(share), 4) for layer, share in zip(LAYERS, best.fit.sees)},
        "strength": best.fit.strength,
        "reals": int((~data.fakes).sum()),
        "fakes": int(data.fakes.sum()),
        "groups": len(set(data.groups.tolist())),
        "date": date,
        "auc": (best.auc.value, best.auc.low, best.auc.high),
        "ece": best.ece,
        "log_loss": best.log_loss,
        **{point: _point(bounds, rates) for point, (bounds, rates) in points.items()},
        **({"domain": known} if known else {}),
        "statement": statement,
    }


def _point(bounds: Thresholds, rates: Rates) -> dict[str, float]:
    """What the calibration file has of an operating point; a threshold that is None is left out."""
    known = {key: value for key, value in (("fake", bounds.fake), ("real", bounds.real)) if value is not None}
    measured = ("real_called_fake", "fake_called_real", "inconclusive")
    return known | {key: round(getattr(rates, key), 4) for key in measured}
