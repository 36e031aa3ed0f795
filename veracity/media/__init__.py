"""One file under analysis: what is in it, its sound, its frames; decoders as sandboxed child processes."""

from __future__ import annotations

from veracity.media.below import FileBelow
from veracity.media.levels import Levels
from veracity.media.media import Frame, Limits, Media, Probe, Source, find_ffmpeg

__all__ = ["FileBelow", "Frame", "Levels", "Limits", "Media", "Probe", "Source", "find_ffmpeg"]
