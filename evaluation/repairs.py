"""The repairs of how clips are judged around the models, each with what was done before it.

To add one: a :class:`Repair` in :data:`REPAIRS`, with the step of :class:`Steps` that was another. That step is
replaced as a whole; the others stay the product's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, get_args

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from veracity.calibrate import fit, fusion_fit, operating_points
from veracity.calibrate.fit import Array, Fitted
from veracity.calibrate.fusion_fit import Table
from veracity.calibrate.labelled_outputs import LabelledClip
from veracity.calibrate.operating_points import Judged, Words
from veracity.calibrate.statements import OWN
from veracity.catalog import LAYERS
from veracity.catalog.layers import FileKind
from veracity.decision.calibration import Calibration, Calibrator
from veracity.decision.fusion import log_odds, probability
from veracity.decision.scoring import threshold_label
from veracity.evidence import pooling
from veracity.evidence.detector import detector
from veracity.evidence.requests import ModelOutput
from veracity_client.verdict import Thresholds

T = TypeVar("T")
Rows = Sequence[LabelledClip]
Fits = Mapping[str, Fitted]
Flags = npt.NDArray[np.bool_]
KINDS: tuple[FileKind, ...] = get_args(FileKind)
LIPS = next(k for k, layer in enumerate(LAYERS) if layer.name == "lipsync")
FACES = next(k for k, layer in enumerate(LAYERS) if layer.name == "visual")
TIGHT = 0.5  # of the fusion before: how far ln(weight) and ln(strength) could go for free, as in `fusion_fit`


def unchanged(given: T) -> T:
    """Do nothing to what is given."""
    return given


def fused(data: Table, informative: Flags) -> tuple[Array, Flags]:
    """P(fake) of each clip, held out, and the layers that count."""
    best = fusion_fit.candidate(data, informative)
    return best.held_out, best.fit.sees > 0


def called(_rows: Rows, judged: Judged, rate: float) -> tuple[Thresholds, Words]:
    """The thresholds of a rate, and each clip's label by those that were set without its group."""
    return operating_points.labels_apart(judged, rate)


@dataclass(frozen=True)
class Steps:
    """From recorded outputs to labels, in this order; the defaults are the product's."""

    rows: Callable[[Rows], Rows] = unchanged
    fits: Callable[[Fits], Fits] = unchanged
    data: Callable[[Table], Table] = unchanged
    fuse: Callable[[Table, Flags], tuple[Array, Flags]] = fused
    call: Callable[[Rows, Judged, float], tuple[Thresholds, Words]] = called
    domain: bool = True  # a file unlike those of the fit gets no label
    parts: bool = True  # no file is real of which a part alone would be fake
    voice: bool = True  # a film is fake whose voice alone would be


@dataclass(frozen=True)
class Repair:
    """What is done now, what is done ``without`` the repair, and the kinds of file that it can concern."""

    name: str
    without: str
    steps: Steps
    kinds: Sequence[FileKind] = KINDS


def worst_face(rows: Rows) -> Rows:
    """Let the face that is likeliest fake, by a calibration on all clips, be the whole answer."""
    models = {m for row in rows for m in row.outputs if detector(m).pool is pooling.persons}
    scales = {model: _scale([row for row in rows if model in row.outputs], model) for model in models}
    return [
        replace(row, outputs={m: _worst(o, scales[m]) if m in scales else o for m, o in row.outputs.items()})
        for row in rows
    ]


def _scale(rows: Rows, model: str) -> Calibrator:
    return fit.platt(rows, model) if len({row.fake for row in rows}) == 2 else Calibrator()


def _worst(output: ModelOutput, scale: Calibrator) -> ModelOutput:
    own = [[k for k, item in enumerate(output.items) if item.face == face] for face in {i.face for i in output.items}]
    worst = max(own, key=lambda of: float(scale(output.logits[of].mean())))
    return replace(output, items=tuple(output.items[k] for k in worst), logits=output.logits[worst])


def all_heard(fits: Fits) -> Fits:
    """Keep what was fitted to models that were silenced since they do not separate real from fake."""
    silent = {model: one.rows for model, one in fits.items() if one.calibrator.uninformative}
    return {**fits} | {
        model: replace(fits[model], calibrator=fit.platt(rows, model), held_out=fit.held_out(rows, model))
        for model, rows in silent.items()
    }


def quality_counted(fits: Fits) -> Fits:
    """Fit without taking off what the quality of samples explains."""
    return {model: fit.fit(one.rows, model, cues=()) if one.calibrator.quality else one for model, one in fits.items()}


def lips_of_stills(data: Table) -> Table:
    """Count the lips among the evidence wherever there are pictures, moving or not."""
    able = data.able.copy()
    able[:, LIPS] = able[:, FACES]
    return replace(data, able=able)


