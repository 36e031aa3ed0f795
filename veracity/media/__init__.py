"""One file under analysis: what is in it, its sound, its frames; ffmpeg as a sandboxed child process."""

from __future__ import annotations

from veracity.media.media import Frame, Limits, Media, Probe, Source, find_ffmpeg

__all__ = ["Frame", "Limits", "Media", "Probe", "Source", "find_ffmpeg"]
