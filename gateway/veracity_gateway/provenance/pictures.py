"""EXIF, IPTC, XMP and PNG's texts of a picture, by Pillow. Only in the child process."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import IO, Any

import pi_heif
from PIL import ExifTags, Image, ImageFile, IptcImagePlugin, PngImagePlugin, UnidentifiedImageError

from veracity_gateway.provenance import xmp
from veracity_gateway.provenance.facts import Facts
from veracity_gateway.provenance.words import clean

Base, Ifd = ExifTags.Base, ExifTags.IFD
FIRST = (Base.Make, Base.Model, Base.Software, Base.DateTime, Base.Artist, Base.ImageDescription)
SECOND = (Base.DateTimeOriginal, Base.DateTimeDigitized, Base.LensModel, Base.UserComment)
PLACE = (ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLongitude)
IPTC = {(2, 65): "Software", (2, 80): "By-line", (2, 110): "Credit", (2, 120): "Caption"}
MOST_PIXELS = 64_000_000  # that are decoded for the texts behind them
XMP_CHUNK = "XML:com.adobe.xmp"
COMMENT_CODES = {b"ASCII\0\0\0": "ascii", b"UNICODE\0": "utf-16", b"\0" * 8: "utf-8"}


def read(source: IO[bytes]) -> Facts | None:
    """Return what a picture says of itself; None where it is no picture."""
    Image.MAX_IMAGE_PIXELS = None  # we decode none but those of small PNGs
    warnings.simplefilter("ignore")  # Pillow warns of each damaged EXIF entry
    pi_heif.register_heif_opener()
    facts = Facts()
    try:
        picture = Image.open(source)
    except UnidentifiedImageError:
        return None
    except Exception as error:
        facts.unread.append(f"the picture's header: {clean(error)}")
        return facts
    facts.format = picture.format
    parts: dict[str, Callable[[ImageFile.ImageFile, Facts], None]] = {
        "EXIF": _exif, "IPTC": _iptc, "XMP": _xmp, "PNG text": _texts,
    }  # fmt: skip
    for name, part in parts.items():
        try:
            part(picture, facts)
        except MemoryError:
            raise
        except Exception as error:  # Pillow raises many kinds for what is damaged
            facts.unread.append(f"{name}: {clean(error)}")
    return facts


def _exif(picture: ImageFile.ImageFile, facts: Facts) -> None:
    exif = Image.Image.getexif(picture)  # that of a PNG would decode its pixels
    details = exif.get_ifd(Ifd.Exif)
    for tags, entries in ((FIRST, exif), (SECOND, details)):
        for tag in tags:
            if tag in entries:
                facts.add("EXIF", tag.name, _comment(entries[tag]) if tag is Base.UserComment else entries[tag])
    if any(tag in exif.get_ifd(Ifd.GPSInfo) for tag in PLACE):
        facts.add("EXIF", "GPS", "yes")


def _comment(value: Any) -> Any:
    """Decode a user comment, whose first 8 bytes name its characters."""
    if not isinstance(value, bytes) or value[:8] not in COMMENT_CODES:
        return value
    code, text = COMMENT_CODES[value[:8]], value[8:]
    if code == "utf-16" and not text.startswith((b"\xff\xfe", b"\xfe\xff")):
        code = "utf-16-be" if text[:1] == b"\0" else "utf-16-le"
    return text.decode(code, "replace")


def _iptc(picture: ImageFile.ImageFile, facts: Facts) -> None:
    for key, value in (IptcImagePlugin.getiptcinfo(picture) or {}).items():
        if key in IPTC:
            for text in value if isinstance(value, list) else [value]:
                facts.add("IPTC", IPTC[key], text)


def _xmp(picture: ImageFile.ImageFile, facts: Facts) -> None:
    if packet := picture.info.get("xmp"):
        xmp.read(packet, facts)


def _texts(picture: ImageFile.ImageFile, facts: Facts) -> None:
    """Add a PNG's texts. Those behind the pixels are found only by decoding these."""
    if not isinstance(picture, PngImagePlugin.PngImageFile):
        return
    before = _add_texts(picture, facts, set())
    if picture.width * picture.height > MOST_PIXELS:
        facts.unread.append("PNG text: what comes after the pixels, which are too many")
        return
    picture.load()
    _add_texts(picture, facts, before)


def _add_texts(picture: ImageFile.ImageFile, facts: Facts, known: set[object]) -> set[object]:
    for name, text in picture.info.items():
        if isinstance(text, str) and name not in known | {XMP_CHUNK}:
            facts.add("PNG text", name, text)
    return set(picture.info)
