"""Our parsers as functions of bytes. What each must hold: its answer comes out, or an error of ours.

:data:`TARGETS` has them with the bytes that a fuzzer starts from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from veracity.decision.calibration import FILE, Calibration
from veracity.media import FileBelow, Limits, boxes, decoding, pictures
from veracity.media.ffmpeg import error_from_stderr
from veracity.media.probe import parse_facts, within_limits
from veracity.server.proxy.keys import KeyRing
from veracity.settings import CONFIG_FILE
from veracity.settings_sources import load
from veracity_client import _wire as wire
from veracity_client._address import Address
from veracity_client.errors import InternalError, VeracityError
from veracity_client.options import Options
from veracity_client.verdict import StageEvent, event_to_json

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Target:
    """``parse`` takes any bytes; ``seeds`` are some that it reads."""

    parse: Callable[[bytes], object]
    seeds: tuple[bytes, ...]

    def __call__(self, content: bytes) -> None:
        """Parse; whatever is raised is a finding."""
        try:
            self.parse(content)
        except VeracityError:
            return


@contextmanager
def in_memory(content: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("fuzz")
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, content)
        yield descriptor
    finally:
        os.close(descriptor)


def text(content: bytes) -> str:
    """Return bytes as the text that an environment or a command line would hold."""
    return content.decode(errors="surrogateescape")


def options(content: bytes) -> None:
    found = Options.from_json(content)
    assert Options.from_json(found.to_json()) == found


def containers(content: bytes) -> None:
    with in_memory(content) as file:
        boxes.is_protected(file)
        boxes.has_index(file)
        pictures.picture_format(file)
        assert isinstance(pictures.unreadable(file), VeracityError)


def facts(content: bytes) -> None:
    found = parse_facts(content)
    if found is None:
        return
    assert sorted(found.audio_order) == list(range(len(found.audio)))
    within_limits(found, Limits())
    if found.video and found.video.width:
        assert min(decoding.shown_size(found.video.width, found.video.height)) >= 1


def answers(content: bytes) -> None:
    """Read as every kind of answer a server may give."""
    for read in (wire.read_verdict, wire.read_event, wire.json_tensor):
        try:
            read(content)
        except InternalError:
            continue


def failures(content: bytes) -> None:
    code, _, said = text(content).partition(" ")
    assert isinstance(wire.failure(said, code), VeracityError)
    assert isinstance(error_from_stderr(said, InternalError("")), VeracityError)


def keys(content: bytes) -> None:
    with in_memory(content) as file:
        try:
            KeyRing(file=Path(f"/proc/self/fd/{file}")).name_of(text(content))
        finally:
            KeyRing(text(content)).name_of(text(content))


def addresses(content: bytes) -> None:
    for secure in (False, True):
        address = Address.parse(text(content), None, secure, text(content[-40:]) or None)
        assert address.target
        assert isinstance(address.is_local, bool)
        assert isinstance(address.through, str)


def paths(content: bytes) -> None:
    os.close(FileBelow(FOLDER, text(content)).open())


def settings(content: bytes) -> None:
    with in_memory(content) as file:
        load({CONFIG_FILE: f"/proc/self/fd/{file}"})


def calibrations(content: bytes) -> None:
    Calibration.parsed(content.decode(errors="replace"))


TRACK = {"index": 0, "decodable": True, "codec": "h264", "disposition": 1, "packets": 50, "bytes": 9000, "end": 2.0}
SOUND = TRACK | {"type": "audio", "channels": 2, "layout": "stereo"}
FILM = TRACK | {
    "type": "video",
    "size": [320, 180],
    "aspect": [1, 1],
    "fps": 25.0,
    "matrix": [0, 1, 0, 1, 0, 0, 0, 0, 1],
}
FILE_FACTS = {
    "declared": 2.0,
    "complete": True,
    "stray_after": None,
    "jumps": [[1.0, 2.0]],
    "too_large": None,
    "cut": False,
}
RESPONSE = {"outputs": [{"name": "VERDICT", "datatype": "BYTES", "shape": [1, 1], "data": ["{}"]}]}
MP4 = b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x2cmoov\0\0\0\x24schm\0\0\0\0cenc" + bytes(24)
SETTINGS = b'profile = "starter"\nmax_bytes = 7\nvad = "energy"\nffmpeg_wall_seconds = 2.5\nmedia_root = "media"\n'
ADDRESSES = ("localhost:8001", "grpcs://[::1]:8001", "https://user@example.com:8000/path", "unix:/run/socket")

TARGETS = {
    "options": Target(options, (Options(audio_track=1, video_track=0).to_json().encode(), b'{"layers": ["audio"]}')),
    "containers": Target(containers, (MP4, b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\2")),
    "facts": Target(
        facts, (json.dumps(FILE_FACTS | {"tracks": [FILM, SOUND]}).encode(), b'{"error": "X", "cut": true}')
    ),
    "answers": Target(
        answers, (json.dumps(RESPONSE).encode(), event_to_json(StageEvent("probe", "done", 1.5)).encode())
    ),
    "failures": Target(failures, (b"503 [request 7] Overloaded: later", b"UNAVAILABLE Exceeds maximum queue size")),
    "keys": Target(keys, (b"# callers\nanna:0123456789abcdef\nbob:fedcba9876543210\n", b"anna:0123456789abcdef,b:c")),
    "addresses": Target(addresses, tuple(map(str.encode, ADDRESSES))),
    "paths": Target(paths, (b"targets.py", b"../fuzz/./targets.py", b"/etc/passwd")),
    "settings": Target(settings, (SETTINGS,)),
    "calibrations": Target(calibrations, (FILE.read_bytes(),)),
}
