"""The media are assembled from folders and from their origins; what cannot be had is said, and nothing is lost."""

from __future__ import annotations

import csv
import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import media_samples
import numpy as np
import pytest
import soundfile
from PIL import Image

from evaluation.manifest import read_clips
from training.data import recipes, table
from training.data.fetch import IncompleteMedia, assemble
from training.data.table import Item, Set
from veracity.install.files import WeightsError

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
COMMIT = "c" * 40
SET = Set("a", "first", f"github:owner/name@{COMMIT}", "audio", "fake", "a vocoder", "MIT", "permissive", "Vocoder",
          "neural", ("source:github:owner/name",))  # fmt: skip


class Handler(SimpleHTTPRequestHandler):
    """Files of a folder, each request noted."""

    asked: list[str]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()


@dataclass(frozen=True)
class Origin:
    """A web server that answers as GitHub does for raw files."""

    url: str
    folder: Path
    asked: list[str]

    def put(self, path: str, content: bytes) -> None:
        file = self.folder / "owner" / "name" / COMMIT / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    folder, asked = tmp_path / "web", list[str]()
    folder.mkdir()
    handler = type("Noting", (Handler,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Origin(f"http://127.0.0.1:{server.server_address[1]}", folder, asked)
        server.shutdown()
        thread.join()


def tone(rate: int, seconds: float) -> bytes:
    packed = io.BytesIO()
    times = np.arange(int(rate * seconds)) / rate
    soundfile.write(packed, 0.3 * np.sin(2 * np.pi * (200 + 40 * times) * times), rate, format="WAV", subtype="PCM_16")
    return packed.getvalue()


def picture() -> bytes:
    packed = io.BytesIO()
    pixels = np.add.outer(np.arange(64), np.arange(48))[..., None] * np.array([1, 2, 3])
    Image.fromarray(pixels.astype(np.uint8)).save(packed, format="PNG")
    return packed.getvalue()


def item(path: str, at: str, content: bytes, recipe: str = "as-is", origin: Set = SET) -> Item:
    return Item(origin, path, at, hashlib.sha256(content).hexdigest(), recipe)


def missing(target: Path) -> dict[str, str]:
    with (target / "missing.csv").open(newline="") as file:
        return {row["path"]: row["why"] for row in csv.DictReader(file)}


def test_items_are_made_of_what_lies_at_the_origin(origin: Origin, tmp_path: Path) -> None:
    sound, shot = tone(22_050, 6), picture()
    origin.put("a b#1.wav", sound)
    origin.put("shot.png", shot)
    (tmp_path / "sound.wav").write_bytes(sound)
    (tmp_path / "shot.png").write_bytes(shot)
    images = replace(SET, id="b", kind="images", batch="second")
    made: Callable[[str, str], bytes] = lambda recipe, name: recipes.make(recipe, tmp_path / name)  # noqa: E731
    items = [
        item("whole.wav", "a b#1.wav", sound),
        item("five.flac", "a b#1.wav", made("sound", "sound.wav"), "sound"),
        item("speech.flac", "a b#1.wav", made("speech 448 16000", "sound.wav"), "speech 448 16000"),
        item("shot.jpg", "shot.png", made("jpeg 95 32x32 8,4", "shot.png"), "jpeg 95 32x32 8,4", images),
        item("small.jpg", "shot.png", made("scaled 24x32", "shot.png"), "scaled 24x32", images),
    ]
    assemble(items, tmp_path / "media", [], 2, origin.url)
    for each in items:
        assert hashlib.sha256((tmp_path / "media" / each.place).read_bytes()).hexdigest() == each.sha256
    assert soundfile.info(tmp_path / "media/first/five.flac").frames == 5 * 16_000
    assert soundfile.info(tmp_path / "media/first/speech.flac").frames == 16_000
    with Image.open(tmp_path / "media/second/shot.jpg") as opened:
        assert opened.size == (32, 32)
    with Image.open(tmp_path / "media/second/small.jpg") as opened:
        assert opened.size == (24, 32)
    assert sorted(origin.asked) == [f"/owner/name/{COMMIT}/a%20b%231.wav", f"/owner/name/{COMMIT}/shot.png"]
    assert not list((tmp_path / "media" / ".originals").iterdir())
    clips = read_clips(tmp_path / "media", ("audio", "images"))
    assert [(clip.id, clip.split) for clip in clips] == [(each.place, "train") for each in items]


def test_what_cannot_be_had_is_listed_with_its_reason_and_a_later_run_goes_on(
    origin: Origin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, target = tone(16_000, 1), tmp_path / "media"
    origin.put("good.wav", good)
    origin.put("changed.wav", b"RIFF, but another one")
    origin.put("page.html", b"<html></html>")
    items = [
        item("good.wav", "good.wav", good),
        item("absent.wav", "absent.wav", b"?"),
        item("changed.wav", "changed.wav", b"RIFF as it was"),
        item("page.wav", "page.html", b"?"),
        item("broken.flac", "changed.wav", b"?", "sound"),
        item("ours.flac", "", b"?", "local: made by the collector"),
    ]
    with pytest.raises(IncompleteMedia, match="5 of 6 items could not be had"):
        assemble(items, target, [], 3, origin.url)
    assert (target / "first/good.wav").read_bytes() == good
    why = missing(target)
    assert "answered 404" in why["first/absent.wav"]
    assert "the file there is another one: sha256" in why["first/changed.wav"]
    assert "web page" in why["first/page.wav"]
    assert "ffmpeg" in why["first/broken.flac"]
    assert why["first/ours.flac"] == "derived, only from --from: made by the collector"
    assert f"1 of github:owner/name@{COMMIT}: derived, only from --from" in caplog.text
    assert [clip.id for clip in read_clips(target, ("audio",))] == ["first/good.wav"]

    origin.put("absent.wav", b"?")
    origin.asked.clear()
    with pytest.raises(IncompleteMedia, match="4 of 6"):
        assemble(items, target, [], 3, origin.url)
    assert f"/owner/name/{COMMIT}/good.wav" not in origin.asked
    assert "first/absent.wav" not in missing(target)


def test_a_server_out_of_reach_is_said_and_what_folders_hold_is_there(tmp_path: Path) -> None:
    held, target = tmp_path / "held", tmp_path / "media"
    for name in ("named.wav", "other name.wav", "changed.wav"):
        held.mkdir(exist_ok=True)
        (held / name).write_bytes(name.encode())
    items = [
        item("named.wav", "named.wav", b"named.wav"),
        item("renamed.wav", "renamed.wav", b"other name.wav"),
        item("changed.wav", "changed.wav", b"as it was"),
    ]
    with pytest.raises(IncompleteMedia, match="1 of 3"):
        assemble(items, target, [held], 1, "http://127.0.0.1:1")
    assert (target / "first/renamed.wav").read_bytes() == b"other name.wav"
    assert "cannot be had" in missing(target)["first/changed.wav"]
    (held / "changed.wav").write_bytes(b"as it was")
    assemble(items, target, [held], 1, "http://127.0.0.1:1")
    assert not (target / "missing.csv").exists()


def test_a_damaged_item_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"whole")
    target = tmp_path / "media"
    (target / "first").mkdir(parents=True)
    (target / "first/a.wav").write_bytes(b"who")
    assemble([item("a.wav", "a.wav", b"whole")], target, [tmp_path], 1, "http://127.0.0.1:1")
    assert (target / "first/a.wav").read_bytes() == b"whole"


def test_a_file_that_its_origin_names_in_a_table_is_found_and_nobody_is_named(origin: Origin, tmp_path: Path) -> None:
    origin.put("people.csv", b"id,name_slug\nA1,jane-doe\nA2,john-doe\n")
    origin.put("shots/jane-doe.jpg", b"a portrait")
    people = replace(SET, kind="images", label="real", system="", era="")
    items = [
        item("1.jpg", "shots/[row id=A1 of people.csv]", b"a portrait", origin=people),
        item("2.jpg", "shots/[row id=A2 of people.csv]", b"another", origin=people),
        item("3.jpg", "shots/[row id=A3 of people.csv]", b"nobody", origin=people),
    ]
    with pytest.raises(IncompleteMedia, match="2 of 3"):
        assemble(items, tmp_path / "media", [], 1, origin.url)
    why = missing(tmp_path / "media")
    assert "people.csv of owner/name has 0 rows with id A3" in why["first/3.jpg"]
    assert "404" in why["first/2.jpg"]
    assert "doe" not in "".join(why.values())


def test_a_film_is_cut_without_coding_it_anew(tmp_path: Path) -> None:
    film = media_samples.silent_video(tmp_path)
    (tmp_path / "cut.mp4").write_bytes(recipes.make("cut", film))
    whole, cut = (cv2.VideoCapture(str(path)) for path in (film, tmp_path / "cut.mp4"))
    assert np.array_equal(whole.read()[1], cut.read()[1])


def test_a_recipe_says_which_program_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(recipes.RecipeError, match="jpegtran is not installed"):
        recipes.make("jpegtran", tmp_path / "shot.jpg")


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no folder"):
        assemble([], tmp_path / "media", [tmp_path / "nowhere"], 1, "")


def test_items_of_the_table_are_in_the_shared_folders(tmp_path: Path) -> None:
    folders = [SHARED / "data", SHARED / "data2"]
    if not all((folder / "manifest.csv").is_file() for folder in folders):
        pytest.skip("the development media are not here")
    one_of_each = {each.set.id: each for each in table.read() if each.set.kind != "video"}
    assemble(list(one_of_each.values()), tmp_path, folders, 1, "http://127.0.0.1:1")
    assert len(read_clips(tmp_path, ("audio", "images"))) == len(one_of_each)
