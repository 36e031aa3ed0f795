"""What :mod:`veracity.media.inspect_script` prints, with its types checked: one that was taken over prints anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from veracity import log
from veracity_client.errors import InternalError

logger = log.get(__name__)

Count = Annotated[int, Meta(ge=0, le=1 << 60)]
Side = Annotated[int, Meta(ge=0, le=(1 << 31) - 1)]  # pixels, or samples a second
Number = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Real = Annotated[float, Meta(ge=-1e30, le=1e30)]  # 64-bit ticks of up to 2³¹ seconds
Codec = Annotated[str, Meta(max_length=64)]
Size = Annotated[str, Meta(pattern=r"^\d{1,10}x\d{1,10}$")]


@dataclass(frozen=True)
class TrackFacts:
    """One track; a sound track has ``channels``, ``layout`` and ``rate``, a video track what follows them."""

    type: Literal["video", "audio"]
    decodable: bool
    codec: Codec | None
    disposition: Count
    packets: Count
    bytes: Count
    end: Real | None
    channels: Annotated[int, Meta(ge=0, le=1 << 16)] = 1
    layout: str = ""
    rate: Side = 0  # samples a second
    size: tuple[Side, Side] = (0, 0)
    aspect: tuple[Number, Number] = (1, 1)
    fps: Real | None = None
    matrix: Annotated[tuple[Number, ...], Meta(max_length=9)] = ()
    interlaced: bool = False
    transfer: Number = 0
    key_lag: Real | None = None  # seconds


@dataclass(frozen=True)
class FileFacts:
    """The whole file; ``tracks`` is None where it could not be opened."""

    too_large: Size | None
    cut: bool
    tracks: tuple[TrackFacts, ...] | None = None
    format: Codec = ""
    declared: Real | None = None
    complete: bool = True
    stray_after: Real | None = None
    jumps: tuple[tuple[Real, Real], ...] = ()


_FACTS = msgspec.json.Decoder(FileFacts)


def read_facts(text: bytes | bytearray) -> FileFacts:
    """Read what was printed. Raises :class:`InternalError` for anything else."""
    try:
        return _FACTS.decode(text)
    except (ValueError, RecursionError) as error:
        logger.error("inspecting a file gave no facts", error=str(error))
        raise InternalError("the file could not be inspected; the server's log has the reason") from None
