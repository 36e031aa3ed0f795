"""Measures the exported audio graph as it is served: speech windows in, the mean of their logits out, per source."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from scipy.special import expit
from tqdm import tqdm

from training import metrics
from training.audio.conditions import CONDITIONS
from training.audio.lesson import WINDOWS_PER_CLIP
from training.audio.pool import heard
from training.data import Clip, ManifestError, Pcm, Split, load, read_manifest
from veracity.speech import Vad, speech_windows

WRONG = 0.05  # share of reals called fake, and of fakes called real, that sets the thresholds


@dataclass(frozen=True)
class Scored:
    """A clip and its log odds of fake, as the graph gave them."""

    clip: Clip
    logit: float


def evaluate(
    graph: Path,
    crossed: Mapping[Split, Path],
    data: Path,
    report: Path,
    vad: Vad,
    *,
    scale: tuple[float, float] | None = None,
    brief: bool = False,
) -> dict[str, Any]:
    """Calibrates on clips that were not learned from, measures the test sources, writes and answers the report.

    `graph` is what is shipped; `crossed` has, for each split that it learned from, the graph of a network that did not.
    `scale` is a temperature and a bias from elsewhere. A brief report leaves out the channels and the videos' sound.
    """
    clips = read_manifest(data, "audio")
    session = _session(graph)
    fold: list[Scored] = []
    silent: list[Clip] = []
    for split, other in crossed.items():
        found, nothing = score(_session(other), _loaded([clip for clip in clips if clip.split == split]), vad)
        fold, silent = [*fold, *found], [*silent, *nothing]
    held_out = [clip for clip in clips if clip.split == "test"]
    raw, nothing = score(session, _loaded(held_out), vad)
    temperature, bias = scale or metrics.fit_calibration(*_arrays(fold))

    def calibrated(some: Sequence[Scored]) -> list[Scored]:
        return [Scored(one.clip, one.logit / temperature + bias) for one in some]

    test, validation = calibrated(raw), calibrated(fold)
    bounds = metrics.thresholds(*_arrays(validation), WRONG)
    result: dict[str, Any] = {
        "graph_sha256": hashlib.sha256(graph.read_bytes()).hexdigest(),
        "calibration": {
            "temperature": round(temperature, 4),
            "bias": round(bias, 4),
            "fitted_on": "elsewhere" if scale else "out of fold",
        },
        "ece": {
            "test_raw": round(metrics.ece(*_arrays(raw)), 4),
            "test_calibrated": round(metrics.ece(*_arrays(test)), 4),
        },
        "thresholds": {"wrong_out_of_fold": WRONG, "fake": round(bounds[0], 4), "real": round(bounds[1], 4)},
        "verdicts_on_test": verdicts(test, bounds),
        "test": quality(test),
        "out_of_fold": {split: quality(_of(validation, split)) for split in crossed},
        "sources": per_source([*validation, *test]),
        "without_speech": dict(Counter(clip.source for clip in [*silent, *nothing])),
    }
    if not brief:
        result["conditions"] = _under_conditions(session, held_out, vad, calibrated)
        films, _ = score(session, _sound_tracks(read_manifest(data, "video")), vad)
        result["videos"] = _per_file(calibrated(films))
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def _session(graph: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def _loaded(clips: Sequence[Clip]) -> list[tuple[Clip, Pcm]]:
    return [(clip, load(clip.path)) for clip in clips]


def score(
    session: onnxruntime.InferenceSession, sounds: Sequence[tuple[Clip, Pcm]], vad: Vad
) -> tuple[list[Scored], list[Clip]]:
    """The clips with a score, and those in which nobody speaks for long enough."""
    scored, silent = [], []
    for clip, pcm in tqdm(sounds, "scoring"):
        windows = speech_windows(pcm, vad, limit=WINDOWS_PER_CLIP)
        if not windows:
            silent.append(clip)
            continue
        logits = session.run(["FAKE_LOGIT"], {"WAVEFORM": np.stack([window.samples for window in windows])})[0]
        scored.append(Scored(clip, float(logits.mean())))
    return scored, silent


def quality(scored: Sequence[Scored]) -> dict[str, Any]:
    """Error rates of a set with fakes and reals in it, with their intervals."""
    labels, logits = _arrays(scored)
    return {
        "real": int((~labels).sum()),
        "fake": int(labels.sum()),
        "eer": metrics.interval(metrics.eer, labels, logits).to_dict(),
        "auc": metrics.interval(metrics.auc, labels, logits).to_dict(),
        "real_called_fake": round(float(np.mean(logits[~labels] > 0)), 4),
        "fake_called_real": round(float(np.mean(logits[labels] <= 0)), 4),
    }


def verdicts(scored: Sequence[Scored], bounds: tuple[float, float]) -> dict[str, float]:
    """Shares of real and fake clips that the thresholds (fake from, real down to) call fake and real."""
    labels, logits = _arrays(scored)
    probability = expit(logits)
    return {
        f"{truth}_called_{word}": round(float(np.mean(called[of])), 4)
        for truth, of in (("real", ~labels), ("fake", labels))
        for word, called in (("fake", probability >= bounds[0]), ("real", probability <= bounds[1]))
    }


def per_source(scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """For each source of a split: mean P(fake), errors at 0.5, and AUC against the split's clips of the other label."""
    groups: dict[tuple[str, str, str], list[Scored]] = defaultdict(list)
    for one in scored:
        groups[one.clip.split, one.clip.label, one.clip.source].append(one)
    rows = []
    for (split, label, source), group in sorted(groups.items()):
        others = [one for one in scored if one.clip.split == split and one.clip.label != label]
        labels, logits = _arrays([*group, *others])
        own = np.array([one.logit for one in group])
        rows.append(
            {
                "split": split,
                "label": label,
                "source": source,
                "clips": len(group),
                "mean_fake_probability": round(float(expit(own).mean()), 4),
                "errors": round(float(np.mean((own > 0) != (label == "fake"))), 4),
                "auc": metrics.interval(metrics.auc, labels, logits).to_dict(),
            }
        )
    return rows


def _under_conditions(
    session: onnxruntime.InferenceSession,
    clips: Sequence[Clip],
    vad: Vad,
    calibrated: Callable[[Sequence[Scored]], list[Scored]],
) -> dict[str, Any]:
    """The test clips once more, all of them through the same channel: real and fake have the same bandwidth."""
    sounds = _loaded(clips)
    return {
        name: quality(calibrated(score(session, [(clip, change(pcm)) for clip, pcm in sounds], vad)[0]))
        for name, change in CONDITIONS.items()
    }


def _sound_tracks(films: Sequence[Clip]) -> list[tuple[Clip, Pcm]]:
    """The first audio track of each film that has one."""
    found = []
    for film in films:
        with suppress(ManifestError):
            found.append((film, heard(film)))
    return found


def _per_file(scored: Sequence[Scored]) -> list[dict[str, Any]]:
    return [
        {"label": one.clip.label, "file": one.clip.path.name, "fake_probability": round(float(expit(one.logit)), 4)}
        for one in sorted(scored, key=lambda one: one.clip.path.name)
    ]


def _of(scored: Sequence[Scored], split: str) -> list[Scored]:
    return [one for one in scored if one.clip.split == split]


def _arrays(scored: Sequence[Scored]) -> tuple[metrics.Labels, metrics.Scores]:
    return np.array([one.clip.fake for one in scored]), np.array([one.logit for one in scored])
