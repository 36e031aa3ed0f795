"""What the verdict says of the file."""

from __future__ import annotations

from veracity.media import Media, Probe
from veracity_client.verdict import InputInfo, Options


def input_info(media: Media, probe: Probe, options: Options) -> InputInfo:
    """Return the file's digest and what its probe found."""
    video, audio, track = probe.video, probe.audio, options.audio_track or 0
    codecs = {"video": video.codec} if video else {}
    return InputInfo(
        sha256=media.sha256,
        bytes=media.size,
        seconds=None if probe.seconds is None else round(probe.seconds, 3),
        resolution=f"{video.width}x{video.height}" if video else None,
        codecs=codecs | ({"audio": audio[track].codec} if track < len(audio) else {}),
        audio_tracks=len(audio),
    )
