"""Pairs for the joint network: a real clip and a fake one, alike in all but what was forged.

In a matched pair the fake is forged from the real clip: its face (`training.visual.forgeries`), its voice
(`training.audio.forgeries`) or both; the other stream is the same in both members. An unmatched pair is any real clip
beside any fake clip of the manifest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from training.audio import forgeries as voices
from training.audio.augment import degrade
from training.joint.extract import FLOW_SIDE, ClipInputs, Flow
from training.joint.frame_sampling import sample
from training.sound import Pcm
from training.visual.faces import Face, Image
from training.visual.forgeries import METHODS
from training.visual.masks import Rng
from training.visual.pairs import crop_alike
from veracity.calibrate.errors import ManifestError
from veracity.catalog import MODELS
from veracity.catalog.layers import WINDOW_SAMPLES

if TYPE_CHECKING:
    from training.joint.task import JointPlan

FACES = {
    name: number for number, name in enumerate(METHODS) if name != "redrawn"
}  # "redrawn" needs an up-scaling network
_SIDE = MODELS["visual_starter"].size
_PCM_SCALE = 32_768.0


@dataclass(frozen=True, eq=False)
class Material:
    """A clip with the faces that forgeries are made from, ``faces`` at ``times``; a fake clip has none."""

    inputs: ClipInputs
    faces: tuple[Face, ...] = ()
    times: npt.NDArray[np.float64] | None = None


class Streams(NamedTuple):
    """``faces`` uint8 [t, 224, 224, 3], ``sound`` int16 [64600], ``present`` uint8 [2], ``flow`` [t, 56, 56, 2].

    Batches and pairs have their dimensions in front.
    """

    faces: Image
    sound: Pcm
    present: npt.NDArray[np.uint8]
    flow: Flow


def streams(inputs: ClipInputs, plan: JointPlan, rng: Rng | None = None, window: int = 0) -> Streams:
    """The network's input for an unaltered clip; without ``rng`` evenly spread frames and the window of a number."""
    faces, flow = np.zeros((plan.frames, _SIDE, _SIDE, 3), np.uint8), still(plan.frames)
    if len(inputs.faces):
        how = "uniform" if rng is None and plan.sampling == "random" else plan.sampling
        chosen = sample(inputs.times, plan.frames, how, plan.start_at, rng)
        faces, flow = inputs.faces[chosen], inputs.flow[chosen] if len(inputs.flow) else flow
    sound = np.zeros(WINDOW_SAMPLES, np.int16)
    if len(inputs.windows):
        sound = inputs.windows[int(rng.integers(len(inputs.windows))) if rng else window % len(inputs.windows)]
    present = np.array([len(inputs.faces) > 0, len(inputs.windows) > 0], np.uint8)
    return Streams(faces, sound, present, flow)


def still(frames: int) -> Flow:
    """The optical flow of a still picture."""
    return np.zeros((frames, FLOW_SIDE, FLOW_SIDE, 2), np.float16)


