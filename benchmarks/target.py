"""The clip that speed is measured on."""

from __future__ import annotations

import tempfile
from pathlib import Path

from veracity.catalog.assets import PORTRAIT_FILE
from veracity.media import find_ffmpeg
from veracity.sample import Clip, make_sample
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
