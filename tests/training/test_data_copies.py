"""Copies of media at other qualities: whole, the same every time, and none of the test part."""

import csv
import subprocess
from pathlib import Path

import cv2
import media_samples
import numpy as np
import pytest

from evaluation import cues
from training.data.copies import copy
from veracity.calibrate.errors import ManifestError
from veracity.media import find_ffmpeg

COLUMNS = ("path", "kind", "label", "how", "split")


def media(folder: Path) -> Path:
    folder.mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), picture)
    (folder / "broken.jpg").write_bytes(b"no picture")
    source = ("-f", "lavfi", "-i", "testsrc2=size=322x242:rate=25:duration=1", "-f", "lavfi", "-i", "sine=duration=1")
    subprocess.run([str(find_ffmpeg()), "-v", "error", *source, str(folder / "c.mp4")], check=True)
    for name in ("d.flac", "e.flac", "f.flac"):
        subprocess.run([str(find_ffmpeg()), "-v", "error", *source[4:], str(folder / name)], check=True)
    rows = [
        ("a.png", "images", "real", "", "train"),
        ("b.png", "images", "fake", "drawn", "test"),
        ("broken.jpg", "images", "real", "", "train"),
        ("c.mp4", "video", "fake", "swap", "development"),
        *((name, "audio", "real", "", "train") for name in ("d.flac", "e.flac", "f.flac")),
        ("d.flac", "audio", "real", "", "test"),
    ]
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return folder


def test_a_copy_of_all_but_the_test_part_and_of_every_second_sound(tmp_path: Path) -> None:
    given, first, second = media(tmp_path / "media"), tmp_path / "first", tmp_path / "second"
    assert copy(given, first) == copy(given, second) == 4
    with (first / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    names = sorted(rows)
    assert [(rows[name]["label"], rows[name]["split"], rows[name]["how"]) for name in names] == [
        ("real", "train", "at another quality"),
        ("fake", "development", "swap, at another quality"),
        ("real", "train", "at another quality"),
        ("real", "train", "at another quality"),
    ]
    assert names[:2] == ["00000.jpg", "00002.mp4"]
    assert [rows[name]["original"] for name in names] == ["a.png", "c.mp4", "d.flac", "f.flac"]
    assert {Path(name).suffix for name in names[2:]} <= {".ogg", ".mp3", ".m4a", ".wav"}
    assert sorted(path.name for path in first.iterdir()) == [*names, "manifest.csv"]
    assert (first / "00000.jpg").read_bytes() == (second / "00000.jpg").read_bytes()
    for name in names[2:]:
        found = cues.read(first / name, media_samples.LIMITS, find_ffmpeg())
        assert found["audio_codec"] != "flac"
        assert found["seconds"] == pytest.approx(1, abs=0.1)
    shape = cv2.imread(str(first / "00000.jpg")).shape
    assert shape != (300, 400, 3)
    assert shape[0] >= 200


def test_what_is_there_stays(tmp_path: Path) -> None:
    given, into = media(tmp_path / "media"), tmp_path / "copies"
    copy(given, into)
    (into / "00000.jpg").write_bytes(b"mine")
    copy(given, into)
    assert (into / "00000.jpg").read_bytes() == b"mine"


def test_media_without_a_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        copy(tmp_path, tmp_path / "copies")
    (tmp_path / "manifest.csv").write_text("path,kind\na.png,images\n")
    with pytest.raises(ManifestError, match="has no column split"):
        copy(tmp_path, tmp_path / "copies")
