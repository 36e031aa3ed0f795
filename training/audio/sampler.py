"""Training pairs of a real and a fake sound, sampled evenly over the sources and degraded.

Pairs are sampled once and cached in files, so that all networks and epochs read the same data and no codec runs during
training. Both members of a pair are of one split: networks trained on different splits share the files, and each
selects its own pairs by the clips that are stored with them.
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

from evaluation.manifest import Clip
from training import cache
from training.audio import augment, coding
from training.audio.extract import SpeechClip
from training.sound import Pcm
from veracity.calibrate.errors import ManifestError
from veracity.catalog.layers import SAMPLE_RATE

LENGTH = 3 * SAMPLE_RATE
_PIECE = 64  # pairs in one file
_UNTOUCHED = 0.3  # share of pairs without any degradation
_CLEAN = 0.4  # share of the others without a codec
_OWN_SPEED = 0.3  # share at original speed; the others are slowed down or sped up, which adds voices
_SLOWEST, _FASTEST = 0.84, 1.19  # three semitones either way
# A fake of these collections is paired with a real clip of the same voices where there is one, else of many speakers:
# otherwise the network would learn the voice or the telephone band in place of the manipulation.
_COMPANIONS = {"DiffGAN-TTS": ("TTS", "autovc"), "PortaSpeech": ("TTS",), "FastSpeech2": ("TTS", "autovc")}

PairSounds = npt.NDArray[np.int16]
_Groups = list[list[SpeechClip]]


@dataclass(frozen=True)
class _Draw:
    """A real and a fake sound with clip and codec of each; `alike` if only the manipulation may differ."""

    sounds: tuple[Pcm, Pcm]
    codecs: tuple[str, str]
    clips: tuple[Clip, Clip]
    alike: bool
    untouched: bool


class PairSampler:
    """Pairs int16 [n, 2, 48000], the real sound first, each with its two clips."""

    def __init__(self, pool: Sequence[SpeechClip], pair_count: int, matched_share: float, seed: int) -> None:
        """`matched_share` of the pairs have a fake forged from their real clip; raises ManifestError."""
        self._seed, self._count, self._matched_share = seed, pair_count, matched_share
        self._reals = _by_source([one for one in pool if not one.clip.fake])
        self._fakes = _by_source([one for one in pool if one.clip.fake])
        if not self._reals or not self._fakes:
            raise ManifestError("training needs speech of both labels")
        self._clips = [one.clip for one in pool]
        names = " ".join(f"{one.clip.id}:{one.clip.split}:{len(one.speech)}:{len(one.forgeries)}" for one in pool)
        code = "".join(Path(module.__file__ or "").read_text("utf-8") for module in (augment, coding))
        text = f"{matched_share} {seed} {names} {code} {Path(__file__).read_text('utf-8')}"
        self._name = f"pairs-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def pairs(self, folder: Path) -> tuple[PairSounds, list[tuple[Clip, Clip]]]:
        """All pairs [n, 2, 48000] with their clips [n], cached in `folder`; raises DiskFull."""
        pieces = [self._piece(folder / self._name, number) for number in tqdm(self.pieces, "pairs")]
        sounds, clips = (np.concatenate(parts)[: self._count] for parts in zip(*pieces))
        return sounds, [(self._clips[real], self._clips[fake]) for real, fake in clips]

    @property
    def pieces(self) -> range:
        """The numbers of the files."""
        return range(-(-self._count // _PIECE))

    def _piece(self, folder: Path, number: int) -> tuple[PairSounds, npt.NDArray[np.int64]]:
        path = folder / f"{number:04d}.npz"
        if not path.is_file():
            sounds, clips = self._sampled(number)
            cache.keep(path, {"sounds": sounds, "clips": clips})
        with np.load(path) as file:
            return file["sounds"], file["clips"]

    def _sampled(self, number: int) -> tuple[PairSounds, npt.NDArray[np.int64]]:
        rng = np.random.default_rng([self._seed, number])
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + number)
        draws = [
            self._matched(rng) if rng.random() < self._matched_share else self._unmatched(rng) for _ in range(_PIECE)
        ]
        sound = torch.from_numpy(_coded(draws).astype(np.float32) / 32_768)
        untouched = torch.tensor([draw.untouched for draw in draws])
        alike = torch.tensor([draw.alike for draw in draws])
        together, apart = alike & ~untouched, ~alike & ~untouched
        if together.any():
            sound[together] = augment.degrade(sound[together], generator)
        if apart.any():
            sound[apart] = augment.degrade(sound[apart].reshape(-1, 1, LENGTH), generator).reshape(-1, 2, LENGTH)
        degraded = (sound * 32_768).clamp(-32_768, 32_767).to(torch.int16).numpy()
        return degraded, np.array([[self._clips.index(clip) for clip in draw.clips] for draw in draws])

    def _matched(self, rng: np.random.Generator) -> _Draw:
        real = _pick(self._reals, rng)
        made = real.forgeries[sorted(real.forgeries)[rng.integers(len(real.forgeries))]]
        at, codec, untouched = float(rng.random()), _codec(rng), bool(rng.random() < _UNTOUCHED)
        speed = _speed(rng)
        sounds = (played(real.speech, speed, at), played(made, speed, at))
        return _Draw(sounds, ("", "") if untouched else (codec, codec), (real.clip, real.clip), True, untouched)

    def _unmatched(self, rng: np.random.Generator) -> _Draw:
        fake = _pick(self._fakes, rng)
        wanted = _COMPANIONS.get(fake.clip.collection)
        reals = [group for group in self._reals if group[0].clip.split == fake.clip.split] or self._reals
        companions = [group for group in reals if wanted and group[0].clip.collection in wanted]
        real = _pick(companions or reals, rng)
        real_sound, fake_sound = (played(one.speech, _speed(rng), float(rng.random())) for one in (real, fake))
        codecs, untouched = (_codec(rng), _codec(rng)), bool(rng.random() < _UNTOUCHED)
        codecs = ("", "") if untouched else codecs
        return _Draw((real_sound, fake_sound), codecs, (real.clip, fake.clip), False, untouched)


def crop(speech: Pcm, length: int, at: float) -> Pcm:
    """`length` samples, beginning at the fraction `at` of the rest; a shorter sound is repeated."""
    begin = int(at * max(len(speech) - length, 0))
    return np.resize(speech[begin : begin + length], length)


def played(speech: Pcm, speed: float, at: float) -> Pcm:
    """`LENGTH` samples of `speech` played at `speed`, which shifts pitch and formants; `at` as for `crop`."""
    part = crop(speech, round(LENGTH * speed), at)
    if speed == 1.0:
        return part
    resampled: npt.NDArray[np.float64] = signal.resample(part.astype(np.float64), LENGTH)
    return np.clip(np.round(resampled), -32_768, 32_767).astype(np.int16)


def _speed(rng: np.random.Generator) -> float:
    return 1.0 if rng.random() < _OWN_SPEED else float(rng.uniform(_SLOWEST, _FASTEST))


def _coded(draws: Sequence[_Draw]) -> PairSounds:
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


def _pick(groups: _Groups, rng: np.random.Generator) -> SpeechClip:
    """A clip of a source; sources are weighted by the square root of their size."""
    shares = np.sqrt([len(group) for group in groups])
    group = groups[rng.choice(len(groups), p=shares / shares.sum())]
    return group[rng.integers(len(group))]


def _by_source(pool: Sequence[SpeechClip]) -> _Groups:
    groups: dict[tuple[str, str], list[SpeechClip]] = defaultdict(list)
    for one in pool:
        groups[one.clip.source, one.clip.split].append(one)
    return list(groups.values())
