"""What a network hears: couples of a real sound and a fake, drawn evenly over the sources, each through a channel.

A course is drawn once and kept, in pieces that are whole or not there, so that every network and every epoch reads
the same files and no codec runs while something learns. Both members of a couple are of one split: what teaches one
network and judges another lies in the same files, with the clips that it is made of, and each reads its own.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy import signal
from tqdm import tqdm

from evaluation.manifest import Clip, ManifestError
from training import cache
from training.audio import augment, coding
from training.audio.pool import Spoken
from training.sound import Pcm
from veracity.evidence.speech import SAMPLE_RATE

LENGTH = 3 * SAMPLE_RATE
_PIECE = 64  # couples that are drawn, coded and kept together
_UNTOUCHED = 0.3  # of the couples go through no channel at all
_CLEAN = 0.4  # of the others through no codec
_OWN_SPEED = 0.3  # of the sounds keep theirs; the others are played slower or faster, which makes voices of a few many
_SLOWEST, _FASTEST = 0.84, 1.19  # three semitones either way
# Beside a fake of a collection stands a real clip of the same voices where there is one, else one of many speakers:
# a voice that is only ever real, or a telephone that is, would be learned in place of the manipulation.
_COMPANIONS = {"DiffGAN-TTS": ("TTS", "autovc"), "PortaSpeech": ("TTS",), "FastSpeech2": ("TTS", "autovc")}

Couples = npt.NDArray[np.int16]
_Groups = list[list[Spoken]]


@dataclass(frozen=True)
class _Draw:
    """A real sound, a fake, the clip and the codec of each; `alike` where nothing but the manipulation shall differ."""

    sounds: tuple[Pcm, Pcm]
    codecs: tuple[str, str]
    clips: tuple[Clip, Clip]
    alike: bool
    untouched: bool


class Course:
    """Couples int16 [n, 2, 48000], the real one first, each with the clips that it is made of."""

    def __init__(self, pool: Sequence[Spoken], couples: int, pairs: float, seed: int) -> None:
        """`pairs` is the share of couples that are a real clip beside a fake made of it; raises ManifestError."""
        self._seed, self._count, self._pairs = seed, couples, pairs
        self._reals = _by_source([one for one in pool if not one.clip.fake])
        self._fakes = _by_source([one for one in pool if one.clip.fake])
        if not self._reals or not self._fakes:
            raise ManifestError("the sources that teach need speech of both labels")
        self._clips = [one.clip for one in pool]
        names = " ".join(f"{one.clip.id}:{one.clip.split}:{len(one.speech)}:{len(one.made)}" for one in pool)
        code = "".join(Path(module.__file__ or "").read_text("utf-8") for module in (augment, coding))
        text = f"{pairs} {seed} {names} {code} {Path(__file__).read_text('utf-8')}"
        self._name = f"course-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def couples(self, folder: Path) -> tuple[Couples, list[tuple[Clip, Clip]]]:
        """All couples [n, 2, 48000] with their clips [n], from `folder` where they lie there; raises FullDisk."""
        pieces = [self._piece(folder / self._name, number) for number in tqdm(self.pieces, "course")]
        sounds, clips = (np.concatenate(parts)[: self._count] for parts in zip(*pieces))
        return sounds, [(self._clips[real], self._clips[fake]) for real, fake in clips]

    @property
    def pieces(self) -> range:
        """The numbers of the pieces."""
        return range(-(-self._count // _PIECE))

    def _piece(self, folder: Path, number: int) -> tuple[Couples, npt.NDArray[np.int64]]:
        path = folder / f"{number:04d}.npz"
        if not path.is_file():
            sounds, clips = self._drawn(number)
            cache.keep(path, {"couples": sounds, "clips": clips})
        with np.load(path) as file:
            return file["couples"], file["clips"]

    def _drawn(self, number: int) -> tuple[Couples, npt.NDArray[np.int64]]:
        rng = np.random.default_rng([self._seed, number])
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + number)
        draws = [self._pair(rng) if rng.random() < self._pairs else self._strangers(rng) for _ in range(_PIECE)]
        sound = torch.from_numpy(_coded(draws).astype(np.float32) / 32_768)
        untouched = torch.tensor([draw.untouched for draw in draws])
        alike = torch.tensor([draw.alike for draw in draws])
        together, apart = alike & ~untouched, ~alike & ~untouched
        if together.any():
            sound[together] = augment.degrade(sound[together], generator)
        if apart.any():
            sound[apart] = augment.degrade(sound[apart].reshape(-1, 1, LENGTH), generator).reshape(-1, 2, LENGTH)
        heard = (sound * 32_768).clamp(-32_768, 32_767).to(torch.int16).numpy()
        return heard, np.array([[self._clips.index(clip) for clip in draw.clips] for draw in draws])

    def _pair(self, rng: np.random.Generator) -> _Draw:
        real = _pick(self._reals, rng)
        made = real.made[sorted(real.made)[rng.integers(len(real.made))]]
        at, codec, untouched = float(rng.random()), _codec(rng), bool(rng.random() < _UNTOUCHED)
        speed = _speed(rng)
        sounds = (played(real.speech, speed, at), played(made, speed, at))
        return _Draw(sounds, ("", "") if untouched else (codec, codec), (real.clip, real.clip), True, untouched)

    def _strangers(self, rng: np.random.Generator) -> _Draw:
        fake = _pick(self._fakes, rng)
        wanted = _COMPANIONS.get(fake.clip.source)
        reals = [group for group in self._reals if group[0].clip.split == fake.clip.split] or self._reals
        companions = [group for group in reals if wanted and group[0].clip.source in wanted]
        real = _pick(companions or reals, rng)
        real_sound, fake_sound = (played(one.speech, _speed(rng), float(rng.random())) for one in (real, fake))
        codecs, untouched = (_codec(rng), _codec(rng)), bool(rng.random() < _UNTOUCHED)
        codecs = ("", "") if untouched else codecs
        return _Draw((real_sound, fake_sound), codecs, (real.clip, fake.clip), False, untouched)


def crop(speech: Pcm, length: int, at: float) -> Pcm:
    """`length` samples, from `at` (0 to 1) of what is left over; a shorter sound is repeated."""
    begin = int(at * max(len(speech) - length, 0))
    return np.resize(speech[begin : begin + length], length)


def played(speech: Pcm, speed: float, at: float) -> Pcm:
    """`LENGTH` samples of `speech` played at `speed`, pitch and formants with it; `at` as for `crop`."""
    part = crop(speech, round(LENGTH * speed), at)
    if speed == 1.0:
        return part
    resampled = signal.resample(part.astype(np.float64), LENGTH)
    return np.clip(np.round(resampled), -32_768, 32_767).astype(np.int16)


def _speed(rng: np.random.Generator) -> float:
    return 1.0 if rng.random() < _OWN_SPEED else float(rng.uniform(_SLOWEST, _FASTEST))


def _coded(draws: Sequence[_Draw]) -> Couples:
    """The sounds [draws, 2, n], each through its codec; those of one codec go through it in a row."""
    sounds = np.stack([np.stack(draw.sounds) for draw in draws])
    codecs = np.array([draw.codecs for draw in draws])
    for codec in coding.CODECS:
        chosen = codecs == codec
        if chosen.any():
            sounds[chosen] = coding.through_codec(codec, sounds[chosen].reshape(-1)).reshape(-1, sounds.shape[2])
    return sounds


def _codec(rng: np.random.Generator) -> str:
    return "" if rng.random() < _CLEAN else str(rng.choice(list(coding.CODECS)))


def _pick(groups: _Groups, rng: np.random.Generator) -> Spoken:
    """A source, as often as the root of how much it has, and one of it."""
    shares = np.sqrt([len(group) for group in groups])
    group = groups[rng.choice(len(groups), p=shares / shares.sum())]
    return group[rng.integers(len(group))]


def _by_source(pool: Sequence[Spoken]) -> _Groups:
    groups: dict[tuple[str, str], list[Spoken]] = defaultdict(list)
    for one in pool:
        groups[one.clip.source, one.clip.split].append(one)
    return list(groups.values())
