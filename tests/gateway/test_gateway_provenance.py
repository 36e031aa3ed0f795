"""Visible metadata, the marks by which files declare themselves, and files that would do harm."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from veracity_gateway.provenance import Provenance, read
from veracity_gateway.provenance.limits import OUT_OF_MEMORY
from veracity_gateway.provenance.records import Metadata

MIB = 1 << 20
PLACE = "47.3769"
XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
 xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmp:CreatorTool="Example Editor 2"
 exif:GPSLatitude="47,22.6N" Iptc4xmpExt:AISystemUsed="Example Model"
 Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia">
<xmpMM:History><rdf:Seq><rdf:li stEvt:action="created" stEvt:softwareAgent="Example Editor 2"/>
<rdf:li rdf:parseType="Resource"><stEvt:action>saved</stEvt:action>
<stEvt:when>2026-01-02T03:04:05Z</stEvt:when></rdf:li>
</rdf:Seq></xmpMM:History></rdf:Description></rdf:RDF></x:xmpmeta>"""


def metadata(found: Provenance) -> Metadata:
    assert found.metadata
    return found.metadata


def marks(found: Provenance, kind: str = "ai") -> list[str]:
    return [mark.what for mark in found.declared if mark.kind == kind]


def film(path: Path, *tags: str) -> Path:
    given = [part for tag in tags for part in ("-metadata", tag)]
    source = ["-f", "lavfi", "-i", "testsrc=duration=1:size=64x64:rate=5", "-movflags", "use_metadata_tags"]
    subprocess.run(["ffmpeg", "-v", "error", *source, *given, str(path)], check=True)
    return path


def png(path: Path, **texts: str) -> Path:
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_itxt(name, text)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


def test_exif_of_a_camera(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271], exif[272], exif[305], exif[306] = "Example", "E-1", "Firmware 3", "2026:01:02 03:04:05"
    exif.get_ifd(0x8769)[36867] = "2026:01:01 00:00:00"
    exif.get_ifd(0x8825).update({1: "N", 2: (47.0, 22.0, 36.84)})
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    found = read(tmp_path / "a.jpg")
    said = metadata(found)
    assert (said.format, said.make, said.model, said.software) == ("JPEG", "Example", "E-1", ("Firmware 3",))
    assert (said.created, said.changed) == (("2026-01-01T00:00:00",), ("2026-01-02T03:04:05",))
    assert said.location
    assert "36.84" not in json.dumps(found.to_dict())
    assert (found.state, marks(found)) == ("none", [])
    assert len(marks(found, "camera")) == 2


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "avif"])
def test_xmp(tmp_path: Path, kind: str) -> None:
    path, picture = tmp_path / f"a.{kind}", Image.new("RGB", (64, 64))
    if kind == "png":
        png(path, **{"XML:com.adobe.xmp": XMP})
    else:
        picture.save(path, xmp=XMP.encode())
    found = read(path)
    said = metadata(found)
    assert said.software == ("Example Editor 2",)
    assert said.location
    assert [(edit.action, edit.when, edit.software) for edit in said.edits] == [
        ("created", None, "Example Editor 2"),
        ("saved", "2026-01-02T03:04:05Z", None),
    ]
    assert "the file says: partly made or edited by a generative model" in marks(found)
    assert "the file names the AI that it was made with" in marks(found)
    assert marks(found, "edit") == ["its history has 2 steps"]
    assert not said.unread


@pytest.mark.parametrize(
    ("texts", "what"),
    [
        ({"parameters": "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7"}, "Stable Diffusion (its web interface)"),
        ({"workflow": '{"nodes": [1]}'}, "ComfyUI"),
        ({"Software": "NovelAI"}, "NovelAI"),
        ({"AIGC": '{"Label": "1", "ContentProducer": "x"}'}, "China's label of AI content: made by AI"),
        ({"Comment": 'AIGC: {"AIGC": {"Label": "2"}}'}, "China's label of AI content: possibly made by AI"),
        ({"parameters": "exposure 3"}, None),
        ({"prompt": "to be continued"}, None),
        ({"Comment": "Una imagen de Sorano"}, None),
    ],
)
def test_texts_that_generators_leave(tmp_path: Path, texts: dict[str, str], what: str | None) -> None:
    found = marks(read(png(tmp_path / "a.png", **texts)))
    assert len(found) == bool(what)
    assert all(mark.endswith(str(what)) for mark in found)


