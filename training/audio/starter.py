"""The starter's heads: of each family of fakes a weight for each of Whisper's statistics.

They are fitted to windows as the product scores them, every family against all real clips. Systems of fakes and origins
of reals count by the square root of their windows, and both labels alike: many clips of one system say little more of
others than a few. A tenth of the weight is on degraded copies.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from evaluation.manifest import Clip
from networks.whisper import WhisperHead
from training import cache
from training.audio import augment, coding
from training.audio.extract import read_sound
from training.audio.families import FAMILIES, family
from training.audio.features import FeatureExtractor, Pcms
from training.audio.plan import AudioPlan, spoken_set, training_set, validation_set
from training.folds import group
from veracity.calibrate import metrics
from veracity.calibrate.errors import ManifestError
from veracity.evidence import speech
from veracity.evidence.speech import Vad, speech_windows

log = logging.getLogger(__name__)

_WINDOWS = 3  # of a clip at most
_UNCODED = 0.5  # share of the copies that no codec takes
_UNTOUCHED = 0.25  # share of the copies without any other degradation
_TOGETHER = 64  # copies degraded in one go

_NEVER = -30.0  # log odds

Rows = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Heard:
    """The clips with speech, the statistics of their windows and of copies, and whose each of them is."""

    clips: list[Clip]
    statistics: Tensor
    whose: Rows
    degraded: npt.NDArray[np.bool_]


def fit(
    clips: Sequence[Clip],
    spoken: Sequence[Clip],
    vad: Vad,
    extract: FeatureExtractor,
    folder: Path,
    plan: AudioPlan,
) -> WhisperHead:
    """Heads by the plan on the training set among ``clips``, and on what of ``spoken`` goes with it.

    Logs how they rank the other ``clips``. Raises ManifestError.
    """
    found, bad = _windows([*clips, *spoken], vad, folder)
    made = {clip.path for clip in spoken}
    with cache.log_skipped(bad):
        heard = _heard(found, extract, folder, plan)
        published = training_set([clip for clip in heard.clips if clip.path not in made], plan)
        trained_on = {*published, *spoken_set(spoken, published, plan)}
        if {clip.fake for clip in trained_on} != {True, False}:
            raise ManifestError(f"train_on {plan.train_on}: training needs speech of both labels")
        head = fitted(heard, np.array([clip in trained_on for clip in heard.clips]), plan)
        ranks = ranked(head, heard, set(validation_set(clips, plan)))
        log.info("validation: %s", json.dumps({name: round(value, 4) for name, value in ranks.items()}))
        return head


def fitted(heard: Heard, chosen: npt.NDArray[np.bool_], plan: AudioPlan) -> WhisperHead:
    """Logistic regression on the windows of the chosen clips: the best head of each family, whatever the seed."""
    rows = np.flatnonzero(chosen[heard.whose])
    head, statistics = WhisperHead(), heard.statistics[rows]
    head.standardise(statistics)
    clips = [heard.clips[number] for number in heard.whose[rows]]
    weights = window_weights(clips, heard.degraded[rows], plan.degraded_share)
    inputs = head.standard(statistics).double()
    families = np.array([family(clip) if clip.fake else "" for clip in clips])
    for number, name in enumerate(FAMILIES):
        slopes, level = _regression(inputs, families == name, _halves(weights, families, name), plan.penalty)
        head.outer.weight.data[number] = slopes.float()
        head.outer.bias.data[number] = level.float() - (plan.rarer if number else 0.0)
    head.eval()
    return head


def _halves(weights: Weights, families: npt.NDArray[np.str_], name: str) -> Weights:
    """What windows count where one family stands against the real ones: a half each."""
    its, real = families == name, families == ""
    answer = np.where(its | real, weights, 0.0)
    for half in (its, real):
        answer[half] /= 2 * max(float(answer[half].sum()), 1e-12)
    return answer


def _regression(inputs: Tensor, fake: npt.NDArray[np.bool_], weights: Weights, penalty: float) -> tuple[Tensor, Tensor]:
    """Weights [statistics] and bias; a family that has no clip is never recognised."""
    slopes = torch.zeros(inputs.shape[1], dtype=torch.float64, requires_grad=True)
    level = torch.zeros((), dtype=torch.float64, requires_grad=True)
    if not fake.any():
        return slopes.detach(), torch.tensor(_NEVER)
    optimiser = torch.optim.LBFGS([slopes, level], max_iter=200, line_search_fn="strong_wolfe")
    labels, counts = torch.from_numpy(fake.astype(np.float64)), torch.from_numpy(weights)

    def loss() -> Tensor:
        optimiser.zero_grad()
        each = functional.binary_cross_entropy_with_logits(inputs @ slopes + level, labels, reduction="none")
        value: Tensor = (counts * each).sum() + penalty * slopes.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return slopes.detach(), level.detach()


def ranked(head: WhisperHead, heard: Heard, judged: set[Clip]) -> dict[str, float]:
    """AUC of each system against all real clips among the judged, and their mean: by the mean of a clip's windows."""
    with torch.inference_mode():
        logits = head(heard.statistics)[:, 0].numpy()
    scores: dict[str, list[float]] = defaultdict(list)
    for number, clip in enumerate(heard.clips):
        if clip in judged:
            mine = (heard.whose == number) & ~heard.degraded
            scores[group(clip) if clip.fake else ""].append(float(logits[mine].mean()))
    reals = scores.pop("", [])
    if not reals or not scores:
        return {}
    labels = {name: np.repeat([False, True], (len(reals), len(fakes))) for name, fakes in scores.items()}
    found = {name: metrics.auc(labels[name], np.array([*reals, *fakes])) for name, fakes in sorted(scores.items())}
    return {"auc": float(np.mean(list(found.values()))), **{f"auc {name}": value for name, value in found.items()}}


