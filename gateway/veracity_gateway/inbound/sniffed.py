"""What a file is by its first bytes: enough to keep out what is surely no media."""

from __future__ import annotations

HEAD_BYTES = 1445  # as many as browsers look at
BINARY = frozenset(range(0x20)) - frozenset(b"\t\n\x0c\r\x1b")  # bytes that text does not hold
NETPBM = tuple(f"P{kind}{space}".encode() for kind in range(1, 8) for space in " \n")
MEDIA_AS_TEXT = (b"YUV4MPEG2 ", *NETPBM)  # their headers are lines
NOT_MEDIA = {
    b"%PDF-": "a PDF document",
    b"{\\rtf": "a text document",
    b"PK\x03\x04": "a ZIP archive",
    b"PK\x05\x06": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x1f\x9d": "a compressed archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"\x04\x22\x4d\x18": "an LZ4 archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"MSCF": "a CAB archive",
    b"!<arch>\n": "an archive",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"\xfe\xed\xfa\xce": "a program",
    b"\xfe\xed\xfa\xcf": "a program",
    b"\xce\xfa\xed\xfe": "a program",
    b"\xcf\xfa\xed\xfe": "a program",
    b"\xca\xfe\xba\xbe": "a program",
    b"\x00asm": "a program",
    b"dex\n": "a program",
    b"SQLite format 3\x00": "a database",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an Office document",
}
TAR = slice(257, 262)
UTF16 = (b"\xff\xfe", b"\xfe\xff")


def not_media(head: bytes) -> str | None:
    """Return what a file surely is instead of media; None where it may be media.

    Pages, JSON, XML and playlists are text, which no container, picture or sound is.
    """
    for magic, kind in NOT_MEDIA.items():
        if head.startswith(magic):
            return kind
    if head[TAR] == b"ustar":
        return "a tar archive"
    return "text" if _is_text(head) else None


def _is_text(head: bytes) -> bool:
    if head.startswith(MEDIA_AS_TEXT):
        return False
    if head.startswith(UTF16) and 0 in head[2:4]:
        return True
    return not BINARY.intersection(head)
