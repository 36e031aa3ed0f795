"""A head on the lower blocks of the faces' network: one weight a feature, learned on pairs of squares alone.

The pair differs in how it was drawn and in nothing else, and both halves go through the same coding. So no generator's
picture teaches, and every generator measures. What fineness explains of the answers to real pictures is then taken off.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.optimize import minimize
from scipy.special import expit

from evaluation.manifest import Clip, read_clips
from export.semantic_texture_starter import BACKBONE, Head, features
from training import cache as media
from training.folds import TRAINING_SPLITS, TrainingSplit, limit_per_source
from training.plan import Plan
from training.texture.squares import SIDE, ClipSquares, pictures
from training.visual.degradations import SMALLEST, degrade
from training.visual.faces import Image
from veracity.calibrate.errors import ManifestError
from veracity.catalog import MODELS, provenance
from veracity.catalog.layers import FPS
from veracity.evidence.excerpts import WholeFrame
from veracity.evidence.kinds import NativeSquares
from veracity.install.graphs.publish import session

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]
CHECKPOINT = "texture.npz"
_SEEN = MODELS["semantic_texture_starter"].size


class TexturePlan(Plan):
    """The plan of a run; of what all plans have only the seed counts."""

    train_on: TrainingSplit = Field("train", description="split of the training set")
    clips_per_source: int = Field(150, ge=0, description="real clips per source; 0 for all")
    copies: int = Field(3, ge=0, description="coded copies of each pair, beside the pair as it is")
    penalty: float = Field(0.3, gt=0, description="of the squares of the weights, in standard deviations")
    without: str = Field("", description="source that does not teach, to measure on: part of its name")


def train(
    data: Path, out: Path, how: media.Extractor[ClipSquares], cache: Path, repository: Path, plan: TexturePlan
) -> Path:
    """Fits the head under ``out`` and returns its file; raises ManifestError.

    ``repository`` holds the faces' graph. Raises ExportError where it is another than its provenance says.
    """
    chosen = [
        clip for clip in read_clips(data, ("video", "images"))
        if not clip.fake and clip.split in TRAINING_SPLITS[plan.train_on]
        and not (plan.without and plan.without in clip.source)
    ]  # fmt: skip
    seen, bad = media.collect(limit_per_source(chosen, plan.clips_per_source), cache, how)
    if not seen:
        raise ManifestError("the training set has no real picture; check --data")
    with media.log_skipped(bad):
        pairs = _features(seen, repository, plan)
        stills = _stills([one.clip for one in seen if one.clip.kind == "images"], repository)
    weight, bias = fitted(pairs[:, :, :-1], plan.penalty)
    head = Head(np.append(weight, 0.0), bias)
    right = float((np.diff(head(pairs)[:, :, 0], axis=1) > 0).mean())
    log.info("%d pairs of %d clips; of %.0f%% the drawn half is above the other", len(pairs), len(seen), 100 * right)
    return _written(out, evened(head, stills), [one.clip for one in seen], repository)


def _features(seen: Sequence[ClipSquares], repository: Path, plan: TexturePlan) -> Array:
    """Of each pair and each of its copies, the real one first: [pairs, 2, features]."""
    backbone = session(features(repository))
    found = []
    for number, one in enumerate(seen):
        for k, both in enumerate(zip(one.real, one.drawn)):
            for copy in range(1 + plan.copies):
                squares = _copied(both, copy, np.random.default_rng([plan.seed, number, k, copy]))
                found.append(backbone.run(None, {"FRAME": squares})[0])
    return np.asarray(np.stack(found), np.float64)


def _copied(both: Sequence[Image], copy: int, rng: np.random.Generator) -> Image:
    """Uint8 [2, 224, 224, 3]: the pair as it is, or coded alike; a part of it, perhaps mirrored."""
    pictures = degrade(list(both), SMALLEST, rng)[0] if copy else list(both)
    y, x = (int(v) for v in rng.integers(SIDE - _SEEN + 1, size=2))
    squares = np.stack([picture[y : y + _SEEN, x : x + _SEEN] for picture in pictures])
    return np.ascontiguousarray(squares[:, :, ::-1] if rng.random() < 0.5 else squares)


def fitted(pairs: Array, penalty: float) -> tuple[Array, float]:
    """Weights [features] and bias of log odds, of pairs [n, 2, features], the real one first.

    Logistic regression on every square and on every pair's difference, alike; ``penalty`` on weights per deviation.
    """
    middle, spread = pairs.mean((0, 1)), pairs.std((0, 1)) + 1e-6
    held = (pairs - middle) / spread
    rows, apart = held.reshape(-1, held.shape[2]), held[:, 1] - held[:, 0]
    signs = np.tile([-1.0, 1.0], len(held))

    def loss(theta: Array) -> tuple[float, Array]:
        weight, bias = theta[:-1], theta[-1]
        margin, between = signs * (rows @ weight + bias), apart @ weight
        value = np.logaddexp(0, -margin).mean() + np.logaddexp(0, -between).mean() + penalty * (weight @ weight)
        pull = -signs * expit(-margin)
        slope = pull @ rows / len(rows) - expit(-between) @ apart / len(apart) + 2 * penalty * weight
        return float(value), np.append(slope, pull.mean())

    theta = minimize(loss, np.zeros(held.shape[2] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    weight = theta[:-1] / spread
    return weight, float(theta[-1] - middle @ weight)


def _stills(clips: Sequence[Clip], repository: Path) -> list[tuple[str, Array]]:
    """Of each real picture its source and what the layer gets of it, the mean of its squares' features."""
    backbone, kind = session(features(repository)), NativeSquares(MODELS["semantic_texture_starter"])
    found = []
    for clip in clips:
        (picture,) = asyncio.run(pictures(clip))
        if squares := kind.cut(WholeFrame(0.0, 1 / FPS, picture, 1)):
            found.append((clip.source, backbone.run(None, {"FRAME": np.stack(squares)})[0].mean(0)))
    return found


def evened(head: Head, stills: Sequence[tuple[str, Array]]) -> Head:
    """The head, less what fineness, the last feature, explains of its answers to real pictures, source by source.

    ``stills`` are sources and features [features]. A source's mean stays as it is: it is not fineness alone that sets
    collections apart. Raises ManifestError where there is no picture.
    """
    if not stills:
        raise ManifestError("the training set has no real still picture that is large enough; check --data")
    sources, seen = np.array([source for source, _ in stills]), np.stack([found for _, found in stills]).astype(float)
    fine, answers = seen[:, -1].copy(), head(seen)[:, 0]
    for source in np.unique(sources):
        own = sources == source
        fine[own] -= fine[own].mean()
        answers[own] -= answers[own].mean()
    slope = float(fine @ answers / max(fine @ fine, 1e-9))
    explained = 1 - np.var(answers - slope * fine) / max(np.var(answers), 1e-12)
    log.info("fineness explains %.0f%% of what %d real pictures get within their sources", 100 * explained, len(stills))
    return Head(np.append(head.weight[:-1], -slope), head.bias + slope * float(seen[:, -1].mean()))


def _written(out: Path, head: Head, clips: Sequence[Clip], repository: Path) -> Path:
    learned = provenance.read(repository / BACKBONE)
    sources = sorted({clip.source for clip in clips} | set(learned.get("trained_on", ())))
    about = {"trained_on": sources, "backbone": learned.get("checkpoint_sha256", "")}
    media.keep(out / CHECKPOINT, {**head.arrays(), "about": np.frombuffer(json.dumps(about).encode(), np.uint8)})
    return out / CHECKPOINT
