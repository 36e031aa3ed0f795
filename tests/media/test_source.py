"""Sources of video: opened once, hashed once, and the bytes of an upload are let go before anything is decoded."""

import asyncio
import hashlib
import os
import threading
from pathlib import Path

import media_samples
import pytest

from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import analyze
from veracity.media import Limits, Media, Source
from veracity.media.source import CHUNK
from veracity_client.errors import BadVideo, TooLarge
from veracity_client.verdict import Options, StageEvent


class Upload(bytes):
    """Bytes that tell when nobody holds them any more."""

    released: threading.Event

    def __del__(self) -> None:
        self.released.set()


def upload(content: bytes) -> Upload:
    made = Upload(content)
    made.released = threading.Event()
    return made


def open_files() -> int:
    """How many copies of files this process holds; what else it has open, other tests' threads change."""
    held = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return sum("memfd:" in str(path.readlink()) for path in held if path.exists() or path.is_symlink())


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, 3 * CHUNK + 7])
def test_bytes_and_a_path_give_the_same_file(size: int, tmp_path: Path) -> None:
    content = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(content)
    for source in (Source(content), Source(path)):
        file = source.open(Limits())
        assert (file.size, file.sha256) == (size, hashlib.sha256(content).hexdigest())
        assert os.pread(file.descriptor, size + 1, 0) == content
        file.close()
        file.close()


def test_a_source_can_be_opened_once() -> None:
    source = Source(b"content")
    source.open(Limits()).close()
    with pytest.raises(RuntimeError, match="once"):
        source.open(Limits())


def test_a_source_that_cannot_be_opened_leaves_no_file_open(tmp_path: Path) -> None:
    before = open_files()
    (tmp_path / "empty").touch()
    (tmp_path / "large").write_bytes(bytes(11))
    for video, error in (
        (bytes(11), TooLarge),
        (tmp_path / "large", TooLarge),
        (b"", BadVideo),
        (tmp_path / "empty", BadVideo),
        (tmp_path, BadVideo),
    ):
        with pytest.raises(error):
            Media.open(Source(video), Limits(max_bytes=10, max_file_bytes=10))
    assert open_files() == before


@pytest.mark.parametrize("limit", [10, 100])
def test_opening_lets_go_of_the_bytes(limit: int) -> None:
    content = upload(bytes(50))
    released, source = content.released, Source(content)
    del content
    assert not released.is_set()
    try:
        source.open(Limits(max_bytes=limit)).close()
    except TooLarge:
        assert limit < 50
    assert released.is_set()


def test_the_bytes_are_released_before_the_file_is_probed(full_context: AnalysisContext, tmp_path: Path) -> None:
    content = upload(media_samples.clip(tmp_path).read_bytes())
    released, source = content.released, Source(content)
    del content
    at_start: dict[str, bool] = {}

    def tell(event: StageEvent) -> None:
        at_start.setdefault(event.stage, released.is_set())

    infer = LocalInfer(full_context.settings.model_repository)
    asyncio.run(analyze(source, infer, Options(policy="exhaustive"), full_context, tell))
    assert next(iter(at_start)) == "probe"
    assert "frames" in at_start
    assert all(at_start.values()), at_start


def test_an_opening_that_is_cancelled_leaves_no_file_open() -> None:
    before = open_files()
    content = os.urandom(64 * CHUNK)

    async def cancelled() -> None:
        async def enter() -> None:
            async with Media.opened(Source(content), Limits()):
                pytest.fail("it was cancelled before it was open")

        task = asyncio.create_task(enter())
        await asyncio.sleep(0)  # the task starts the thread
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.get_running_loop().shutdown_default_executor()
        await asyncio.sleep(0)  # the callback of the finished thread

    asyncio.run(cancelled())
    assert open_files() == before
