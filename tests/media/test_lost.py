"""A decoder that the system ends, as for want of memory: run once more, and never the file's fault."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import media_samples as samples
import numpy as np
import pytest

from veracity.media import Limits, Media, Source
from veracity.media.ffmpeg import find_ffmpeg
from veracity_client.errors import ModelUnavailable

PROGRAMS = ("ffmpeg", "python")
FILM = samples.gif(1000, 1000, 2000)  # 40 kB; 1,000 pictures of 3 MB leave ffmpeg, 25 a second


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lost")


async def end(times: int, others: set[int], signal_number: int = signal.SIGKILL) -> None:
    """End so many decoders of ours, each as soon as it is seen; ``others`` are processes of other tests' servers."""
    ended: set[int] = set()
    while True:
        for process in set(samples.children(*PROGRAMS)) - others - ended:
            with suppress(ProcessLookupError):  # it ended meanwhile
                os.kill(process, signal_number)
                ended.add(process)
        if len(ended) >= times:
            return
        await asyncio.sleep(0.002)


async def frames(media: Media) -> list[int]:
    return [frame.index async for frame in media.frames(range(900))]


async def sound(media: Media) -> list[int]:
    return [len(await media.audio())]


async def channels(media: Media) -> list[int]:
    return list(np.shape((await media.levels()).products))


async def facts(media: Media) -> list[int]:
    return [(await media.probe()).video_tracks]


Work = Callable[[Media], Coroutine[Any, Any, list[int]]]
WORK: dict[str, tuple[Work, list[int], bool]] = {
    "facts": (facts, [1], False),
    "frames": (frames, list(range(900)), True),
    "sound": (sound, [900 * 16_000], True),
    "channels": (channels, [1, 1], True),
}


def content(kind: str, folder: Path) -> bytes:
    if kind in ("facts", "frames"):
        return FILM
    return samples.write(folder / "tone.flac", *samples.tone(900)).read_bytes()


async def ended(kind: str, folder: Path, times: int, signal_number: int = signal.SIGKILL) -> list[int]:
    work, _, probed = WORK[kind]
    with Media.open(Source(content(kind, folder)), Limits(), find_ffmpeg()) as media:
        if probed:
            await media.probe()
        ending = asyncio.create_task(end(times, set(samples.children(*PROGRAMS)), signal_number))
        try:
            return await work(media)
        finally:
            assert ending.done()
            ending.cancel()


@pytest.mark.parametrize("kind", WORK)
def test_a_decoder_that_is_killed_once_is_run_again(kind: str, folder: Path) -> None:
    assert asyncio.run(ended(kind, folder, 1)) == WORK[kind][1]
    assert not samples.decoders()


@pytest.mark.parametrize("kind", WORK)
def test_one_that_is_killed_again_is_no_fault_of_the_file(kind: str, folder: Path) -> None:
    with pytest.raises(ModelUnavailable, match="the system ended the decoder") as caught:
        asyncio.run(ended(kind, folder, 2))
    assert samples.is_ours(caught.value)
    assert not samples.decoders()


def test_a_decoder_that_is_told_to_end_has_not_used_up_its_time(folder: Path) -> None:
    assert asyncio.run(ended("frames", folder, 1, signal.SIGTERM)) == list(range(900))


def test_frames_come_once_where_it_is_killed_midway(folder: Path) -> None:
    async def killed_midway() -> list[int]:
        with Media.open(Source(FILM), Limits(), find_ffmpeg()) as media:
            seen: list[int] = []
            async for frame in media.frames(range(900)):
                seen.append(frame.index)
                if len(seen) == 400:
                    (decoder,) = samples.children("ffmpeg")
                    os.kill(decoder, signal.SIGKILL)
            return seen

    assert asyncio.run(killed_midway()) == list(range(900))
