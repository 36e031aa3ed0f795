"""Couples for the joint network: a real clip and its fake, alike in all but what was faked.

Own fakes are made of the face (`training.visual.fakes`), of the voice (`training.audio.fakes`) or of both; the other
stream is then the same in both members. Strangers are a real clip and another's fake, as they come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from evaluation.manifest import ManifestError
from training.audio import fakes as voices
from training.audio.augment import degrade
from training.joint.cut import FLOW_SIDE, Cut, Flow
from training.joint.sampling import sample
from training.sound import Pcm
from training.visual.faces import Face, Image
from training.visual.fakes import METHODS
from training.visual.masks import Rng
from training.visual.pairs import cut_alike
from veracity.catalog import MODELS
from veracity.catalog.layers import WINDOW_SAMPLES

if TYPE_CHECKING:
    from training.joint.lesson import JointPlan

FACES = {name: number for number, name in enumerate(METHODS) if name != "redrawn"}  # which wants a network of its own
_SIDE = MODELS["visual_starter"].size
_PCM_SCALE = 32_768.0


@dataclass(frozen=True, eq=False)
class Material:
    """A clip with what fakes of its face are made of, ``faces`` at ``times``; none of a fake."""

    cut: Cut
    faces: tuple[Face, ...] = ()
    times: npt.NDArray[np.float64] | None = None


class Streams(NamedTuple):
    """``faces`` uint8 [t, 224, 224, 3], ``sound`` int16 [64600], which are there uint8 [2], ``flow`` [t, 56, 56, 2].

    Of a batch, or of both members of a couple, with their dimensions in front.
    """

    faces: Image
    sound: Pcm
    present: npt.NDArray[np.uint8]
    flow: Flow


def streams(cut: Cut, plan: JointPlan, rng: Rng | None = None, window: int = 0) -> Streams:
    """What the network is shown of a clip as it is; without ``rng`` evenly spread frames and a window by number."""
    faces, flow = np.zeros((plan.frames, _SIDE, _SIDE, 3), np.uint8), still(plan.frames)
    if len(cut.faces):
        how = "uniform" if rng is None and plan.sampling == "random" else plan.sampling
        chosen = sample(cut.times, plan.frames, how, plan.start_at, rng)
        faces, flow = cut.faces[chosen], cut.flow[chosen] if len(cut.flow) else flow
    sound = np.zeros(WINDOW_SAMPLES, np.int16)
    if len(cut.windows):
        sound = cut.windows[int(rng.integers(len(cut.windows))) if rng else window % len(cut.windows)]
    present = np.array([len(cut.faces) > 0, len(cut.windows) > 0], np.uint8)
    return Streams(faces, sound, present, flow)


def still(frames: int) -> Flow:
    """The flow of a picture that does not move."""
    return np.zeros((frames, FLOW_SIDE, FLOW_SIDE, 2), np.float16)


class Couples(Dataset[Streams]):
    """Couples by number, the real one first: the same number gives the same couple, whoever asks and when."""

    def __init__(self, materials: Sequence[Material], plan: JointPlan, first: int, count: int) -> None:
        """Raises ManifestError where no couple can be drawn."""
        self._plan, self._first, self._count = plan, first, count
        self._reals = [one for one in materials if not one.cut.clip.fake]
        self._strange = [one for one in materials if one.cut.clip.fake]
        if not self._reals:
            raise ManifestError("no real clip teaches: there is nothing to tell a fake from")
        if not self._strange and not plan.own:
            raise ManifestError("no fake teaches, and plan.own is 0: give fakes, or let them be made")
        self._faked = [one for one in self._reals if one.faces or len(one.cut.windows)]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Streams:
        rng = np.random.default_rng([self._plan.seed, self._first + index])
        own = not self._strange or rng.random() < self._plan.own
        return self._without(self._own(rng) if own else self._strangers(rng), rng, own)

    def _strangers(self, rng: Rng) -> Streams:
        """A stream that one of them lacks is hidden in both: else a film's silence would be learned as its truth."""
        pair = [streams(group[rng.integers(len(group))].cut, self._plan, rng) for group in (self._reals, self._strange)]
        both = Streams(*(np.stack(parts) for parts in zip(*pair)))
        return both._replace(present=np.stack([both.present.min(axis=0)] * 2))

    def _own(self, rng: Rng) -> Streams:
        """A fake of our own beside what it was made of; which stream was faked is said in ``present`` by a 2."""
        mine = self._faked[rng.integers(len(self._faked))]
        able = (bool(mine.faces), bool(len(mine.cut.windows)))
        shares = np.array([self._plan.kinds[kind] * all(able[k] for k in of) for kind, of in KINDS.items()])
        kind = KINDS[str(rng.choice(list(KINDS), p=shares / shares.sum()))] if shares.any() else ()
        if not kind:
            raise ManifestError(f"plan.kinds leaves nothing that can be faked in {mine.cut.clip.id}")
        base = streams(mine.cut, self._plan, rng)
        faces, flow = self._faces(mine, 0 in kind, rng) if mine.faces else (np.stack([base.faces] * 2), base.flow)
        sound = self._voices(base.sound, 1 in kind, rng) if able[1] else np.stack([base.sound] * 2)
        present = base.present + np.array([0 in kind, 1 in kind], np.uint8)
        return Streams(faces, sound, np.stack([present] * 2), np.stack([flow] * 2))

    def _faces(self, mine: Material, faked: bool, rng: Rng) -> tuple[Image, Flow]:
        """Frames of a face and the same ones faked, carried alike; one method a film, drawn anew a frame or not."""
        assert mine.times is not None
        others = [one for one in self._reals if one.faces and one.cut.clip.path != mine.cut.clip.path] or [mine]
        other = others[rng.integers(len(others))].faces
        face2 = other[rng.integers(len(other))]
        method, way, carried = str(rng.choice(list(FACES))), int(rng.integers(1 << 31)), int(rng.integers(1 << 31))
        steady, pairs = rng.random() < 0.5, []
        chosen = sample(mine.times, self._plan.frames, self._plan.sampling, self._plan.start_at, rng)
        for number in chosen:
            face, draw = mine.faces[number], np.random.default_rng([way, 0 if steady else int(number)])
            fake, mask = METHODS[method](face, face2, draw)
            if not faked:
                fake, mask = face.context, np.zeros_like(mask)
            pairs.append(cut_alike(face, fake, mask, FACES[method], np.random.default_rng(carried))[0].faces)
        return np.stack(pairs, axis=1), self._flow(mine, chosen)

    def _flow(self, mine: Material, chosen: npt.NDArray[np.int64]) -> Flow:
        """The original's motion: a fake of ours keeps it."""
        assert mine.times is not None
        if not len(mine.cut.flow):
            return still(len(chosen))
        return mine.cut.flow[np.searchsorted(mine.cut.times, mine.times[chosen]).clip(max=len(mine.cut.times) - 1)]

    def _voices(self, sound: Pcm, faked: bool, rng: Rng) -> Pcm:
        """A window and the same one made anew by a vocoder, through one channel."""
        heard = (sound / _PCM_SCALE).astype(np.float32)
        name = str(rng.choice(list(voices.METHODS)))
        fake = voices.METHODS[name](heard, rng) if faked else heard
        pair = torch.from_numpy(np.stack([heard, np.resize(fake, len(heard))]).astype(np.float32))
        draw = torch.Generator().manual_seed(int(rng.integers(1 << 31)))
        return (degrade(pair[None], draw)[0] * _PCM_SCALE).clamp(-32_768, 32_767).short().numpy()

    def _without(self, couple: Streams, rng: Rng, own: bool) -> Streams:
        """Now and then a stream is missing, in both members; of a fake of ours the one that was not faked."""
        present = couple.present
        whole = [stream for stream in (0, 1) if (present[:, stream] == 1).all() or not own]
        if rng.random() < self._plan.missing and len(whole) and present.all():
            present = present.copy()
            present[:, whole[rng.integers(len(whole))]] = 0
        return couple._replace(present=(present > 0).astype(np.uint8))


KINDS: dict[str, tuple[int, ...]] = {"face": (0,), "voice": (1,), "both": (0, 1)}  # which streams are faked
