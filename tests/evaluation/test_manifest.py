"""Who is in a clip and which of its seconds are fake, as the three forms of a manifest say it."""

import json
from pathlib import Path

import pytest

from evaluation.manifest import read_clips
from veracity.calibrate.errors import ManifestError


def test_every_form_may_name_the_person_and_the_fake_seconds(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    ours, listed = tmp_path / "manifest.csv", tmp_path / "listed.csv"
    ours.write_text("path,kind,label,use,person,fake_seconds\na.mp4,video,fake,permissive,Ada,1.5-3 7-8.25\n")
    listed.write_text("video_id,label,split,path,person,fake_seconds\n1,1,test,a.mp4,Ada,1.5-3 7-8.25\n")
    folder = tmp_path / "folders" / "test" / "1"
    folder.mkdir(parents=True)
    (folder / "video.mp4").touch()
    (folder / "meta.json").write_text(json.dumps({"label": 1, "person": "Ada", "fake_seconds": "1.5-3 7-8.25"}))
    for manifest in (ours, listed, tmp_path / "folders"):
        (clip,) = read_clips(manifest)
        assert (clip.person, clip.fake_seconds) == ("Ada", ((1.5, 3.0), (7.0, 8.25)))
    listed.write_text("video_id,label,split,path\n1,1,test,a.mp4\n")
    (clip,) = read_clips(listed)
    assert (clip.person, clip.fake_seconds) == ("", ())


def test_a_copy_names_its_original(tmp_path: Path) -> None:
    (tmp_path / "0.mp4").touch()
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path,kind,label,use,original\n0.mp4,video,real,permissive,first/a.mp4\n")
    (clip,) = read_clips(manifest)
    assert (clip.id, clip.original) == ("0.mp4", "first/a.mp4")


@pytest.mark.parametrize("given", ["1", "3-1", "1-2-3", "-1-2", "one-two", "0-inf", "nan-1", "1-1"])
def test_seconds_that_are_none_are_refused(tmp_path: Path, given: str) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "c.csv").write_text(f"video_id,label,split,path,fake_seconds\n1,1,test,a.mp4,{given}\n")
    with pytest.raises(ManifestError, match=r"line 2: fake_seconds is .*; wanted START-END"):
        read_clips(tmp_path / "c.csv")


def test_every_form_may_say_where_people_are_and_which_is_fake(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    ours, listed = tmp_path / "manifest.csv", tmp_path / "listed.csv"
    ours.write_text("path,kind,label,use,places,fake_person\na.mp4,video,fake,permissive,0-0.5 0.5-1,0.5-1\n")
    listed.write_text("video_id,label,split,path,places,fake_person\n1,1,test,a.mp4,0-0.5 0.5-1,0.5-1\n")
    folder = tmp_path / "folders" / "test" / "1"
    folder.mkdir(parents=True)
    (folder / "video.mp4").touch()
    (folder / "meta.json").write_text(json.dumps({"label": 1, "places": "0-0.5 0.5-1", "fake_person": "0.5-1"}))
    for manifest in (ours, listed, tmp_path / "folders"):
        (clip,) = read_clips(manifest)
        assert (clip.places, clip.fake_person) == (((0.0, 0.5), (0.5, 1.0)), ((0.5, 1.0),))


@pytest.mark.parametrize(
    ("places", "fake", "words"),
    [
        ("0-320", "", "places is '0-320'; wanted are shares of the width"),
        ("left", "", "places is 'left'; wanted START-END"),
        ("0-0.5 0.5-1", "0.4-1", "fake_person is '0.4-1', which is not one of places"),
        ("", "0-0.5", "fake_person is '0-0.5', which is not one of places"),
    ],
)
def test_places_that_are_none_are_refused(tmp_path: Path, places: str, fake: str, words: str) -> None:
    (tmp_path / "a.mp4").touch()
    row = f"1,1,test,a.mp4,{places},{fake}"
    (tmp_path / "c.csv").write_text(f"video_id,label,split,path,places,fake_person\n{row}\n")
    with pytest.raises(ManifestError, match=f"line 2: {words}"):
        read_clips(tmp_path / "c.csv")
