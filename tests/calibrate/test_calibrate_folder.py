"""`veracity calibrate` on a folder of labelled clips: from media to a calibration file that the engine uses."""

import asyncio
import json
from pathlib import Path

import media_samples
import pytest

from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import analyze
from veracity.calibrate.errors import ManifestError
from veracity.calibrate.labelled_clips import read_clips
from veracity.cli import main
from veracity.decision.calibration import Calibration
from veracity.media import Source
from veracity.settings import Settings
from veracity_client.verdict import Options, Verdict


@pytest.fixture
def repository(full_repository: Path) -> Path:
    """Graphs that call bright pictures fake, with the digest that a calibration is kept for."""
    for name in ("visual_starter", "lipsync_starter", "semantic_starter", "semantic_texture_starter"):
        (full_repository / name / "provenance.json").write_text(json.dumps({"checkpoint_sha256": name}))
    return full_repository


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Dark clips are real, bright ones fake, as many and of as many sources as a rate of 5 % takes."""
    for label, colour in (("real", "0x303030"), ("fake", "0xc0c0c0")):
        for source in ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine"):
            (tmp_path / "clips" / label / source).mkdir(parents=True)
            for number in range(3):
                target = tmp_path / "clips" / label / source / f"{number}.mp4"
                picture = f"color={colour}:size={224 + 2 * number}x224:rate=25:duration=0.4"
                media_samples.write(target, "-f", "lavfi", "-i", picture, *media_samples.H264)
    return tmp_path / "clips"


def verdict(clip: Path, settings: Settings) -> Verdict:
    context, infer = AnalysisContext.from_settings(settings), LocalInfer(settings.model_repository)
    return asyncio.run(analyze(Source(clip), infer, Options(policy="exhaustive"), context))


def test_a_folder_becomes_a_calibration_that_the_engine_uses(
    folder: Path, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VERACITY_MODEL_REPOSITORY", str(repository))
    out = tmp_path / "ours.toml"
    assert main(["calibrate", str(folder), "--out", str(out)]) == 0
    assert f"use it with VERACITY_CALIBRATION={out}" in capsys.readouterr().out
    fitted = Calibration.read(out)
    assert "on 27 real and 27 fake videos of 9 sources" in fitted.measurement("semantic_texture_starter")
    assert fitted.checkpoints["semantic_texture_starter"] == "semantic_texture_starter"
    assert fitted.profiles["starter"]["still"].domain.ranges == {"width": (224, 228)}
    settings = Settings(model_repository=repository, calibration=out)
    bright, dark = (verdict(folder / label / "one" / "0.mp4", settings) for label in ("fake", "real"))
    assert (bright.label, bright.calibrated) == ("fake", True)
    assert dark.fake_probability is not None
    assert dark.fake_probability < 0.5


def test_a_second_run_analyses_only_what_is_new(
    folder: Path, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERACITY_MODEL_REPOSITORY", str(repository))
    out = tmp_path / "ours.toml"
    assert main(["calibrate", str(folder), "--out", str(out)]) == 0
    scores = tmp_path / "ours.scores.jsonl"
    first = scores.read_bytes()
    new = folder / "real" / "one" / "new.mp4"
    new.write_bytes((folder / "real" / "one" / "0.mp4").read_bytes())
    assert main(["calibrate", str(folder), "--out", str(out)]) == 0
    assert scores.read_bytes().startswith(first)
    assert scores.read_bytes()[len(first) :].count(b"\n") == 1


def test_a_clip_that_is_gone_or_labelled_anew_counts_as_it_is_now(
    folder: Path, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERACITY_MODEL_REPOSITORY", str(repository))
    out = tmp_path / "ours.toml"
    assert main(["calibrate", str(folder), "--out", str(out)]) == 0
    (folder / "real" / "one" / "0.mp4").unlink()
    (folder / "fake" / "two" / "0.mp4").rename(folder / "real" / "two" / "was_fake.mp4")
    assert main(["calibrate", str(folder), "--out", str(out)]) == 0
    assert "on 27 real and 26 fake videos of 9 sources" in Calibration.read(out).measurement("semantic_texture_starter")


def test_a_list_labels_a_clip_anew(
    folder: Path, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERACITY_MODEL_REPOSITORY", str(repository))
    out, clips = tmp_path / "ours.toml", sorted(folder.rglob("*.mp4"))
    for wrong in (0, 1):
        rows = [(clip, clip.parts[-3] if k >= wrong else "real", clip.parts[-2]) for k, clip in enumerate(clips)]
        lines = ["path,label,source", *(",".join(map(str, row)) for row in rows)]
        (tmp_path / "list.csv").write_text("\n".join(lines))
        assert main(["calibrate", str(tmp_path / "list.csv"), "--out", str(out)]) == 0
    assert "on 28 real and 26 fake videos" in Calibration.read(out).measurement("semantic_texture_starter")


def test_sources_are_the_folders_below_a_label_or_parts_by_name(folder: Path) -> None:
    (folder / "real" / "loose.mp4").write_bytes(b"x")
    sources = {clip.path.name: clip.source for clip in read_clips(folder) if not clip.fake}
    assert sources["0.mp4"] == "two"
    assert sources["loose.mp4"].startswith("part ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,label\nclip.mp4,maybe\n", "line 2: label is 'maybe'"),
        ("path,label\nnone.mp4,real\n", "line 2: no file 'none.mp4'"),
        ("name,label\nclip.mp4,real\n", "needs the columns path and label"),
        ("path,label\nclip.mp4,real\n", "holds no fake clips"),
    ],
)
def test_a_list_that_says_too_little_is_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"x")
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(ManifestError, match=words):
        read_clips(tmp_path / "list.csv")
