"""What the verdict says of the file."""

from __future__ import annotations

from veracity.decision.evidence import Evidence
from veracity.media import Media, Probe
from veracity_client.verdict import InputInfo, Options


def input_info(media: Media, probe: Probe, options: Options, evidence: Evidence) -> InputInfo:
    """Return the file's digest, what its probe found, and which of its tracks were examined."""
    video, audio, order = probe.video, probe.audio, probe.audio_order
    track = evidence.audio_track if evidence.audio_track is not None else options.audio_track
    shown = track if track is not None else order[0] if order else 0
    codecs = {"video": video.codec} if video else {}
    return InputInfo(
        sha256=media.sha256,
        bytes=media.size,
        seconds=None if probe.seconds is None else round(probe.seconds, 3),
        resolution=f"{video.width}x{video.height}" if video and video.width else None,
        codecs=codecs | ({"audio": audio[shown].codec} if shown < len(audio) else {}),
        audio_tracks=len(audio),
        audio_track=evidence.audio_track,
        audio_channel=evidence.audio_channel,
        video_tracks=probe.video_tracks,
        video_track=video.index if video else None,
    )
