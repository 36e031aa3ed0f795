"""A fake person beside real ones: the place in the manifest is where it is, and its twin has another there."""

import asyncio
import io
from contextlib import redirect_stdout
from pathlib import Path

import media_samples
import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.manifest import Clip, read_clips
from evaluation.persons import persons
from evaluation.runners import analyze_clips, local_runner
from training.__main__ import main
from training.group_videos import SIDES
from veracity.media import Limits, Media, Source
from veracity.settings import Settings

# Whose film has which colour: the fake is red.
COLOURS = {"fake": "gg=0.4:bb=0.4", "green": "rr=0.4:bb=0.4", "blue": "rr=0.4:gg=0.4", "grey": "rr=0.9"}
HEAD = "path,kind,label,how,source,licence,use,notes,split\n"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, talking: Path) -> Path:
    """A person in a colour each, with sound, of several sizes; and what nobody can stand beside."""
    folder = tmp_path_factory.mktemp("people")
    for number, (name, mixed) in enumerate(COLOURS.items()):
        filters = f"colorchannelmixer={mixed},scale={720 + 40 * number}:-2"
        media_samples.write(folder / f"{name}.mp4", "-i", talking, "-vf", filters, "-t", 2 + number / 5, "-c:a", "copy")
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
def made(people: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the films, and what was printed."""
    out, said = tmp_path_factory.mktemp("grouped"), io.StringIO()
    with redirect_stdout(said):
        assert group(listed(people, *COLOURS, "short", "small", "nobody"), out) == 0
    return out, said.getvalue()


def test_the_fake_person_is_where_the_manifest_says_and_nowhere_in_the_twin(made: tuple[Path, str]) -> None:
    clips = read_clips(made[0])
    assert [(len(clip.places), clip.label) for clip in clips] == [(2, "fake"), (2, "real"), (3, "fake"), (3, "real")]
    for film, twin in zip(clips[::2], clips[1::2]):
        assert (film.fake, film.maker, film.split, film.source) == (True, "Red", "test", "fake")
        assert (twin.fake, twin.fake_person, twin.source) == (False, (), "fake")  # held out together
        shown, shown_instead = colours(film), colours(twin)
        assert [place for place, colour in zip(film.places, shown) if is_red(colour)] == list(film.fake_person)
        assert not any(map(is_red, shown_instead))
        for one, other in zip(shown, shown_instead):
            assert is_red(one) or np.abs(one - other).max() < 2  # the same people beside it


def test_what_cannot_be_shown_is_named(made: tuple[Path, str]) -> None:
    said = made[1]
    assert "4 films in" in said
    assert "short.mp4: it is shorter than 2 s" in said
    assert "small.mp4: it and its face are too small" in said
    assert "nobody.mp4: it shows 0, 0, 0, 0, 0 faces" in said


def test_nobody_stands_beside_his_own_film(people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = listed(people, "fake of green", "green", "blue", "grey of blue")
    assert group(data, tmp_path / "out") == 1
    assert "no fake film has real ones of other people to stand beside it" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*"))


def test_the_verdicts_faces_are_the_people_of_the_places(
    made: tuple[Path, str], tmp_path: Path, full_repository: Path
) -> None:
    runner = local_runner(Settings(model_repository=full_repository, models="visual_starter"))
    scored = analyze_clips(read_clips(made[0]), made[0], runner, tmp_path / "scores.jsonl")
    found = persons(scored, runner.calibration)
    assert found
    assert found["films"] == found["measured"] == {"real": 2, "fake": 2}
    of = found["outputs"]
    assert list(of) == ["verdict", "visual_starter"]
    for output in of.values():
        assert (output["films"], output["people"]) == (2, {"real": 8, "fake": 2})
        assert output["chance"] == pytest.approx((1 / 2 + 1 / 3) / 2, abs=1e-4)
