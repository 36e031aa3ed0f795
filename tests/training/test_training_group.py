"""A fake person beside real ones: the place in the manifest is where it is, and its twin has another there."""

import asyncio
import json
from pathlib import Path

import media_samples
import numpy as np
import pytest
from measuring import measured
from numpy.typing import NDArray

from evaluation.manifest import Clip, read_clips
from training.__main__ import main
from training.group_videos import SIDES
from veracity.media import Limits, Media, Source

# Whose film has which colour: the fake is red.
COLOURS = {"fake": "gg=0.4:bb=0.4", "green": "rr=0.4:bb=0.4", "blue": "rr=0.4:gg=0.4", "grey": "rr=0.9"}
HEAD = "path,kind,label,how,source,licence,use,notes,split\n"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, talking: Path) -> Path:
    """A person in a colour each, with sound, of several sizes; and what nobody can stand beside."""
    folder = tmp_path_factory.mktemp("people")
    for number, (name, mixed) in enumerate(COLOURS.items()):
        filters = f"colorchannelmixer={mixed},scale={960 + 160 * number}:-2"
        media_samples.write(folder / f"{name}.mp4", "-i", talking, "-vf", filters, "-t", 2 + number, "-c:a", "copy")
    media_samples.write(folder / "short.mp4", "-i", talking, "-t", 1, "-c", "copy")
    media_samples.write(folder / "small.mp4", "-i", talking, "-vf", "scale=240:-2")
    media_samples.write(folder / "nobody.mp4", *media_samples.picture(3), *media_samples.H264)
    return folder


def listed(folder: Path, *names: str) -> Path:
    rows = []
    for name in names:
        label, _, origin = name.partition(" of ")
        notes = f"source:{origin or label}" + ("; system:Red" if label == "fake" else "")
        kind = "fake" if label == "fake" else "real"
        rows.append(f"{label}.mp4,video,{kind},red,s,CC0,permissive,{notes},test\n")
    (folder / "manifest.csv").write_text(HEAD + "".join(rows))
    return folder


def group(data: Path, out: Path) -> int:
    return main(["group", "--data", str(data), "--out", str(out)])


async def _frames(path: Path) -> NDArray[np.float64]:
    with Media.open(Source(path), Limits()) as media:
        probe = await media.probe()
        assert not probe.audio
        return np.stack([frame.image async for frame in media.frames(range(200))]).astype(float)


def colours(clip: Clip) -> list[NDArray[np.float64]]:
    """The mean colour of each place, and that it is there from the first frame to the last."""
    frames = asyncio.run(_frames(clip.path))
    assert len(frames) == 2 * 25  # as long as the shortest
    height, width = frames.shape[1:3]
    assert width == height * len(clip.places)
    assert SIDES[0] <= height <= SIDES[1]
    return [frames[:, :, round(a * width) : round(b * width)].mean(axis=(0, 1, 2)) for a, b in clip.places]


def is_red(colour: NDArray[np.float64]) -> bool:
    return bool(colour[0] > 1.5 * max(colour[1:]))


@pytest.fixture(scope="module")
def made(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("grouped")
    assert group(listed(people, *COLOURS, "short", "small", "nobody"), out) == 0
    return out


def test_the_fake_person_is_where_the_manifest_says_and_nowhere_in_the_twin(made: Path) -> None:
    clips = read_clips(made)
    assert sorted((len(clip.places), clip.label) for clip in clips) == [
        (2, "fake"), (2, "real"), (3, "fake"), (3, "real"),
    ]  # fmt: skip
    for film, twin in zip(clips[::2], clips[1::2]):
        assert (film.fake, film.maker, film.split, film.source) == (True, "Red", "test", "fake")
        assert (twin.fake, twin.fake_person, twin.source) == (False, (), "fake")  # held out together
        at = [is_red(colour) for colour in colours(film)]
        assert [place for place, red in zip(film.places, at) if red] == list(film.fake_person)
        others = [(one, other) for one, other, red in zip(colours(film), colours(twin), at) if not red]
        for one, other in others:
            assert np.abs(one - other).max() < 2  # the same people beside it
        assert not any(map(is_red, colours(twin)))
    assert {len(clip.places) for clip in clips} == {2, 3}


def test_what_cannot_be_shown_is_named(people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert group(listed(people, *COLOURS, "short", "small", "nobody"), tmp_path) == 0
    said = capsys.readouterr().out
    assert "4 films in" in said
    assert "short.mp4: it is shorter than 2 s" in said
    assert "small.mp4: it and its face are too small" in said
    assert "nobody.mp4: it shows 0, 0, 0, 0, 0 faces" in said
    again = {path.name: path.read_bytes() for path in tmp_path.glob("*.mp4")}
    assert group(people, tmp_path) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.mp4")} == again


def test_nobody_stands_beside_his_own_film(people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = listed(people, "fake of green", "green", "blue", "grey of blue")
    assert group(data, tmp_path / "out") == 1
    assert "no fake film has real ones of other people to stand beside it" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*"))


def test_the_verdicts_faces_are_the_people_of_the_places(
    made: Path, tmp_path: Path, full_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERACITY_MODEL_REPOSITORY", str(full_repository))
    assert measured("accuracy", "--manifest", made, "--kinds", "video", "--out", tmp_path) == 0
    found = json.loads((tmp_path / "accuracy.json").read_text())["forensic"]["persons"]
    assert found["films"] == found["measured"] == {"real": 2, "fake": 2}
    of = found["outputs"]
    assert {*of} >= {"verdict", "visual_starter"}
    for name in ("verdict", "visual_starter"):
        assert (of[name]["films"], of[name]["people"]) == (2, {"real": 8, "fake": 2})
        assert of[name]["chance"] == pytest.approx((1 / 2 + 1 / 3) / 2, abs=1e-4)