class PairSampler(Dataset[Streams]):
    """Pairs by number, the real clip first. A number always gives the same pair."""

    def __init__(self, materials: Sequence[Material], plan: JointPlan, first: int, count: int) -> None:
        """Raises ManifestError where no pair can be drawn."""
        self._plan, self._first, self._count = plan, first, count
        self._reals = [one for one in materials if not one.inputs.clip.fake]
        self._fakes = [one for one in materials if one.inputs.clip.fake]
        if not self._reals:
            raise ManifestError("the training set has no real clip")
        if not self._fakes and not plan.matched_share:
            raise ManifestError(
                "the training set has no fake clip, and plan.matched_share is 0: add fakes, or raise matched_share"
            )
        self._forgeable = [one for one in self._reals if one.faces or len(one.inputs.windows)]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Streams:
        rng = np.random.default_rng([self._plan.seed, self._first + index])
        matched = not self._fakes or rng.random() < self._plan.matched_share
        return self._hide_streams(self._matched(rng) if matched else self._unmatched(rng), rng, matched)

    def _unmatched(self, rng: Rng) -> Streams:
        """A stream that one member lacks is hidden in both: otherwise a missing stream would predict the label."""
        pair = [
            streams(group[rng.integers(len(group))].inputs, self._plan, rng) for group in (self._reals, self._fakes)
        ]
        both = Streams(*(np.stack(parts) for parts in zip(*pair)))
        return both._replace(present=np.stack([both.present.min(axis=0)] * 2))

    def _matched(self, rng: Rng) -> Streams:
        """A forgery beside its original; ``present`` is 2 for a forged stream."""
        mine = self._forgeable[rng.integers(len(self._forgeable))]
        able = (bool(mine.faces), bool(len(mine.inputs.windows)))
        shares = np.array([self._plan.kinds[kind] * all(able[k] for k in of) for kind, of in KINDS.items()])
        kind = KINDS[str(rng.choice(list(KINDS), p=shares / shares.sum()))] if shares.any() else ()
        if not kind:
            raise ManifestError(f"plan.kinds leaves nothing to forge in {mine.inputs.clip.id}")
        base = streams(mine.inputs, self._plan, rng)
        faces, flow = self._faces(mine, 0 in kind, rng) if mine.faces else (np.stack([base.faces] * 2), base.flow)
        sound = self._voices(base.sound, 1 in kind, rng) if able[1] else np.stack([base.sound] * 2)
        present = base.present + np.array([0 in kind, 1 in kind], np.uint8)
        return Streams(faces, sound, np.stack([present] * 2), np.stack([flow] * 2))

    def _faces(self, mine: Material, forged: bool, rng: Rng) -> tuple[Image, Flow]:
        """Frames of a face and the same frames forged, degraded alike; one method, seeded once or per frame."""
        assert mine.times is not None
        others = [one for one in self._reals if one.faces and one.inputs.clip.path != mine.inputs.clip.path] or [mine]
        other = others[rng.integers(len(others))].faces
        face2 = other[rng.integers(len(other))]
        method, way, degraded = str(rng.choice(list(FACES))), int(rng.integers(1 << 31)), int(rng.integers(1 << 31))
        steady, pairs = rng.random() < 0.5, []
        chosen = sample(mine.times, self._plan.frames, self._plan.sampling, self._plan.start_at, rng)
        for number in chosen:
            face, draw = mine.faces[number], np.random.default_rng([way, 0 if steady else int(number)])
            fake, mask = METHODS[method](face, face2, draw)
            if not forged:
                fake, mask = face.context, np.zeros_like(mask)
            pairs.append(crop_alike(face, fake, mask, FACES[method], np.random.default_rng(degraded))[0].faces)
        return np.stack(pairs, axis=1), self._flow(mine, chosen)

    def _flow(self, mine: Material, chosen: npt.NDArray[np.int64]) -> Flow:
        """The original's motion, which forgeries keep."""
        assert mine.times is not None
        if not len(mine.inputs.flow):
            return still(len(chosen))
        at = np.searchsorted(mine.inputs.times, mine.times[chosen]).clip(max=len(mine.inputs.times) - 1)
        flow: Flow = mine.inputs.flow[at]
        return flow

    def _voices(self, sound: Pcm, forged: bool, rng: Rng) -> Pcm:
        """A window and its forgery by a vocoder, degraded alike."""
        original = (sound / _PCM_SCALE).astype(np.float32)
        name = str(rng.choice(list(voices.METHODS)))
        fake = voices.METHODS[name](original, rng) if forged else original
        pair = torch.from_numpy(np.stack([original, np.resize(fake, len(original))]).astype(np.float32))
        draw = torch.Generator().manual_seed(int(rng.integers(1 << 31)))
        degraded: Pcm = (degrade(pair[None], draw)[0] * _PCM_SCALE).clamp(-32_768, 32_767).short().numpy()
        return degraded

    def _hide_streams(self, pair: Streams, rng: Rng, matched: bool) -> Streams:
        """Hides a stream in both members now and then; of a forgery only one that was not forged."""
        present = pair.present
        whole = [stream for stream in (0, 1) if (present[:, stream] == 1).all() or not matched]
        if rng.random() < self._plan.missing and len(whole) and present.all():
            present = present.copy()
            present[:, whole[rng.integers(len(whole))]] = 0
        return pair._replace(present=(present > 0).astype(np.uint8))


KINDS: dict[str, tuple[int, ...]] = {"face": (0,), "voice": (1,), "both": (0, 1)}  # which streams are forged
