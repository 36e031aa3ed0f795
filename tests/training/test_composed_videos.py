"""Composed videos: forgeries beside their original, alike but for the manipulation."""

from __future__ import annotations

import argparse
import asyncio
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="make test-export installs torch")

from evaluation.manifest import read_clips
from training import composed_videos
from veracity.calibrate.errors import ManifestError
from veracity.media import Limits, Media, Source

pytestmark = pytest.mark.export


def made(data: Path, out: Path) -> None:
    composed_videos.run(argparse.Namespace(data=data, out=out, threads=1))


async def seen(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    with Media.open(Source(path), Limits()) as media:
        frames = [frame.image async for frame in media.frames(range(50))]
        return np.stack(frames).astype(float), (await media.audio()).astype(float)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, talking: Path) -> Path:
    data = tmp_path_factory.mktemp("people")
    for name in ("one", "two"):
        shutil.copy(talking, data / f"{name}.mp4")
    (data / "empty.mp4").write_bytes(b"")
    rows = "".join(f"{n},0,train,{n}.mp4\n" for n in ("one", "two", "empty"))
    (data / "list.csv").write_text("video_id,label,split,path\n" + rows)
    return data


def test_what_was_done_is_all_that_differs(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(folder / "list.csv", tmp_path)
    assert "empty: the file is empty" in capsys.readouterr().out
    rows = {clip.path.name: clip for clip in read_clips(tmp_path)}
    assert sorted(name for name in rows if name.startswith("two")) == [
        f"two.mp4.{made}.mp4" for made in ("as-it-is", "mouth", "moved", "swap", "voice")
    ]
    assert {clip.how for clip in rows.values() if clip.fake} >= {"own face swap", "own moved sound"}
    originals = {clip.source for clip in read_clips(folder / "list.csv")}
    assert {clip.source for clip in rows.values()} == originals  # held out together
    frames, sound = asyncio.run(seen(tmp_path / "two.mp4.as-it-is.mp4"))
    for name in ("mouth", "swap"):
        altered, same = asyncio.run(seen(tmp_path / f"two.mp4.{name}.mp4"))
        apart = np.abs(altered - frames).mean(axis=(0, 3))
        assert apart.max() > 8 > 2 > np.median(apart)
        assert np.abs(same - sound).max() < 2
    for name in ("moved", "voice"):
        same, other = asyncio.run(seen(tmp_path / f"two.mp4.{name}.mp4"))
        assert np.abs(same - frames).max() < 2
        assert np.abs(other - sound).mean() > 0.1 * np.abs(sound).mean()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.mp4")}
    made(folder / "list.csv", tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.mp4")} == before


def test_videos_of_one_name_are_kept_apart_and_nobody_is_swapped_with_himself(folder: Path, tmp_path: Path) -> None:
    for name in ("train/a", "val/b", "train/c"):
        (folder / "named" / name).mkdir(parents=True)
        shutil.copy(folder / "one.mp4", folder / "named" / name / "video.mp4")
        (folder / "named" / name / "meta.json").write_text('{"label": 0}')
    made(folder / "named", tmp_path)
    rows = {clip.path.name.removesuffix(".mp4") for clip in read_clips(tmp_path)}
    of_the_first_of_val = {row for row in rows if row.startswith("b")}
    assert {row.rpartition(".")[2] for row in of_the_first_of_val} >= {"as-it-is", "mouth", "face"}
    assert not any(row.endswith("swap") for row in of_the_first_of_val)
    assert len(rows) == 3 * len(of_the_first_of_val)


def test_one_film_is_too_few(folder: Path, tmp_path: Path) -> None:
    (folder / "alone.csv").write_text("video_id,label,split,path\none,0,train,one.mp4\n")
    with pytest.raises(ManifestError, match="fewer than two real videos"):
        made(folder / "alone.csv", tmp_path)


def test_where_no_film_can_be_made_the_list_of_those_that_were_stays(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("as it was")
    rows = "".join(f"{n},0,train,empty.mp4\n" for n in ("empty", "void"))
    (folder / "void.csv").write_text("video_id,label,split,path\n" + rows)
    with pytest.raises(ManifestError, match=r"no video could be composed; empty: the file is empty.*; void:"):
        made(folder / "void.csv", tmp_path)
    assert (tmp_path / "manifest.csv").read_text() == "as it was"
