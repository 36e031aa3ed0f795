"""Our own parsers take any bytes: what they return holds for all of them, and what they raise is ours."""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veracity.evidence.crops import whole_picture
from veracity.media import Limits, boxes, decoding, pictures
from veracity.media.probe import parse_facts, within_limits
from veracity_client import errors
from veracity_client.options import Options

many = settings(max_examples=100, deadline=None, derandomize=True)
NUMBERS = st.one_of(st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31), 2**63 - 1]), st.integers(-(2**40), 2**40))
SECONDS = st.one_of(st.floats(-1e28, 1e28), st.floats(-10, 4000))  # 64-bit ticks of up to 2^31 seconds
HEADS = [
    b"ftypheic",
    b"ftypavif",
    b"RIFF\0\0\0\0WEBPVP8X",
    b"#EXTM3U",
    b"<svg",
    b"\x89PNG",
    b"PK\x03\x04",
    b"moov",
    b"schm",
]


@contextmanager
def opened(content: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("content")
    try:
        os.write(descriptor, content)
        yield descriptor
    finally:
        os.close(descriptor)


def box(kind: bytes, body: bytes, *, wide: bool = False, to_the_end: bool = False) -> bytes:
    if to_the_end:
        return bytes(4) + kind + body
    if wide:
        return b"\0\0\0\1" + kind + (len(body) + 16).to_bytes(8, "big") + body
    return (len(body) + 8).to_bytes(4, "big") + kind + body


@many
@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(HEADS)), max_size=8).map(b"".join))
def test_any_bytes_have_a_format_or_none(content: bytes) -> None:
    with opened(content) as file:
        assert boxes.is_protected(file) in (True, False)
        assert boxes.has_index(file) in (True, False)
        assert pictures.picture_format(file) in (None, "AVIF", "HEIC", "animated WebP")
        assert isinstance(pictures.unreadable(file), errors.BadVideo)


@many
@given(
    st.lists(st.tuples(st.sampled_from([b"free", b"mdat", b"ftyp", b"uuid"]), st.binary(max_size=30), st.booleans())),
    st.booleans(),
    st.booleans(),
)
def test_an_index_is_found_wherever_it_is(
    before: list[tuple[bytes, bytes, bool]], wide: bool, to_the_end: bool
) -> None:
    start = b"".join(box(kind, body, wide=wide) for kind, body, wide in before)
    scheme = box(b"sinf", box(b"schm", bytes(4) + b"cenc" + bytes(4)))
    with opened(start + box(b"moov", bytes(20) + scheme, wide=wide, to_the_end=to_the_end)) as file:
        assert boxes.has_index(file)
        assert boxes.is_protected(file)
    with opened(start + box(b"moov", bytes(20), wide=wide, to_the_end=to_the_end)) as file:
        assert boxes.has_index(file)
        assert not boxes.is_protected(file)
    with opened(start) as file:
        assert not boxes.has_index(file)


TRACK = st.fixed_dictionaries(
    {
        "index": st.integers(0, 9),
        "decodable": st.booleans(),
        "codec": st.one_of(st.none(), st.text(max_size=9)),
        "disposition": st.integers(0, 1 << 14),
        "packets": st.integers(0, 2_000_000),
        "bytes": st.integers(0, 1 << 40),
        "end": st.one_of(st.none(), SECONDS),
    }
)
SOUND = st.fixed_dictionaries(
    {"type": st.just("audio"), "channels": st.integers(0, 512), "layout": st.text(max_size=9)}
)
FILM = st.fixed_dictionaries(
    {
        "type": st.just("video"),
        "size": st.tuples(st.integers(0, 1 << 17), st.integers(0, 1 << 17)),
        "aspect": st.tuples(NUMBERS, NUMBERS),
        "fps": st.one_of(st.none(), SECONDS),
        "matrix": st.one_of(st.just(()), st.lists(NUMBERS, min_size=9, max_size=9)),
        "interlaced": st.booleans(),
        "transfer": st.integers(-1, 300),
    }
)
FACTS = st.fixed_dictionaries(
    {
        "format": st.text(max_size=9),
        "declared": st.one_of(st.none(), SECONDS),
        "complete": st.booleans(),
        "stray_after": st.one_of(st.none(), SECONDS),
        "jumps": st.lists(st.tuples(SECONDS, SECONDS), max_size=3),
        "too_large": st.none(),
        "cut": st.booleans(),
        "tracks": st.lists(st.tuples(TRACK, st.one_of(SOUND, FILM)).map(lambda pair: pair[0] | pair[1]), max_size=4),
    }
)


@many
@given(FACTS, st.one_of(st.none(), st.integers(0, 4)))
def test_whatever_a_container_says_stays_within_the_limits(facts: dict[str, object], track: int | None) -> None:
    limits = Limits()
    try:
        found = parse_facts(json.dumps(facts).encode(), track)
        assert found is not None
        found = within_limits(found, limits)
    except (errors.BadOption, errors.LimitExceeded):
        return
    assert 0 <= (found.seconds or 0) <= limits.max_seconds
    if found.video is not None and found.video.width:
        width, height = decoding.shown_size(found.video.width, found.video.height)
        assert min(width, height) >= 1
        assert max(width, height) <= decoding.LONGEST_SIDE
        assert width * height <= 1.02 * decoding.FULL_HD


@many
@given(st.integers(1, 1 << 20), st.integers(1, 1 << 20))
def test_frames_of_any_shape_are_within_the_area_of_full_hd(width: int, height: int) -> None:
    across, down = decoding.shown_size(width, height)
    assert 1 <= across <= min(width, decoding.LONGEST_SIDE)
    assert 1 <= down <= min(height, decoding.LONGEST_SIDE)
    assert across * down <= 1.02 * decoding.FULL_HD


@many
@given(st.lists(st.integers(0, 5_000), max_size=60))
def test_runs_are_the_numbers(numbers: list[int]) -> None:
    rising = sorted(set(numbers))
    assert [n for run in decoding.runs_of(rising) for n in run] == rising
    if numbers != rising:
        with pytest.raises(ValueError, match="rising"):
            decoding.runs_of(numbers)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 700), st.integers(1, 700))
def test_the_whole_picture_is_a_square(height: int, width: int) -> None:
    assert whole_picture(np.zeros((height, width, 3), np.uint8), 96).shape == (96, 96, 3)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.text(max_size=5), st.sampled_from(list(Options.__annotations__))), inner, max_size=5
        ),
    ),
    max_leaves=12,
)


@many
@given(st.one_of(st.binary(max_size=80), JSON.map(lambda value: json.dumps(value).encode())))
def test_options_are_read_or_refused(text: bytes) -> None:
    try:
        found = Options.from_json(text)
    except errors.BadOption:
        return
    assert Options.from_json(found.to_json()) == found
    assert math.isfinite(found.deadline_seconds)


@many
@given(st.sampled_from(sorted(errors.BY_NAME)), st.text(max_size=200))
def test_an_error_comes_back_from_the_wire_as_it_was(name: str, message: str) -> None:
    line = errors.BY_NAME[name](message).to_wire()
    assert "\n" not in line
    found = errors.from_wire(f"[request 7] {line}")
    assert type(found) is errors.BY_NAME[name]
    assert found.message == line.partition(": ")[2]
