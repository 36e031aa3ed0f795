"""Reads what a file shows before any model is asked: container, codecs, rates, size, fineness, length, loudness."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from veracity.catalog.layers import FPS, SAMPLE_RATE
from veracity.evidence.excerpts import fineness
from veracity.evidence.sound import bandwidth
from veracity.media import Limits, Media, Probe, Source
from veracity_client.errors import BadVideo, NoFrames

Cues = dict[str, float | str]
FRAME = SAMPLE_RATE // 50  # 20 ms
QUIET = -50.0  # dB below full scale, of a frame of silence
_LEAST = 1e-12  # power, so that silence has a logarithm


def read(path: Path, limits: Limits, ffmpeg: Path) -> Cues:
    """The cues of a file; those of a track that it lacks, or that cannot be decoded, are left out.

    ``container``, ``video_codec``, ``audio_codec``; ``bytes_per_second``; ``sample_rate``, Hz; ``bandwidth``, Hz, and
    ``loudness``, dB below full scale, and ``silence``, a share, of the sound at 16 kHz in one channel; ``width``,
    pixels; ``fineness`` of the frame in the middle; ``seconds``. Raises what :meth:`Media.probe` raises.
    """
    return asyncio.run(_read(Source(path), limits, ffmpeg))


async def _read(source: Source, limits: Limits, ffmpeg: Path) -> Cues:
    async with Media.opened(source, limits, ffmpeg) as media:
        probe = await media.probe()
        found = of_probe(probe, media.size)
        if probe.video:
            middle = int(await media.video_seconds() * FPS / 2)
            with suppress(BadVideo, NoFrames):
                async for frame in media.frames([middle]):
                    found["fineness"] = fineness(frame.image)
        if probe.audio:
            with suppress(BadVideo):
                found |= of_sound(await media.audio(probe.audio_order[0]))
        return found


def of_probe(probe: Probe, size: int) -> Cues:
    """Cues of the container and its tracks; ``size`` in bytes."""
    found: Cues = {"container": probe.container}
    if probe.seconds:
        found |= {"seconds": probe.seconds, "bytes_per_second": round(size / probe.seconds, 1)}
    if probe.video:
        found |= {"video_codec": probe.video.codec, "width": probe.video.width}
    if probe.audio:
        track = probe.audio[probe.audio_order[0]]
        found |= {"audio_codec": track.codec, "sample_rate": track.rate}
    return found


def of_sound(samples: NDArray[np.int16]) -> Cues:
    """Cues of sound, int16 [samples] at 16 kHz; none where there is no sample."""
    if not samples.size:
        return {}
    sound = samples / 32_768.0
    frames = np.resize(sound, (max(1, len(sound) // FRAME), min(FRAME, len(sound))))
    return {
        "loudness": round(float(10 * np.log10(max(np.mean(sound**2), _LEAST))), 2),
        "silence": round(float((np.mean(frames**2, axis=1) < 10 ** (QUIET / 10)).mean()), 4),
        "bandwidth": bandwidth(samples),
    }
