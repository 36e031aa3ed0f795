"""The sandbox: what a decoder may use, that nothing but the one file is opened, that no process stays."""

from __future__ import annotations

import asyncio
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path

import media_samples as samples
import pytest
from media_samples import frames, probe, run

from veracity.media import Media, Source
from veracity.media.ffmpeg import find_ffmpeg
from veracity.media.sandbox import MIB, Limits, running
from veracity_client.errors import AnalysisTimeout, BadOption, BadVideo, LimitExceeded, TooLarge, VeracityError

BOMB = samples.gif(4000, 2000, 4000)  # 92 kB; 4,000 × 32 MB of pixels


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bad-media")


@pytest.fixture(params=samples.programs())
def ffmpeg(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_processor_time(ffmpeg: Path) -> None:
    with pytest.raises(LimitExceeded, match="VERACITY_FFMPEG_CPU_SECONDS") as caught:
        run(frames(BOMB, ffmpeg, [0, 1900], None, Limits(cpu_seconds=1)))
    assert samples.is_ours(caught.value)
    assert not samples.decoders()


def test_wall_clock(ffmpeg: Path) -> None:
    with pytest.raises(AnalysisTimeout, match="VERACITY_FFMPEG_WALL_SECONDS") as caught:
        run(frames(BOMB, ffmpeg, [0, 1900], None, Limits(wall_seconds=0.5)))
    assert samples.is_ours(caught.value)
    assert not samples.decoders()


def test_memory(ffmpeg: Path) -> None:
    with pytest.raises(LimitExceeded, match="VERACITY_FFMPEG_MEMORY_BYTES") as caught:
        run(frames(samples.gif(8000, 4000, 60), ffmpeg, [0, 1, 2], None, Limits(memory_bytes=256 * MIB)))
    assert samples.is_ours(caught.value)


# Nothing but the one file


def test_a_playlist_opens_nothing(folder: Path, ffmpeg: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        for target in (f"file:{samples.clip(folder)}", f"http://127.0.0.1:{port}/clip.mp4", f"tcp://127.0.0.1:{port}"):
            hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9.0,\n{target}\n#EXT-X-ENDLIST\n"
            concat = f"ffconcat version 1.0\nfile '{target}'\n"
            dash = f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{target}</BaseURL></MPD>'
            sdp = f"v=0\nc=IN IP4 127.0.0.1\nm=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
            for name, text in (("hls", hls), ("concat", concat), ("dash", dash), ("sdp", sdp)):
                playlist = folder / f"{name}.mp4"
                playlist.write_text(text)
                for source in (playlist, text.encode()):
                    with pytest.raises(BadVideo) as caught:
                        run(probe(source, ffmpeg))
                    assert samples.is_ours(caught.value)
        with pytest.raises(BlockingIOError):
            server.accept()  # nobody called


def test_the_childs_limits_and_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    script = tmp_path / "ffmpeg"
    script.write_text(
        f"#!{sys.executable} -IS\nimport os, resource as r\n"
        "print(*[r.getrlimit(k) for k in (r.RLIMIT_CPU, r.RLIMIT_AS, r.RLIMIT_FSIZE, r.RLIMIT_CORE)], sep='\\n')\n"
        "print(os.environ, os.getcwd())"
    )
    script.chmod(0o755)
    limits = Limits(cpu_seconds=7, memory_bytes=777 * MIB)

    async def told() -> str:
        with (tmp_path / "ffmpeg").open() as source:
            async with running([str(script)], source.fileno(), limits) as child:
                output = await child.rest(1 << 16)
                assert not await child.end()
                return output.decode()

    said = run(told())
    assert said.splitlines()[:4] == ["(7, 8)", f"({777 * MIB}, {777 * MIB})", "(0, 0)", "(0, 0)"]
    assert "hunter2" not in said
    assert said.rstrip().endswith("/")


def test_a_decoder_that_never_ends_is_not_read_for_ever(tmp_path: Path) -> None:
    async def read() -> None:
        with (tmp_path / "source").open("w+") as source:
            async with running(["yes"], source.fileno(), Limits()) as child:
                await child.rest(10 * MIB)

    with pytest.raises(TooLarge, match=str(10 * MIB)):
        run(read())


def test_finding_ffmpeg_and_prlimit(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="VERACITY_FFMPEG"):
        find_ffmpeg(tmp_path / "absent")
    system = find_ffmpeg()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VeracityError, match="apt-get install util-linux"):
        run(probe(samples.silent_video(folder), system))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(VeracityError, match="apt-get install ffmpeg"):
        find_ffmpeg()


# No process stays


def test_frames_come_while_ffmpeg_still_runs_and_leaving_ends_it(folder: Path, ffmpeg: Path) -> None:
    async def first_only() -> None:
        with Media.open(Source(samples.silent_video(folder)), Limits(), ffmpeg) as media:
            async with aclosing(media.frames(range(50), (1920, 1080))) as stream:
                assert (await anext(stream)).index == 0
                assert samples.decoders()  # 41 frames that nobody took yet are more than the pipe holds
            assert not samples.decoders()

    run(first_only())


def test_cancelling_kills_ffmpeg(folder: Path, ffmpeg: Path) -> None:
    async def cancelled() -> None:
        with Media.open(Source(samples.gif(1000, 1000, 4000)), Limits(), ffmpeg) as media:
            begun = asyncio.Event()

            async def decode() -> None:
                async for _ in media.frames(range(1900)):  # 6 GB through a pipe: not done before anybody looks
                    begun.set()

            task = asyncio.create_task(decode())
            await begun.wait()
            assert samples.decoders()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not samples.decoders()

    run(cancelled())


def test_an_event_loop_off_the_main_thread(folder: Path, ffmpeg: Path) -> None:
    """Triton's Python backend runs models there."""
    with ThreadPoolExecutor(1) as thread:
        assert len(thread.submit(run, frames(samples.clip(folder), ffmpeg, range(50))).result()) == 50
    assert not samples.decoders()


def test_several_passes_at_once(folder: Path, ffmpeg: Path) -> None:
    async def together() -> list[int]:
        with Media.open(Source(samples.clip(folder)), Limits(), ffmpeg) as media:

            async def count() -> int:
                return len([frame async for frame in media.frames(range(50))])

            pcm, *counts = await asyncio.gather(media.audio(), count(), count())
            return [*counts, len(pcm) // 16_000]

    assert run(together()) == [50, 50, 2]
    assert not samples.decoders()
