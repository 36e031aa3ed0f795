"""``python -m benchmarks robustness``: each condition alters what it says, and every row counts every clip."""

import asyncio
import csv
import json
from pathlib import Path

import numpy as np
import pytest
from measuring import manifest, measured
from numpy.typing import NDArray

from benchmarks import robustness
from veracity.calibrate import scores
from veracity.calibrate.errors import ManifestError
from veracity.media import Media, Source
from veracity.media.ffmpeg import find_ffmpeg
from veracity.media.sandbox import Limits


async def look(path: Path) -> tuple[NDArray[np.int16], list[NDArray[np.int_]], tuple[int, int]]:
    with Media.open(Source(path), Limits()) as opened:
        probe = await opened.probe()
        frames = [frame.image.astype(int) async for frame in opened.frames(range(0, 20, 5))] if probe.video else []
        return await opened.audio(), frames, (probe.video.width, probe.video.height) if probe.video else (0, 0)


def high(sound: NDArray[np.int16]) -> float:
    power = np.abs(np.fft.rfft(sound.astype(float))) ** 2
    return float(power[len(power) // 2 + 200 :].sum() / power.sum())


@pytest.mark.parametrize("condition", robustness.CONDITIONS, ids=lambda condition: condition.name)
def test_a_condition_alters_what_it_says_and_nothing_else(
    media: Path, tmp_path: Path, condition: robustness.Condition
) -> None:
    source = media / "talking.mp4"
    copy = robustness._spoil(find_ffmpeg(None), condition, tmp_path / "copy.mkv", source)
    sound, frames, size = asyncio.run(look(source))
    heard, seen, other = asyncio.run(look(copy))
    if condition.picture:
        assert len(heard) == len(sound)
        assert np.abs(heard.astype(int) - sound).max() < 8  # of 32768: the rounding of a decoder's floats
        assert other == ((size[0] // 2, size[1] // 2) if condition.name == "half" else size)
        assert condition.name == "half" or 0.2 < np.mean([np.abs(a - b).mean() for a, b in zip(frames, seen)]) < 20
    else:
        assert all((a == b).all() for a, b in zip(frames, seen, strict=True)) or condition.name == "opus-24k"
        assert np.abs(heard[: len(sound)].astype(int) - sound[: len(heard)]).max() > 200
        assert condition.name != "8khz" or high(heard) < high(sound) / 100


def test_a_condition_counts_all_clips_and_asks_about_those_it_alters(clips: Path, tmp_path: Path) -> None:
    arguments = ("--manifest", clips, "--out", tmp_path, "--conditions", "h264-40,8khz")
    assert measured("robustness", *arguments) == 0
    document = json.loads((tmp_path / "robustness.json").read_text())
    rows = {row["name"]: row for row in document["conditions"]}
    assert {name: row["altered"] for name, row in rows.items()} == {"as is": 0, "h264-40": 3, "8khz": 3}
    for row in rows.values():
        assert row["errors"] == 1
        assert row["subjects"]["1_audio"]["scored"] == {"real": 1, "fake": 1}
    asked = {json.loads(line)["id"] for line in (tmp_path / "scores-h264-40.jsonl").read_text().splitlines()}
    assert asked == {"<talking.mp4>", "<bars.mp4>", "<still.png>"}
    base, spoilt = (scores.read(tmp_path / name)["<talking.mp4>"] for name in ("scores.jsonl", "scores-8khz.jsonl"))
    assert base.layers["1_audio"].fake_probability != spoilt.layers["1_audio"].fake_probability
    assert base.layers["4_semantic"].fake_probability == spoilt.layers["4_semantic"].fake_probability
    assert not list(tmp_path.rglob("*.mkv"))
    assert "H.264, crf 40" in (tmp_path / "robustness.html").read_text()
    assert measured("accuracy", "--manifest", clips, "--out", tmp_path) == 0
    assert "H.264, crf 40" in (tmp_path / "accuracy.html").read_text()


def test_what_no_clip_has_is_left_out_and_said(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sounds = manifest(clips.parent, [("voice.wav", "0"), ("tone.wav", "1")], "sounds.csv")
    arguments = ("--manifest", sounds, "--kinds", "audio", "--conditions", "h264-23,opus-24k", "--out", tmp_path)
    assert measured("robustness", *arguments) == 0
    assert "h264-23 is left out: none of the clips has what it alters" in capsys.readouterr().err
    document = json.loads((tmp_path / "robustness.json").read_text())
    assert [(row["name"], row["altered"]) for row in document["conditions"]] == [("as is", 0), ("opus-24k", 2)]
    rows = csv.DictReader((tmp_path / "robustness.csv").read_text().splitlines())
    assert {row["condition"] for row in rows} <= {"as is", "opus-24k"}


def test_a_condition_that_no_copy_can_be_made_under_is_a_row_of_errors(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = robustness.Condition("odd", "a codec that nobody has", sound=("-c:a", "nobody"))
    monkeypatch.setattr(robustness, "CONDITIONS", (odd,))
    sounds = manifest(clips.parent, [("voice.wav", "0"), ("tone.wav", "1")], "sounds.csv")
    assert measured("robustness", "--manifest", sounds, "--conditions", "odd", "--out", tmp_path) == 0
    row = json.loads((tmp_path / "robustness.json").read_text())["conditions"][1]
    assert row["errors"] == 2
    assert row["subjects"]["1_audio"]["without_score"]["share"]["value"] == 1
    assert "2 without" in (tmp_path / "robustness.html").read_text()


def test_a_disk_without_room_for_the_copy_is_no_fault_of_the_clip(media: Path) -> None:
    full = robustness.Condition("full", "", sound=("-c:a", "pcm_s16le", "-f", "matroska"))
    with pytest.raises(ManifestError, match="no room for an altered copy in /dev: make some, or name another TMPDIR"):
        robustness._spoil(find_ffmpeg(None), full, Path("/dev/full"), media / "talking.mp4")


def test_where_no_clip_can_be_analysed_the_first_says_why(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clips.parent / "empty.mp4").write_bytes(b"")
    bad = manifest(clips.parent, [("broken.mp4", "0"), ("empty.mp4", "1")], "bad.csv")
    assert measured("robustness", "--manifest", bad, "--out", tmp_path) == 1
    assert "none of 2 clips could be analysed; the first: BadVideo" in capsys.readouterr().err


def test_an_unknown_condition_is_refused(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert measured("robustness", "--manifest", clips, "--out", tmp_path, "--conditions", "rain") == 1
    assert "no condition rain; there are h264-23" in capsys.readouterr().err