def test_settings_of_a_generator_in_a_jpeg(tmp_path: Path) -> None:
    exif = Image.Exif()
    text = "a cat\nSteps: 20, Sampler: Euler a"
    exif.get_ifd(0x8769)[37510] = b"UNICODE\0" + text.encode("utf-16-be")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    assert "Stable Diffusion" in marks(read(tmp_path / "a.jpg"))[0]


def test_credit_of_google_in_iptc(tmp_path: Path) -> None:
    credit = b"Made with Google AI"
    record = b"\x1c\x02\x6e" + struct.pack(">H", len(credit)) + credit
    block = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(record)) + record
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    plain = (tmp_path / "a.jpg").read_bytes()
    segment = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
    (tmp_path / "b.jpg").write_bytes(plain[:2] + segment + plain[2:])
    assert marks(read(tmp_path / "b.jpg")) == ["the file names a generator: Made with Google AI"]


def test_atoms_of_a_film(tmp_path: Path) -> None:
    path = film(
        tmp_path / "a.mp4", "com.apple.quicktime.make=Apple", "com.apple.quicktime.model=iPhone 15",
        f"com.apple.quicktime.location.ISO6709=+{PLACE}+008.5417/", "com.apple.quicktime.software=17.1",
        "creation_time=2026-01-02T03:04:05Z", "comment=Made with Google AI", 'AIGC={"Label":"1"}',
    )  # fmt: skip
    found = read(path)
    said = metadata(found)
    assert (said.make, said.model, said.location) == ("Apple", "iPhone 15", True)
    assert "17.1" in said.software
    assert any(software.startswith("Lavf") for software in said.software)
    assert said.created[0] == "2026-01-02T03:04:05Z"
    assert PLACE not in json.dumps(found.to_dict())
    assert len(marks(found)) == 2


def test_a_film_without_marks(tmp_path: Path) -> None:
    found = read(film(tmp_path / "a.mp4"))
    assert (found.state, found.declared, metadata(found).location) == ("none", (), False)
    assert "their absence proves nothing" in found.notice


def test_a_kind_of_file_whose_credentials_cannot_be_read(tmp_path: Path) -> None:
    found = read(film(tmp_path / "a.mkv", "comment=Made with Google AI"))
    assert found.state == "unreadable"
    assert found.reason == "content credentials of this kind of file cannot be read"
    assert metadata(found).format == "matroska,webm"
    assert len(marks(found)) == 1


def test_texts_are_made_fit_to_show(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271], exif[272] = "Evil\x1b[2J\u202egnp.\nline", "m" * 5000
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    said = metadata(read(tmp_path / "a.jpg"))
    assert "\x1b" not in str(said.make)
    assert "\u202e" not in str(said.make)
    assert len(str(said.model)) == 300


