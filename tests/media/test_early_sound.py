"""Sound that is decoded while the file is inspected is what would be decoded after it, or is not used."""

from __future__ import annotations

import asyncio
from pathlib import Path

import media_samples as samples
import numpy as np
import pytest
from media_samples import run
from numpy.typing import NDArray

from veracity.media import Limits, Media, Source


async def _sound(file: Path, *, early: bool, track: int = 0, channel: int | None = None) -> NDArray[np.int16]:
    async with Media.opened(Source(file), Limits()) as media:
        if early:
            media.begin_sound()
        return await media.audio(track, channel)


def _clip(folder: Path, kind: str) -> Path:
    tones = ("-itsoffset", 0.3, *samples.tone(2, 880))
    clock = "setpts='PTS+gte(T,2)*900/TB'"
    options = {
        "late second track": (*samples.tone(2), *tones, "-map", 0, "-map", 1, "-c:a", "pcm_s16le"),
        "stereo": (*samples.tone(2), "-ac", 2, "-c:a", "pcm_s16le"),
        "clock that jumps": (*samples.picture(4), *samples.tone(4), "-vf", clock, "-af", f"a{clock}", *samples.H264,
                             "-vsync", "passthrough", "-c:a", "flac"),
    }[kind]  # fmt: skip
    return samples.write(folder / f"{kind.replace(' ', '-')}.mkv", *options)


@pytest.mark.parametrize(
    ("kind", "track", "channel"),
    [
        ("late second track", 0, None),
        ("late second track", 1, None),
        ("stereo", 0, None),
        ("stereo", 0, 1),
        ("clock that jumps", 0, None),
    ],
)
def test_early_sound_is_the_same_sound(tmp_path: Path, kind: str, track: int, channel: int | None) -> None:
    clip = _clip(tmp_path, kind)
    later = run(_sound(clip, early=False, track=track, channel=channel))
    assert 16_000 < len(later) < 100_000  # no silence for the 900 s in which nothing plays
    np.testing.assert_array_equal(run(_sound(clip, early=True, track=track, channel=channel)), later)


async def _decoders_begun(file: Path) -> int:
    async with Media.opened(Source(file), Limits()) as media:
        media.begin_sound()
        for _ in range(200):
            if found := len(samples.children("ffmpeg")):
                return found
            await asyncio.sleep(0.005)
    return 0


def test_no_decoder_is_begun_for_a_picture(tmp_path: Path) -> None:
    picture = samples.write(tmp_path / "one.jpg", *samples.picture(1), "-frames:v", 1)
    assert run(_decoders_begun(picture)) == 0
    assert run(_decoders_begun(samples.write(tmp_path / "sound.wav", *samples.tone(300)))) == 1


async def _left(file: Path) -> int:
    async with Media.opened(Source(file), Limits()) as media:
        media.begin_sound()
        await asyncio.sleep(0.02)
    for _ in range(200):
        if not samples.children("ffmpeg"):
            return 0
        await asyncio.sleep(0.01)
    return len(samples.children("ffmpeg"))


def test_sound_that_nobody_asked_for_leaves_nothing_behind(tmp_path: Path) -> None:
    assert run(_left(samples.write(tmp_path / "long.wav", *samples.tone(600)))) == 0
