"""Whether a release may answer in place of another: both on the same labelled clips, resampled together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from veracity.calibrate import scores
from veracity.calibrate.bootstrap import Draws, Values, resamples
from veracity.calibrate.metrics import auc
from veracity.calibrate.risk_coverage import AURC
from veracity.calibrate.scores import ScoredClip
from veracity.decision.fusion import log_odds
from veracity.releases.gate_result import Difference, Gate, Margins
from veracity.releases.store import Release, ReleaseError

LEAST = 30  # clips of a label


def compare(current: Release, candidate: Release, said: Sequence[Mapping[str, ScoredClip]], margins: Margins) -> Gate:
    """Compare what the current release and the candidate ``said`` of clips, by the clips' ids; errors count as such.

    Raises :class:`ReleaseError` where they were not asked about the same clips.
    """
    before, after = said
    if before.keys() != after.keys():
        apart = sorted(before.keys() ^ after.keys())
        raise ReleaseError(
            f"the two were not asked about the same clips: {len(apart)} are in one file alone, {apart[0]}"
        )
    lost = [name for name, clip in after.items() if clip.error and not before[name].error]
    both = [name for name in sorted(before) if not before[name].error and not after[name].error]
    pairs = [(before[name], after[name]) for name in both]
    if any(one.label != other.label for one, other in pairs):
        raise ReleaseError("a clip is real in one file and fake in the other")
    fakes = np.array([one.label == 1 for one, _ in pairs], bool)
    why = [f"{len(lost)} clips that {current.name} analysed end in an error: {lost[0]}"] if lost else []
    real, fake = int((~fakes).sum()), int(fakes.sum())
    differences = {}
    if min(real, fake) < LEAST:
        why.append(f"{real} real and {fake} fake clips are too few: {LEAST} of each are wanted")
    else:
        differences = _differences(pairs, fakes, margins)
        why += [_failed(name, one) for name, one in differences.items() if not one.passed]
    listed = "\n".join(f"{name} {before[name].label}" for name in sorted(before))
    return Gate(
        candidate.digest,
        current.digest,
        hashlib.sha256(listed.encode()).hexdigest(),
        real,
        fake,
        differences,
        tuple(why),
    )


def read_scores(path: Path, release: Release) -> dict[str, ScoredClip]:
    """Read a score file; raises :class:`ReleaseError` where other graphs than the release's answered."""
    found = scores.read(path)
    if not found:
        raise ReleaseError(
            f"{path} holds no scores: it is what `veracity release gate` or `benchmarks accuracy` writes"
        )
    for clip in found.values():
        for model, sha256 in clip.models.items():
            if sha256 != release.graphs.get(model, sha256):
                raise ReleaseError(
                    f"{path}: {clip.id} was answered by another graph of {model} than {release.name} has"
                )
    return found


def _differences(
    pairs: Sequence[tuple[ScoredClip, ScoredClip]], fakes: npt.NDArray[np.bool_], margins: Margins
) -> dict[str, Difference]:
    members = np.unique([one.source for one, _ in pairs], return_inverse=True)[1]
    weights = np.concatenate([np.ones((1, len(pairs))), *resamples(fakes, members, np.random.default_rng(0))])
    sides = [_figures([pair[side] for pair in pairs], fakes, weights) for side in (0, 1)]
    found = {}
    for name, margin in msgspec.structs.asdict(margins).items():
        now, then = sides[0][name], sides[1][name]
        low, high = np.nanpercentile((then - now)[1:], (2.5, 97.5))
        worst = -low if name == "auc" else high
        before, after, lowest, highest = (round(float(value), 4) for value in (now[0], then[0], low, high))
        found[name] = Difference(before, after, lowest, highest, margin, bool(worst <= margin))
    return found


def _figures(clips: Sequence[ScoredClip], fakes: npt.NDArray[np.bool_], weights: Values) -> dict[str, Values]:
    """Each figure in each draw, [draws]; a clip without a probability is as likely the one as the other."""
    odds = log_odds(np.array([0.5 if clip.fake_probability is None else clip.fake_probability for clip in clips]))
    order = np.argsort(-odds, kind="stable")
    draws = Draws(fakes[order], odds[order], weights[:, order])
    called = np.array([clip.predicted_label or "inconclusive" for clip in clips])
    decided = called != "inconclusive"
    wrong = decided & ((called == "fake") != fakes)
    share = np.divide(weights @ wrong, weights @ decided, out=np.zeros(len(weights)), where=weights @ decided > 0)
    return {
        "auc": auc.of(draws),
        "wrong": share,
        "inconclusive": np.asarray(weights @ ~decided / weights.sum(axis=1)),
        "aurc": AURC["aurc"].of(draws),
    }


def _failed(name: str, one: Difference) -> str:
    return (
        f"{name}: {one.candidate:.3f} instead of {one.current:.3f}; the difference lies within {one.low:+.3f} and "
        f"{one.high:+.3f}, so that it may be worse by more than {one.margin:g}"
    )
