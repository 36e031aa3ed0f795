"""Hostile files that only one format can be: numbers in its header, tracks, clocks, playlists, two formats at once."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import media_samples as samples

BOXES = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf", b"mvex", b"udta", b"dinf"}
NUMBERS = (  # durations, counts, sizes and times: a box of an mp4, and how far into it
    (b"mvhd", 20), (b"mvhd", 24), (b"mdhd", 20), (b"mdhd", 24), (b"tkhd", 28), (b"stts", 16), (b"stts", 20),
    (b"stsz", 12), (b"stsz", 16), (b"stsc", 12), (b"stco", 12), (b"stss", 12), (b"ctts", 12), (b"elst", 12),
    (b"elst", 16), (b"elst", 20), (b"trun", 12), (b"tfdt", 12),
)  # fmt: skip
Files = Iterator[tuple[str, bytes]]
Seeds = Mapping[str, bytes]


def boxes(content: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes, int]]:
    """Yield offset, kind and length of an mp4's boxes, those inside of others too; of other formats next to none."""
    end = len(content) if end is None else end
    while start + 8 <= end:
        length, kind = int.from_bytes(content[start : start + 4], "big"), content[start + 4 : start + 8]
        if not kind.isalnum() or not 8 <= length <= end - start:
            return
        yield start, kind, length
        if kind in BOXES:
            yield from boxes(content, start + 8, start + length)
        start += length


def patched(content: bytes, kind: bytes, offset: int, value: bytes) -> bytes:
    """Return an mp4 in which ``value`` stands ``offset`` bytes into every box of a kind."""
    changed = bytearray(content)
    for start, found, length in boxes(content):
        if found == kind and offset + len(value) <= length:
            changed[start + offset : start + offset + len(value)] = value
    return bytes(changed)


def dimensions(_folder: Path, found: Seeds) -> Files:
    for width, height in ((65_535, 65_535), (65_535, 1), (1, 65_535), (0, 0), (30_000, 2), (8192, 4320)):
        size = struct.pack(">HH", height, width)
        jpeg = found["jpg"]
        at = jpeg.index(b"\xff\xc0") + 5
        yield f"size-{width}x{height}.jpg", jpeg[:at] + size + jpeg[at + 4 :]
        yield f"size-{width}x{height}.gif", samples.gif(width, height, 3)
        if width * height <= 1 << 26:
            yield f"size-{width}x{height}.png", samples.png(width, height)
        yield (
            f"size-{width}x{height}.mp4",
            patched(found["mp4"], b"tkhd", 84, struct.pack(">II", width << 16, height << 16)),
        )
    for width, height in ((0xFFFFFFFF, 1), (0x7FFFFFFF, 0x7FFFFFFF), (1_000_000, 1_000_000), (0x80000000, 2)):
        png = found["png"]
        yield f"size-{width}x{height}.png", png[:16] + struct.pack(">II", width, height) + png[24:]
        head = b"BM" + struct.pack(
            "<IIIIiiHHIIiiII", 2000, 0, 54, 40, width - (width >> 31 << 32), 1, 1, 24, 0, 0, 0, 0, 0, 0
        )
        yield f"size-{width}x{height}.bmp", head + bytes(2000)


def sound_headers(_folder: Path, found: Seeds) -> Files:
    for channels, rate, bits in (
        (1, 1, 8), (1, 0, 16), (0, 16_000, 16), (255, 384_000, 16), (65_535, 0xFFFFFFFF, 32), (2, 0xFFFFFFFF, 16),
        (2, 768_000, 24), (64, 8_000, 8), (512, 8_000, 8), (1, 16_000, 0), (1, 16_000, 1), (1, 0x7FFFFFFF, 64),
    ):  # fmt: skip
        step = channels * bits // 8 % 65_536
        form = struct.pack("<HHIIHH", 1, channels, rate, rate * step % (1 << 32), step, bits)
        data = bytes(range(256)) * 200
        for size in (len(data), 0xFFFFFFFF):
            head = b"RIFF" + struct.pack("<I", size % (1 << 32)) + b"WAVEfmt " + struct.pack("<I", 16) + form
            yield f"sound-{channels}-{rate}-{bits}-{size}.wav", head + b"data" + struct.pack("<I", size) + data
    flac = found["flac"]
    yield "samples-2-36.flac", flac[:21] + b"\x0f" + b"\xff" * 4 + flac[26:]
    for granule in (0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 1 << 40):
        for name in ("ogg", "opus"):
            last = found[name].rindex(b"OggS") + 6
            yield (
                f"granule-{granule}.{name}",
                found[name][:last] + granule.to_bytes(8, "little") + found[name][last + 8 :],
            )


def mp4_numbers(_folder: Path, found: Seeds) -> Files:
    for name in ("mp4", "mov", "frag.mp4", "m4a"):
        seed = found[name]
        for kind, offset in NUMBERS:
            for value in (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4)):
                content = patched(seed, kind, offset, value)
                if content != seed:
                    yield f"{kind.decode()}-{offset}-{value.hex()}.{name}", content
    dice = random.Random("matrices")
    for number in range(8):
        matrix = struct.pack(">9i", *(dice.choice((0, 1 << 16, -1 << 16, 1 << 30, 7, -(1 << 31))) for _ in range(9)))
        yield f"matrix-{number}.mp4", patched(found["mp4"], b"tkhd", 48, matrix)


