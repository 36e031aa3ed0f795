"""Metadata of a film or a sound: MP4 and MOV atoms, Matroska tags and others, by FFmpeg. Only in the child process."""

from __future__ import annotations

import av

from veracity_gateway.provenance import xmp
from veracity_gateway.provenance.facts import Facts
from veracity_gateway.provenance.words import MOST, clean

SOURCE = "file:/proc/self/fd/0"
# Formats that cannot name another file. Only FILE is opened, by no other protocol.
FORMATS = "mov,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,mxf,wav,w64,aiff,caf,mp3,aac,flac,gif"
STRUCTURE = {"major_brand", "minor_version", "compatible_brands", "language", "handler_name", "vendor_id"}


def read() -> Facts:
    """Return what the container on standard input says of itself, and each of its tracks."""
    facts = Facts()
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS, "export_xmp": "1"}
    try:
        with av.open(SOURCE, options=options, metadata_errors="replace") as container:
            facts.format = container.format.name
            _add(facts, "container", container.metadata)
            for stream in list(container.streams)[:MOST]:
                _add(facts, f"{stream.type} track", stream.metadata)
    except (av.FFmpegError, ValueError) as error:
        facts.unread.append(f"the container: {clean(getattr(error, 'strerror', None) or error)}")
    return facts


def _add(facts: Facts, where: str, metadata: dict[str, str]) -> None:
    for name, text in list(metadata.items())[: 4 * MOST]:
        if name == "xmp":
            xmp.read(text, facts)
        elif name not in STRUCTURE:
            facts.add(where, name, text)
