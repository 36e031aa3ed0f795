"""Which sound of a file is examined: the track that carries some, and of its channels the mix or the one that speaks.

A mix of all channels is what a mono speaker plays, and what ordinary files are examined by. It hides a voice whose
channels are out of phase, and drowns one that shares a track with noise on the other side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from veracity.catalog.layers import SAMPLE_RATE
from veracity.evidence.long_sound import ENOUGH_SECONDS, SEARCHED_SECONDS, search_places
from veracity.evidence.speech import Spans, Stopped, Vad, never
from veracity.media import Levels, Media
from veracity_client.errors import ModelUnavailable, VeracityError

SILENCE = 33  # of 32,768: -60 dB below full scale; a track that stays under it carries no sound
CANCELLED = 0.15  # of the louder channel's power left in the mix: one channel alone leaves 0.25, in phase 1
ALIKE = 0.5  # correlation of two channels from which their mix holds what either holds
AUDIBLE = 0.01  # of the louder channel's power under which a channel is as good as silent
FLOOR = 60.0  # dB below the strongest frequency, where the bandwidth ends
PIECE = 1024  # samples that a spectrum is of
SPECTRA = 2000
MOST_CHANNELS = 4  # the loudest ones, where there is no mix
QUIET = 0.2  # of the speaking channel's speech that the other one may seem to have
CLEARER = 1.25  # times the speech of the mix that a channel must have to be preferred


@dataclass(frozen=True, eq=False)
class Sound:
    """One way to hear a file: int16 [samples], 16 kHz, of a track; ``channel`` is None where all are mixed."""

    samples: NDArray[np.int16]
    track: int
    channel: int | None = None
    power: float = 1.0

    @classmethod
    def empty(cls) -> Sound:
        """Return no sound."""
        return cls(np.zeros(0, np.int16), 0)


def bandwidth(samples: NDArray[np.int16]) -> float:
    """Return where the spectrum of sound, int16 [samples] at 16 kHz, ends, in Hz: FLOOR under its strongest frequency.

    Of long sound the power is the mean of SPECTRA pieces, spread evenly.
    """
    size = min(PIECE, samples.size)
    starts = np.unique(np.linspace(0, samples.size - size, SPECTRA).astype(np.intp))
    pieces = samples[starts[:, None] + np.arange(size)] * np.hanning(size)
    power = (np.abs(np.fft.rfft(pieces, axis=1)) ** 2).mean(axis=0)
    heard = np.flatnonzero(power >= power.max() * 10 ** (-FLOOR / 10))
    return round(float(heard.max() * SAMPLE_RATE / size), 1)


async def read_sound(media: Media, track: int | None = None) -> list[Sound]:
    """Decode a track, the one that carries sound where none is named; several where its channels tell different things.

    Raises what :meth:`Media.audio` raises.
    """
    if track is not None:
        return await _read_track(media, track)
    order = (await media.probe()).audio_order
    first: list[Sound] | VeracityError | None = None
    for candidate in order:
        try:
            sounds = await _read_track(media, candidate)
        except ModelUnavailable:  # the machine's fault and not the track's
            raise
        except VeracityError as error:
            first = first or error
            continue
        if len(order) == 1 or any(is_audible(sound.samples) for sound in sounds):
            return sounds
        first = sounds if first is None or isinstance(first, VeracityError) else first
    if isinstance(first, VeracityError):
        raise first
    return first or await _read_track(media, 0)


async def _read_track(media: Media, track: int) -> list[Sound]:
    streams = (await media.probe()).audio
    stream = streams[track] if track < len(streams) else None
    if stream is None or stream.channels == 1:
        return [Sound(await media.audio(track), track)]
    if not stream.mixable:
        return await _read_channels(media, track, _loudest(await media.levels(track)))
    mix, levels = await asyncio.gather(media.audio(track), media.levels(track))
    if stream.channels > 2 or not levels.power.any():
        return [Sound(mix, track)]
    if levels.mix_power < CANCELLED * levels.power.max():
        return await _read_channels(media, track, _loudest(levels)[:1])
    if levels.correlation(0, 1) >= ALIKE or levels.power.min() < AUDIBLE * levels.power.max():
        return [Sound(mix, track)]
    return [Sound(mix, track), *await _read_channels(media, track, [(k, float(p)) for k, p in enumerate(levels.power)])]


def _loudest(levels: Levels) -> list[tuple[int, float]]:
    order = np.argsort(-levels.power, kind="stable")[:MOST_CHANNELS]
    heard = [(int(k), float(levels.power[k])) for k in order if levels.power[k] >= AUDIBLE * levels.power.max()]
    return heard or [(0, 0.0)]


async def _read_channels(media: Media, track: int, channels: Sequence[tuple[int, float]]) -> list[Sound]:
    return [Sound(await media.audio(track, channel), track, channel, power) for channel, power in channels]


def is_audible(samples: NDArray[np.int16]) -> bool:
    """Return whether sound, int16 [samples], is ever over -60 dB."""
    return bool(samples.size) and max(int(samples.max()), -int(samples.min())) >= SILENCE


def find_speech(sounds: Sequence[Sound], vad: Vad, stopped: Stopped = never) -> tuple[Sound, Spans]:
    """Return the sound in which somebody speaks, and where; the first of ``sounds`` unless another is clearer.

    Long sound is searched at places that are spread over it, unless there is too little speech at those.
    This blocks, for 3 s at most where somebody speaks, for 17 s of an hour in which hardly anybody does; raises
    CancelledError soon after ``stopped`` says so.
    """
    spans = _search(sounds, vad, stopped)
    return sounds[best := _clearest(sounds, [_seconds(found) for found in spans])], spans[best]


def _search(sounds: Sequence[Sound], vad: Vad, stopped: Stopped) -> list[Spans]:
    if max(len(sound.samples) for sound in sounds) > SEARCHED_SECONDS * SAMPLE_RATE:
        found = [search_places(sound.samples, vad, stopped) for sound in sounds]
        if max(_seconds(spans) for spans in found) >= ENOUGH_SECONDS:
            return found
    return [vad(sound.samples, stopped=stopped) for sound in sounds]


def _clearest(sounds: Sequence[Sound], speech: Sequence[float]) -> int:
    most = max(range(len(sounds)), key=lambda k: speech[k])
    if sounds[0].channel is not None or len(sounds) == 1:
        return most  # no mix among them
    if speech[most] > CLEARER * speech[0] + 0.5:
        return most
    one, other = sorted((1, 2), key=lambda k: -speech[k])
    alone = speech[one] > 0 and speech[other] <= QUIET * speech[one]
    return one if alone and sounds[other].power >= AUDIBLE * sounds[one].power else 0


def _seconds(spans: Spans) -> float:
    return sum(end - start for start, end in spans)