def streams(folder: Path, found: Seeds) -> Files:
    """Many tracks: a moov box with its trak boxes again and again, and real ones."""
    mp4 = found["mp4"]
    moov = next((start, length) for start, kind, length in boxes(mp4) if kind == b"moov")
    track = next(mp4[start : start + length] for start, kind, length in boxes(mp4) if kind == b"trak")
    for count in (50, 1_000, 5_000):
        content = bytearray(mp4[: moov[0] + moov[1]] + track * count + mp4[sum(moov) :])
        content[moov[0] : moov[0] + 4] = (moov[1] + count * len(track)).to_bytes(4, "big")
        yield f"tracks-{count}.mp4", bytes(content)
    tone = samples.write(folder / "short.flac", *samples.tone(0.2))
    for suffix, count in (("mkv", 100), ("mkv", 900), ("ts", 100), ("avi", 90)):
        codec = ("-c:a", "flac" if suffix == "mkv" else "mp2")
        target = folder / f"many-{count}.{suffix}"
        yield target.name, samples.write(target, "-i", tone, *("-map", "0:a") * count, *codec).read_bytes()


def times(folder: Path, found: Seeds) -> Files:
    """Clocks that start before zero or late, run backwards, or jump; edit lists; pictures of a high dynamic range."""
    source = folder / "seed.mp4"
    for offset in (-5, -0.01, 0.5, 86_000, 1e7):
        for suffix in ("mkv", "ts", "mp4", "flv"):
            target = folder / f"shifted{offset:g}.{suffix}"
            given = ("-i", source, "-c", "copy", "-avoid_negative_ts", "disabled", "-output_ts_offset", offset)
            yield target.name, samples.write(target, *given).read_bytes()
    edited = samples.write(folder / "edited.mp4", "-ss", 0.43, "-i", source, "-c", "copy").read_bytes()
    for number, entry in enumerate([(0, -1), (0x7FFFFFFF, 0), (1, 0x7FFFFFFF), (0xFFFFFFFF, -2)]):
        yield f"edited-{number}.mp4", patched(edited, b"elst", 16, struct.pack(">Ii", entry[0], entry[1]))
    grey = ("-f", "lavfi", "-i", "testsrc2=size=64x48:duration=0.4,format=yuv420p10le", "-c:v", "libx264")
    for transfer in ("smpte2084", "arib-std-b67"):
        tags = ("-color_primaries", "bt2020", "-color_trc", transfer, "-colorspace", "bt2020nc")
        target = folder / f"hdr-{transfer}.mkv"
        yield target.name, samples.write(target, *grey, *tags).read_bytes()
    twice = found["ts"] + found["ts"][::-1] + found["ts"]
    yield "backwards.ts", twice
    yield "hundredfold.ts", found["ts"] * 100


def playlists(_folder: Path, found: Seeds) -> Files:
    for target in ("/etc/passwd", "file:///etc/hostname", "http://127.0.0.1:1/a.mp4", "concat:/etc/passwd|/etc/group"):
        texts = {
            "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n",
            "key.m3u8": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF:9,\n{target}\n',
            "ffconcat": f"ffconcat version 1.0\nfile '{target}'\nduration 5\n",
            "mpd": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{target}</BaseURL></MPD>',
            "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\na=control:{target}\n",
            "pls": f"[playlist]\nFile1={target}\nNumberOfEntries=1\n",
            "asx": f'<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
            "cue": f'FILE "{target}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
            "svg": f'<svg xmlns:x="http://www.w3.org/1999/xlink"><image x:href="{target}"/></svg>',
        }
        for suffix, text in texts.items():
            yield f"list-{_number_of(target) % 997}.{suffix}", text.encode()
            yield f"list-in-mp4-{_number_of(target) % 997}-{suffix}.mp4", found["mp4"][:32] + text.encode()


def _number_of(text: str) -> int:
    """Return a number of a text, the same in every process."""
    return int.from_bytes(text.encode()[-6:], "big")


def polyglots(_folder: Path, found: Seeds) -> Files:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("a.mp4", found["mp4"])
    heads = {
        "zip": archive.getvalue(), "pdf": b"%PDF-1.7\n1 0 obj\n", "html": b"<html><script>alert(1)</script>",
        "list": b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "elf": b"\x7fELF\x02\x01\x01" + bytes(57), "null": bytes(4096),
        "id3": b"ID3\x04\0\0\0\0\x0f\x7f" + bytes(2000),
    }  # fmt: skip
    for head, start in heads.items():
        for name in ("mp4", "mp3", "jpg", "ts", "wav", "mkv"):
            yield f"{head}-before.{name}", start + found[name]
            yield f"{head}-behind.{name}", found[name] + start
    names = sorted(found)
    for one, other in zip(names, names[3:] + names[:3]):
        yield f"{one}-and.{other}", found[one] + found[other]
        half = len(found[one]) // 2
        yield f"{one}-into.{other}", found[one][:half] + found[other] + found[one][half:]


def not_media(_folder: Path, _found: Seeds) -> Files:
    noise = random.Random("noise")
    yield from {
        "empty": b"",
        "byte": b"\0",
        "nulls": bytes(100_000),
        "ones": b"\xff" * 100_000,
        "noise": noise.randbytes(50_000),
        "text": b"Dear Sir or Madam,\n" * 200,
        "brackets": b"[" * 100_000,
        "ftyp": b"\0\0\0\x18ftypisom\0\0\0\0isomiso2",
        "ebml": b"\x1aE\xdf\xa3" + b"\x01" + b"\xff" * 7,
        "riff": b"RIFF\xff\xff\xff\xffAVI LIST",
        "ogg": b"OggS" * 5_000,
        "sync.ts": b"G" * 50_000,
        "frames.mp3": b"\xff\xfb\x90\x00" * 5_000,
        "flv": b"FLV\x01\x05\0\0\0\x09" + bytes(99),
    }.items()


KINDS: tuple[Callable[[Path, Seeds], Files], ...] = (
    dimensions, sound_headers, mp4_numbers, streams, times, playlists, polyglots, not_media,
)  # fmt: skip
