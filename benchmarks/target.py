"""What is measured: the clip for speed, the models that are installed, a server of the measurement's own."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from veracity.analysis.installed import model_info
from veracity.catalog.assets import PORTRAIT_FILE
from veracity.catalog.profiles import children, choose
from veracity.media import find_ffmpeg
from veracity.sample import Clip, make_sample
from veracity.server import Server
from veracity.server.proxy.access import Access
from veracity.settings import Settings

FULL_HD = Clip(1920, 1080, 10.0, 6_000_000, voice="ja")  # a voice of which the starter is sure: fail_fast stops

MESSENGER = (
    "-vf", "scale=1280:720,fps=30", "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "main", "-threads", "1",
    "-b:v", "1600k", "-maxrate", "2000k", "-bufsize", "3200k", "-c:a", "aac", "-b:a", "64k", "-ac", "1",
    "-movflags", "+faststart",
)  # fmt: skip


def clip_of(given: Path | None) -> Path:
    """Return the given clip, or make the 10 s 1080p one: speech, a face, noise as of a sensor, 6 Mbit/s H.264."""
    if given is not None:
        return given
    settings = Settings.from_env()
    target = Path(tempfile.gettempdir()) / f"veracity-{FULL_HD.height}p-{FULL_HD.bitrate}-{FULL_HD.voice}.mp4"
    if not target.is_file():
        make_sample(target, settings.weights / PORTRAIT_FILE, find_ffmpeg(settings.ffmpeg), FULL_HD)
    return target


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that a call takes, and its result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def decode_to_null(clip: Path) -> None:
    """Have ffmpeg decode the clip and throw the frames away."""
    ffmpeg = str(find_ffmpeg(None))
    subprocess.run([ffmpeg, "-nostdin", "-v", "error", "-i", str(clip), "-f", "null", "-"], check=True)


def messenger_clip() -> Path:
    """Return the same clip as a messenger sends it on: 720p, 30 frames a second, 1.6 Mbit/s, one channel of sound."""
    source = clip_of(None)
    target = source.with_name(f"veracity-messenger-{source.name}")
    if not target.is_file():
        part = target.with_suffix(".part.mp4")
        command = [find_ffmpeg(Settings.from_env().ffmpeg), "-nostdin", "-v", "error", "-y", "-i", source, *MESSENGER]
        subprocess.run([str(word) for word in (*command, part)], check=True)
        part.replace(target)
    return target


def sound_of(clip: Path, folder: Path) -> Path:
    """Write a clip's sound alone into ``folder``, as a WAV file, and return its path."""
    return _cut(clip, folder / "sound.wav", "-vn")


def picture_of(clip: Path, folder: Path) -> Path:
    """Write a clip's first picture into ``folder``, as a JPEG, and return its path."""
    return _cut(clip, folder / "picture.jpg", "-frames:v", "1")


def _cut(clip: Path, target: Path, *arguments: str) -> Path:
    command = [find_ffmpeg(Settings.from_env().ffmpeg), "-nostdin", "-v", "error", "-y", "-i", clip, *arguments, target]
    subprocess.run([str(word) for word in command], check=True)
    return target


def installed() -> dict[str, Any]:
    """Return the profile, and the sha256 of the graph of each model served."""
    settings = Settings.from_env()
    served = children(choose(settings.profile, settings.models))
    models = {name: model_info(settings.model_repository, name).sha256 for name in served}
    return {"profile": settings.profile, "models": models}


@contextmanager
def own_server() -> Iterator[tuple[Server, Path]]:
    """Yield a server with its models loaded, and the folder in which alone it makes files."""
    with tempfile.TemporaryDirectory(prefix="veracity-") as folder:
        before, tempfile.tempdir, os.environ["TMPDIR"] = tempfile.gettempdir(), folder, folder
        try:
            with Server.from_settings(Settings.from_env(), access=Access()) as server:
                server.require("deepfake_detector")
                yield server, Path(folder)
        finally:
            tempfile.tempdir = os.environ["TMPDIR"] = before