def mean_odds(data: Table, informative: Flags) -> tuple[Array, Flags]:
    """Fuse by the weighted average of the layers' odds, where a layer that did not score says one to one."""
    shares = Calibration.read().evidence_weights
    asked = informative & ~np.isnan(data.scores).all(axis=0)
    prior = np.array([shares[layer.name] for layer in LAYERS]) * asked
    counted = np.flatnonzero(prior)

    def rule(theta: Array) -> Callable[[Table], Array]:
        weights = np.zeros(len(prior))
        weights[counted] = prior[counted] * np.exp(theta[1:])
        return lambda some: _mean_odds(some.scores, weights * some.able, math.exp(theta[0]))

    def fitted(some: Table) -> Callable[[Table], Array]:
        def loss(theta: Array) -> float:
            chances = np.nan_to_num(rule(theta)(some), nan=0.5)
            return fit.log_loss(some.fakes, chances) + float(theta @ theta) / (2 * TIGHT**2 * len(some.fakes))

        bounds = [(-3.0, 3.0)] * (1 + len(counted))
        return rule(minimize(loss, np.zeros(len(bounds)), method="L-BFGS-B", bounds=bounds).x)

    return fusion_fit.held_out(data, fitted), prior > 0


def _mean_odds(scores: Array, weights: Array, strength: float) -> Array:
    """A clip that one layer alone could look at is what that layer says."""
    seen = ~np.isnan(scores) & (weights > 0)
    odds = np.exp(log_odds(np.where(seen, scores, 0.5)))
    mean = (weights * odds).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-9)
    strengths = np.where((weights > 0).sum(axis=1) == 1, 1.0, strength)
    return np.where(seen.any(axis=1), probability(strengths * np.log(np.maximum(mean, 1e-9))), np.nan)


def all_kinds_together(rows: Rows, judged: Judged, rate: float) -> tuple[Thresholds, Words]:
    """Hold the fakes of all kinds together to the rate, and no kind by itself."""
    blocked = ("none of it was measured",) if judged.unmeasured else ()
    return called(rows, replace(judged, kinds=np.full(len(judged.kinds), "any"), possible=blocked), rate)


def unmeasured_allowed(rows: Rows, judged: Judged, rate: float) -> tuple[Thresholds, Words]:
    """Say real though a kind of fake that such a file can be was not measured."""
    return called(rows, replace(judged, possible=()), rate)


def quantiles(_rows: Rows, judged: Judged, rate: float) -> tuple[Thresholds, Words]:
    """Set both thresholds at the rate of all clips, however few sources there are, and try them on none left out."""
    return _apart(judged, lambda some: operating_points.bounds(_one_source(some), rate))


def quantiles_of_own_fakes(rows: Rows, judged: Judged, rate: float) -> tuple[Thresholds, Words]:
    """The same, on fakes of our own making alone."""
    own = np.array(["own" if row.how.startswith(OWN) else "others'" for row in rows])

    def bounds(some: Judged) -> Thresholds:
        return operating_points.bounds(_one_source(some.of(~some.fakes | (some.kinds == "own"))), rate)

    return _apart(replace(judged, kinds=own), bounds)


def _one_source(judged: Judged) -> Judged:
    return replace(judged, groups=np.zeros_like(judged.groups))


def _apart(judged: Judged, bounds: Callable[[Judged], Thresholds]) -> tuple[Thresholds, Words]:
    """The thresholds, and each clip's label by those of all other groups."""
    words = np.full(len(judged.fakes), "inconclusive")
    for group in np.unique(judged.groups):
        own = judged.groups == group
        without = bounds(judged.of(~own))
        words[own] = [threshold_label(float(p), without) for p in judged.probability[own]]
    return bounds(judged), words


REPAIRS = (
    Repair("thresholds are tried on sources and makers left out, kind by kind", "the quantile of all clips together",
           Steps(call=quantiles)),
    Repair("thresholds are tried on fakes of other makers", "the quantile of the real clips and of our own fakes",
           Steps(call=quantiles_of_own_fakes), ("film",)),
    Repair("each kind of fake is held to the rate", "all kinds of fake together", Steps(call=all_kinds_together)),
    Repair("no `real` where a possible kind of fake was not measured", "what was not measured does not matter",
           Steps(call=unmeasured_allowed)),
    Repair("the persons' odds are averaged", "the maximum over faces", Steps(rows=worst_face), ("still", "film")),
    Repair("likelihood ratios, by the share of the fakes that a layer sees", "the weighted average of the layers' odds",
           Steps(fuse=mean_odds), ("still", "film")),
    Repair("what a file can never show weighs nothing", "a still picture's lips are missing evidence",
           Steps(data=lips_of_stills), ("still",)),
    Repair("a layer that does not separate is silent", "it counts with its fitted temperature",
           Steps(fits=all_heard), ("still", "film")),
    Repair("what a sample's quality explains is taken off", "it stays in the score", Steps(fits=quality_counted),
           ("still", "film")),
    Repair("no label for a file unlike those measured", "it gets one", Steps(domain=False)),
    Repair("no `real` where a part alone would be fake", "the whole decides", Steps(parts=False),
           ("sound", "film")),
    Repair("a film is fake whose voice alone would be", "the layers together decide", Steps(voice=False), ("film",)),
)  # fmt: skip

# What recorded outputs cannot tell, and why.
NOT_UNDONE = {
    "faces and pictures too small are not judged": "no model was asked about them, so that no output is recorded",
}
