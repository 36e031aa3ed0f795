"""The training sound as one long tape: real clips, the fakes made of them, and a copy of it through each codec.

The tape is built once (minutes) and cached under a name made of everything that shapes it, so that an epoch reads
slices of a memory map and no codec runs while the network learns.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from training import fakes
from training.data import Clip, ManifestError, Pcm, load, trim
from veracity.speech import MIN_SPEECH_SECONDS, SAMPLE_RATE, Vad

# name → container and options of the encoder; a `-ar 8000` also takes the upper half of the band
CODECS: dict[str, tuple[str, ...]] = {
    "opus-12k": ("ogg", "-c:a", "libopus", "-compression_level", "2", "-b:a", "12k"),
    "opus-28k": ("ogg", "-c:a", "libopus", "-compression_level", "2", "-b:a", "28k"),
    "mp3-32k": ("mp3", "-c:a", "libmp3lame", "-b:a", "32k"),
    "aac-32k": ("adts", "-c:a", "aac", "-b:a", "32k"),
    "gsm": ("gsm", "-ar", "8000", "-c:a", "libgsm"),
    "mulaw": ("wav", "-ar", "8000", "-c:a", "pcm_mulaw"),
    "speex-8k": ("ogg", "-ar", "8000", "-c:a", "libspeex"),
}
_PCM = ("-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", "1")


@dataclass(frozen=True)
class Item:
    """A stretch of the tape. `origin` is the index of the real item that it was made of, -1 where we made none."""

    index: int
    begin: int
    length: int
    fake: bool
    source: str
    origin: int


@dataclass(frozen=True)
class Pool:
    """`tapes`: the clean one first, then one a codec, all int16 [samples]; `items` index into each of them."""

    tapes: list[Pcm]
    items: list[Item]


def build_pool(clips: Sequence[Clip], vad: Vad, cache: Path, *, copies: int, seed: int) -> Pool:
    """The pool of these clips, with `copies` fakes by each method for each real one; made where `cache` has none."""
    spoken = [(clip, sound) for clip in clips if len(sound := trim(load(clip.path), vad)) >= _SHORTEST]
    if not spoken:
        raise ManifestError("no clip has half a second of speech: is --data the right folder?")
    folder = cache / _key(spoken, copies, seed)
    folder.mkdir(parents=True, exist_ok=True)
    tracks = list(_tracks(spoken, folder, copies, seed))
    begins = np.cumsum([0, *(len(track[0]) for track in tracks)])
    items = [
        Item(index, int(begins[index]), len(sound), fake, source, origin)
        for index, (sound, fake, source, origin) in enumerate(tracks)
    ]
    clean = np.concatenate([track[0] for track in tracks])
    with ThreadPoolExecutor(2) as threads:  # each waits for an ffmpeg
        coded = threads.map(lambda codec: _through(codec, clean, folder), CODECS)
        return Pool([clean, *tqdm(coded, "codecs", len(CODECS))], items)


_SHORTEST = round(MIN_SPEECH_SECONDS * SAMPLE_RATE)
_Track = tuple[Pcm, bool, str, int]


def _tracks(spoken: list[tuple[Clip, Pcm]], folder: Path, copies: int, seed: int) -> Iterator[_Track]:
    """(sound, fake, source, origin) of the clips themselves, then of the fakes made from the real ones."""
    for clip, sound in spoken:
        yield sound, clip.fake, clip.source, -1
    reals = [(index, sound) for index, (clip, sound) in enumerate(spoken) if not clip.fake]
    jobs = [(index, sound, name, copy) for index, sound in reals for name in fakes.METHODS for copy in range(copies)]
    with ProcessPoolExecutor() as workers:
        made = workers.map(_make, jobs, repeat(folder), repeat(seed), chunksize=8)
        for (index, _, name, _), sound in zip(jobs, tqdm(made, "fakes", len(jobs))):
            yield sound, True, f"own {name}", index


def _make(job: tuple[int, Pcm, str, int], folder: Path, seed: int) -> Pcm:
    """One fake, as loud as its original; from the cache where it is there."""
    index, sound, name, copy = job
    path = folder / f"{index:05d}-{name}-{copy}.npy"
    if path.is_file():
        return np.asarray(np.load(path))
    torch.set_num_threads(1)
    rng = np.random.default_rng([seed, index, copy, *name.encode()])
    fake = fakes.METHODS[name]((sound / 32_768).astype(np.float32), rng)
    level = np.sqrt(np.mean((sound / 32_768.0) ** 2) / max(float(np.mean(fake**2)), 1e-12))
    answer: Pcm = np.clip(fake * level * 32_768, -32_768, 32_767).astype(np.int16)
    np.save(path, answer)
    return answer


def _through(codec: str, clean: Pcm, folder: Path) -> Pcm:
    """The tape through a codec, memory-mapped."""
    path = folder / f"{codec}.npy"
    if not path.is_file():
        np.save(path, through_codec(codec, clean))
    return np.asanyarray(np.load(path, mmap_mode="r"))


def through_codec(codec: str, clean: Pcm) -> Pcm:
    """Sound encoded and decoded by ffmpeg, as long as it was; the codec's own delay (milliseconds) stays."""
    container, *options = CODECS[codec]
    coded = _ffmpeg((*_PCM, "-i", "pipe:0", *options, "-f", container, "pipe:1"), clean.tobytes())
    decoded = np.frombuffer(_ffmpeg(("-f", _demuxer(container), "-i", "pipe:0", *_PCM, "pipe:1"), coded), np.int16)
    answer = np.zeros_like(clean)
    answer[: len(decoded)] = decoded[: len(answer)]
    return answer


def _demuxer(container: str) -> str:
    return "aac" if container == "adts" else container


def _ffmpeg(arguments: tuple[str, ...], data: bytes) -> bytes:
    """Runs ffmpeg from pipe to pipe; raises RuntimeError with its own words."""
    command = ("ffmpeg", "-hide_banner", "-loglevel", "error", *arguments)
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ffmpeg failed ({' '.join(arguments)}): {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _key(spoken: list[tuple[Clip, Pcm]], copies: int, seed: int) -> str:
    """Changes with what is heard, the seed, the codecs and the code that makes the fakes."""
    digest = hashlib.sha256(Path(fakes.__file__).read_bytes() + f"{copies} {seed} {CODECS}".encode())
    for _, sound in spoken:
        digest.update(sound.tobytes())
    return digest.hexdigest()[:16]


def crop(tape: Pcm, item: Item, length: int, at: float) -> Pcm:
    """`length` samples of an item, from `at` (0 to 1) of what is left over; a shorter item is repeated."""
    begin = item.begin + int(at * max(item.length - length, 0))
    return np.resize(tape[begin : begin + min(length, item.length)], length)
