"""Cutting clips once: what is in each, which are left out and why, and that nothing is done twice. Needs no torch."""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import media_samples
import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.manifest import Clip, read_clips
from training.cache import collect, keep
from training.joint import command
from training.joint.extract import FLOW_SIDE, ClipInputs, extractor, flow_between
from veracity.analysis.local_infer import LocalInfer
from veracity.calibrate.errors import ManifestError
from veracity.catalog import MODELS
from veracity.catalog.layers import SEMANTIC_FRAMES, WINDOW_SAMPLES
from veracity.evidence.speech import Spans, Stopped, energy_vad, never
from veracity.settings import Settings


def clip(path: Path, label: str = "real") -> Clip:
    return Clip(path, "video", label, "own", "permissive", "own")


def cut(path: Path, cache: Path, *, flow: bool = False, label: str = "real") -> ClipInputs:
    infer = LocalInfer(Settings.from_env().model_repository, 1)
    found, bad = collect([clip(path, label)], cache, extractor(infer, energy_vad, flow))
    assert bad == []
    return found[0]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_a_talking_face_is_cut_as_the_engine_does(talking: Path, cache: Path) -> None:
    seen = cut(talking, cache)
    assert seen.faces.shape == (32, 224, 224, 3)
    assert seen.times[0] == 0
    assert (np.diff(seen.times) > 0).all()
    assert seen.mouths.shape[1:] == MODELS["lipsync_starter"].input.shape
    assert len(seen.mouths) > 0
    assert seen.pictures.shape == (SEMANTIC_FRAMES, 224, 224, 3)
    assert seen.windows.shape[1] == WINDOW_SAMPLES
    assert len(seen.windows) > 0
    assert seen.flow.shape == (0, FLOW_SIDE, FLOW_SIDE, 2)


def test_a_stream_that_is_missing_leaves_the_others(talking: Path, cache: Path, tmp_path: Path) -> None:
    silent = media_samples.write(tmp_path / "silent.mp4", "-i", talking, "-an", "-c:v", "copy")
    seen = cut(silent, cache)
    assert len(seen.faces) == 32
    assert seen.windows.shape == (0, WINDOW_SAMPLES)
    heard = cut(media_samples.speech(tmp_path), cache)
    assert heard.faces.shape == (0, 224, 224, 3)
    assert len(heard.windows) == 1


def test_flow_says_which_way_and_how_far_a_face_moves() -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (14, 14)).astype(np.uint8)
    picture = np.asarray(cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC), np.uint8)
    flow = flow_between(picture, np.roll(picture, 4, axis=1))
    assert flow.shape == (FLOW_SIDE, FLOW_SIDE, 2)
    middle = flow[14:42, 14:42].astype(float).mean((0, 1))
    assert middle == pytest.approx([4 / 112, 0], abs=0.01)


def test_flow_is_kept_of_every_face_where_it_is_asked(talking: Path, cache: Path) -> None:
    seen = cut(talking, cache, flow=True)
    assert seen.flow.shape == (32, FLOW_SIDE, FLOW_SIDE, 2)
    assert np.abs(seen.flow[:-1].astype(float)).max() > 0
    assert not seen.flow[-1].any()  # the last frame of a film has no next


def listed(folder: Path, *names: str) -> Path:
    manifest = folder / "list.csv"
    with manifest.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video_id", "label", "split", "path"])
        writer.writerows([name, number % 2, "train", name] for number, name in enumerate(names))
    return manifest


def options(data: Path, cache: Path, **changes: object) -> argparse.Namespace:
    usual = {"data": data, "cache": cache, "kinds": ("video", "audio"), "flow": False, "threads": 1, "vad": "energy",
             "weights": Settings.from_env().weights}  # fmt: skip
    return argparse.Namespace(**{**usual, **changes})


def test_bad_files_are_listed_at_the_end_and_nothing_is_cut_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    folder, kept = tmp_path / "media", tmp_path / "cache"
    media_samples.speech(folder).rename(folder / "good.wav")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("not a film")
    media_samples.audio_only(folder, seconds=0.2).rename(folder / "short.wav")
    manifest = listed(folder, "good.wav", "empty.mp4", "text.mp4", "short.wav")
    command.extract(options(manifest, kept))
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("1 clips: 0 faces, 0 mouths, 1 windows of speech in")
    assert said[1] == "3 files were skipped:"
    assert "empty.mp4: the file is empty" in said[2]
    assert "text.mp4: this is no video" in said[3]
    assert "short.wav: neither a face that is large enough nor half a second of speech" in said[4]
    files = {path: path.stat().st_mtime_ns for path in kept.rglob("*.npz")}
    assert len(files) == 1
    command.extract(options(manifest, kept))
    assert {path: path.stat().st_mtime_ns for path in kept.rglob("*.npz")} == files
    assert capsys.readouterr().out.splitlines() == said


def test_ctrl_c_keeps_what_is_whole_and_goes_on(tmp_path: Path, settings: Settings) -> None:
    voice = media_samples.speech(tmp_path)
    clips = [clip(Path(shutil.copy(voice, tmp_path / f"{number}.wav"))) for number in range(2)]
    asked: list[int] = []

    def vad(sound: NDArray[np.int16], stopped: Stopped = never) -> Spans:
        asked.append(len(sound))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return energy_vad(sound)

    same = extractor(LocalInfer(settings.model_repository, 1), vad)
    with pytest.raises(KeyboardInterrupt):
        collect(clips, tmp_path / "cache", same)
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 1
    found, bad = collect(clips, tmp_path / "cache", same)
    assert [len(one.windows) for one in found] == [1, 1]
    assert bad == []
    assert len(asked) == 3  # the first clip was not heard again


def test_two_that_cut_the_same_clip_at_once_both_end_well(tmp_path: Path) -> None:
    path = tmp_path / "cut" / "a.npz"

    class Meanwhile:
        """While this is written, somebody else writes all of the same file."""

        def __array__(self, *_: object, **__: object) -> NDArray[np.signedinteger[Any]]:
            keep(path, {"first": np.zeros(9), "second": np.arange(5)})
            return np.arange(5)

    keep(path, {"first": np.zeros(9), "second": Meanwhile()})  # type: ignore[dict-item]
    with np.load(path) as file:
        assert file["second"].tolist() == [0, 1, 2, 3, 4]
    assert list(path.parent.iterdir()) == [path]


def test_folders_with_facts_are_read_as_the_list_is(talking: Path, tmp_path: Path) -> None:
    for split, name, label in (("train", "a", 0), ("val", "b", "fake"), ("test", "c", 1)):
        folder = tmp_path / split / name
        folder.mkdir(parents=True)
        shutil.copy(talking, folder / "video.mp4")
        (folder / "meta.json").write_text(json.dumps({"label": label}))
    found = {one.id: (one.label, one.split) for one in read_clips(tmp_path)}
    assert found == {"a": ("real", "train"), "b": ("fake", "validation"), "c": ("fake", "test")}


def test_nothing_to_cut_and_nobody_to_find_faces_are_said(
    tmp_path: Path, talking: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = listed(talking.parent, talking.name)
    with pytest.raises(ManifestError, match="has no clip of the kinds audio"):
        command.extract(options(manifest, tmp_path, kinds=("audio",)))
    monkeypatch.setenv("VERACITY_MODEL_REPOSITORY", str(tmp_path))
    with pytest.raises(ManifestError, match="the face detector is not installed: make models"):
        command.extract(options(manifest, tmp_path))