def test_xmp_that_declares_entities_is_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x xmlns:r="r">&b;</x>'
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", xmp=bomb.encode())
    assert metadata(read(tmp_path / "a.jpg")).unread == ("XMP: it declares entities",)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(size: int, *more: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 1, 0, 0, 0, 0))
    packer = zlib.compressobj(9)
    line = bytes(1 + -(-size // 8))
    pixels = b"".join([packer.compress(line) for _ in range(size)]) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_of(65_000))  # 528 million bytes
    found = read(tmp_path / "a.png", memory_bytes=500 * MIB)
    assert (found.state, metadata(found).format) == ("none", "PNG")
    assert metadata(found).unread == ("PNG text: what comes after the pixels, which are too many",)


def test_a_text_behind_the_pixels(tmp_path: Path) -> None:
    content = png_of(8)
    text = chunk(b"tEXt", b"Software\0NovelAI")
    (tmp_path / "a.png").write_bytes(content[:-12] + text + content[-12:])
    assert marks(read(tmp_path / "a.png")) == ["the file names a generator: NovelAI"]


def test_a_bomb_in_a_text_is_named(tmp_path: Path) -> None:
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100 * MIB), 9))
    (tmp_path / "a.png").write_bytes(png_of(8, text))
    found = read(tmp_path / "a.png")
    assert metadata(found).unread


@pytest.mark.parametrize("suffix", ["jpg", "png", "mp4"])
def test_truncated(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"a.{suffix}"
    if suffix == "mp4":
        film(whole)
    else:
        Image.effect_noise((64, 64), 50).save(whole)
    for kept in (0, 30, whole.stat().st_size // 2):
        (tmp_path / "cut").write_bytes(whole.read_bytes()[:kept])
        assert read(tmp_path / "cut").state in ("none", "unreadable")


def test_garbage(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(bytes(range(256)) * 100)
    found = read(tmp_path / "a.jpg")
    assert found.state == "unreadable"
    assert metadata(found).unread


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    other = film(tmp_path / "other.mp4", "comment=secret of another file")
    (tmp_path / "a.mp4").write_text(f"ffconcat version 1.0\nfile '{other}'\n")
    assert "secret" not in json.dumps(read(tmp_path / "a.mp4").to_dict())


def test_a_child_that_takes_too_long(tmp_path: Path) -> None:
    found = read(png(tmp_path / "a.png"), seconds=0.02)
    assert (found.state, found.reason) == ("unreadable", "reading it took longer than 0.02 s")
    assert "not known" in found.means


def test_a_child_that_wants_too_much_memory(tmp_path: Path) -> None:
    found = read(png(tmp_path / "a.png"), memory_bytes=40 * MIB)
    assert found.state == "unreadable"
    assert found.reason
    assert found.metadata is None


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.jpg")


@pytest.mark.parametrize(
    ("attempt", "refused"),
    [
        ("__import__('socket').socket()", "Operation not permitted"),
        ("__import__('os').execv('/bin/true', ['true'])", "Operation not permitted"),
        ("__import__('tempfile').TemporaryFile().write(bytes(1 << 20))", "File too large"),
        ("bytes(1 << 31)", "MemoryError"),
    ],
)
def test_what_a_child_may_not_do(attempt: str, refused: str) -> None:
    code = f"from veracity_gateway.provenance import limits; limits.take(5, {1024 * MIB}, 2000)\n{attempt}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert refused in ended.stderr


def test_processor_time_is_bounded() -> None:
    code = "from veracity_gateway.provenance import limits; limits.take(1, 1 << 30, 2000)\nwhile True: pass"
    assert subprocess.run([sys.executable, "-c", code]).returncode < 0


def test_out_of_memory_has_a_status_of_its_own() -> None:
    given = json.dumps({"seconds": 5, "memory_bytes": 100 * MIB, "output_bytes": 1000})
    code = (
        "from veracity_gateway.provenance import child\n"
        "child._found = lambda given: bytearray(1 << 30)\nraise SystemExit(child.main())"
    )
    assert subprocess.run([sys.executable, "-c", code, given], capture_output=True).returncode == OUT_OF_MEMORY


def test_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "veracity_gateway.provenance"]
    ended = subprocess.run([*command, str(png(tmp_path / "a.png"))], capture_output=True, text=True)
    assert (ended.returncode, json.loads(ended.stdout)["state"]) == (0, "none")
    missing = subprocess.run([*command, str(tmp_path / "none")], capture_output=True, text=True)
    assert missing.returncode == 2
    assert "No such file" in missing.stderr
