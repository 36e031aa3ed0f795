"""``python -m benchmarks robustness``: each condition alters what it says, and every row counts every clip."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from measuring import listed, make, measured

from benchmarks import robustness
from training import scores
from veracity.ffmpeg import Limits, find_ffmpeg
from veracity.media import Media


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory, talking: Path) -> Path:
    return make(tmp_path_factory.mktemp("measured"), talking)


@pytest.fixture
def clips(media: Path, monkeypatch: pytest.MonkeyPatch, full_repository: Path) -> Path:
    monkeypatch.setenv("VERACITY_MODEL_REPOSITORY", str(full_repository))
    return listed(media)


async def look(path: Path) -> tuple[np.ndarray, list[np.ndarray], tuple[int, int]]:
    with Media.open(path, Limits()) as opened:
        probe = await opened.probe()
        frames = [frame.image.astype(int) async for frame in opened.frames(range(0, 20, 5))] if probe.video else []
        return await opened.audio(), frames, (probe.video.width, probe.video.height) if probe.video else (0, 0)


def high(sound: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(sound.astype(float))) ** 2
    return float(power[len(power) // 2 + 200 :].sum() / power.sum())


@pytest.mark.parametrize("condition", robustness.CONDITIONS, ids=lambda condition: condition.name)
def test_a_condition_alters_what_it_says_and_nothing_else(media: Path, tmp_path: Path, condition) -> None:
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


def test_an_unknown_condition_is_refused(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert measured("robustness", "--manifest", clips, "--out", tmp_path, "--conditions", "rain") == 1
    assert "no condition rain; there are h264-23" in capsys.readouterr().err
