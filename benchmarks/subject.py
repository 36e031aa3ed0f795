"""What is measured: a clip and a server."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from veracity.catalog.assets import PORTRAIT_FILE
from veracity.media import find_ffmpeg
from veracity.sample import Clip, make_sample
from veracity.server import Server
from veracity.settings import Settings

FULL_HD = Clip(1920, 1080, 10.0, 6_000_000, voice="de")  # a voice of which the starter is sure: fail_fast stops


def clip_of(given: Path | None) -> Path:
    """Return the given clip, or make the 10 s 1080p one: speech, a face, noise as of a sensor, 6 Mbit/s H.264."""
    if given is not None:
        return given
    settings = Settings.from_env()
    target = Path(tempfile.gettempdir()) / f"veracity-{FULL_HD.height}p-{FULL_HD.bitrate}-{FULL_HD.voice}.mp4"
    if not target.is_file():
        make_sample(target, settings.weights / PORTRAIT_FILE, find_ffmpeg(settings.ffmpeg), FULL_HD)
    return target


@contextmanager
def server_at(url: str | None, protocol: str = "grpc") -> Iterator[str]:
    """Yield the address of the given server, or of one that runs until we leave."""
    if url is not None:
        yield url
        return
    with Server.from_settings(Settings.from_env()) as server:
        yield server.grpc_url if protocol == "grpc" else server.http_url