def window_weights(clips: Sequence[Clip], copies: npt.NDArray[np.bool_], share: float) -> Weights:
    """What each window counts: 1 in all, half of it each label, ``share`` of it the copies, by roots within."""
    groups = [(clip.fake, group(clip)) for clip in clips]
    counts = Counter(groups)
    weights = np.array([counts[each] ** -0.5 for each in groups])
    fake = np.array([clip.fake for clip in clips])
    for label in (True, False):
        weights[fake == label] /= 2 * weights[fake == label].sum()
    if copies.any():
        weights[copies] *= share / weights[copies].sum()
        weights[~copies] *= (1 - share) / weights[~copies].sum()
    return weights


def degraded(sounds: Pcms, seed: int) -> Pcms:
    """Copies of windows [n, samples], each through a codec and a degradation of its own, real and fake alike."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    copies = sounds.copy()
    codecs = np.where(rng.random(len(sounds)) < _UNCODED, "", rng.choice(list(coding.CODECS), len(sounds)))
    for codec in coding.CODECS:
        if (chosen := codecs == codec).any():
            copies[chosen] = coding.through_codec(codec, copies[chosen].reshape(-1)).reshape(-1, sounds.shape[1])
    for at in range(0, len(copies), _TOGETHER):
        some = torch.from_numpy(copies[at : at + _TOGETHER].astype(np.float32) / 32_768)[:, None]
        kept = torch.rand(len(some), 1, 1, generator=generator) < _UNTOUCHED
        changed = torch.where(kept, some, augment.degrade(some, generator))
        copies[at : at + _TOGETHER] = (changed[:, 0] * 32_768).clamp(-32_768, 32_767).to(torch.int16).numpy()
    return copies


def _copies(sounds: Pcms, seed: int, folder: Path) -> Pcms:
    """Degraded copies, made once."""
    code = "".join(Path(module.__file__ or "").read_text(encoding="utf-8") for module in (augment, coding))
    name = hashlib.sha256(sounds.tobytes() + f"{seed} {_UNCODED} {_UNTOUCHED} {code}".encode()).hexdigest()[:16]
    path = folder / "copies" / f"{name}.npz"
    if not path.is_file():
        cache.keep(path, {"copies": degraded(sounds, seed)})
    with np.load(path) as file:
        copies: Pcms = file["copies"]
    return copies


def _windows(clips: Sequence[Clip], vad: Vad, folder: Path) -> tuple[list[tuple[Clip, Pcms]], list[str]]:
    """The windows of each clip that has speech, and a line on each other one."""

    def extract(clip: Clip) -> cache.Arrays:
        windows = speech_windows(read_sound(clip), vad, limit=_WINDOWS)
        if not windows:
            raise cache.UnusableClip("less than half a second of speech")
        return {"windows": np.stack([window.samples for window in windows])}

    version = f"{_WINDOWS} windows" + Path(speech.__file__).read_text(encoding="utf-8")
    return cache.collect(
        clips, folder, cache.Extractor("windows", version, extract, lambda clip, arrays: (clip, arrays["windows"]))
    )


def _heard(found: Sequence[tuple[Clip, Pcms]], extract: FeatureExtractor, folder: Path, plan: AudioPlan) -> Heard:
    """Windows and copies by the encoder. The copies are the same for every split and fold, so they are made once."""
    if not found:
        raise ManifestError("no clip holds half a second of speech")
    sounds = [np.concatenate([windows for _, windows in found])]
    whose = [np.repeat(np.arange(len(found)), [len(windows) for _, windows in found])]
    rng = np.random.default_rng(plan.seed)
    for number in range(plan.copies):
        one_each = np.stack([windows[rng.integers(len(windows))] for _, windows in found])
        sounds.append(_copies(one_each, plan.seed + number, folder))
        whose.append(np.arange(len(found)))
    marks = np.arange(sum(map(len, whose))) >= len(whose[0])
    return Heard([clip for clip, _ in found], extract(np.concatenate(sounds), folder), np.concatenate(whose), marks)
