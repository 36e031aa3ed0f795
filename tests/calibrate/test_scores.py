"""What was said of clips, kept: what is written is read, and no fault of one line costs another."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evaluation.manifest import Clip
from veracity.calibrate import scores
from veracity.calibrate.errors import ManifestError
from veracity.calibrate.scores import ItemScores, LayerScore, ScoredClip, ScoreFile
from veracity.decision.calibration import Calibrator
from veracity.evidence import pooling
from veracity.evidence.requests import ModelOutput, Sample
from veracity_client.errors import BadVideo
from veracity_client.verdict import Span

MOUTHS = ItemScores((0.0, 0.0, 1.0), (1.0, 1.0, 2.0), (0, 1, None), (0.5, -1.25, 3.0))
ONE = ScoredClip(
    "a/1.mp4", "a/1.mp4", "video", 1, "test", "someone", "Wav2Lip", "local 123", 4.5, ("video", "audio"),
    {"lipsync_starter": MOUTHS},
    {"3_lipsync": LayerScore("scored", "", 0.75, (Span(0.0, 1.0, 0.8),)),
     "1_audio": LayerScore("abstained", "ö", None)},
    {"lipsync_starter": "f" * 64}, 0.75, "fake",
)  # fmt: skip


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "scores.jsonl"
    clip = Clip(tmp_path / "b.wav", "audio", "real", "me", "permissive", "MIT", name="b")
    bad = ScoredClip.of_error(clip, tmp_path, "local 123", BadVideo("no media"))
    with ScoreFile(path) as book:
        book.add(ONE)
        book.add(bad)
    assert scores.read(path) == {"a/1.mp4": ONE, "b": bad}
    assert (bad.path, bad.label, bad.error) == ("b.wav", 0, "BadVideo: no media")
    first = json.loads(path.read_text().splitlines()[0])
    assert first["outputs"]["lipsync_starter"]["logits"] == [0.5, -1.25, 3.0]
    assert "error" not in first
    assert scores.read(tmp_path / "none.jsonl") == {}


def test_the_last_line_of_a_clip_counts_and_those_by_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    later = dataclasses.replace(ONE, fake_probability=0.1)
    other = dataclasses.replace(ONE, by="local 456")
    with ScoreFile(path) as book:
        for one in (ONE, later, other):
            book.add(one)
    assert scores.read(path, "local 123") == {ONE.id: later}
    assert scores.read(path, "local 456") == {ONE.id: other}
    assert scores.read(path, "local 789") == {}
    assert len(path.read_text().splitlines()) == 3


def test_a_line_that_was_never_finished_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    with ScoreFile(path) as book:
        book.add(ONE)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40].replace(b"a/1", b"a/2"))
    assert list(scores.read(path)) == ["a/1.mp4"]
    second = dataclasses.replace(ONE, id="c")
    with ScoreFile(path) as book:
        book.add(second)
    assert scores.read(path) == {ONE.id: ONE, "c": second}


@pytest.mark.parametrize("line", ["{", "[]", '{"id": "x"}', json.dumps({"id": "x", "label": "fake"})])
def test_a_line_of_something_else_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "scores.jsonl"
    with ScoreFile(path) as book:
        book.add(ONE)
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ManifestError, match=r"scores\.jsonl line 2 is no line of scores"):
        scores.read(path)


FULL = """
import dataclasses, resource, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_scores import ONE
from veracity.calibrate.scores import ScoreFile, ScoresError
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
with ScoreFile(Path({path!r})) as book:
    try:
        for number in range(100):
            book.add(dataclasses.replace(ONE, id=str(number)))
    except ScoresError as error:
        print(number, error)
"""


def test_no_room_says_so_and_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    code = FULL.format(tests=str(Path(__file__).parent), path=str(path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    number, _, words = done.stdout.partition(" ")
    assert int(number) > 2
    assert "cannot be written: File too large" in words
    assert "make room and run the same command again" in words
    assert list(scores.read(path)) == [str(k) for k in range(int(number))]
    assert path.read_bytes().endswith(b"\n")


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ManifestError, match=r"cannot be written: (File exists|Not a directory)"):
        ScoreFile(tmp_path / "file" / "scores.jsonl")


def test_items_pool_as_the_answer_did() -> None:
    items = tuple(
        Sample(s, e, np.ones((2, 2), np.uint8), f, w)
        for s, e, f, w in ((0.0, 1.0, 0, 40.0), (0.0, 1.0, 1, 160.5), (2.0, 3.0, 1, 150.0))
    )
    answer = ModelOutput("visual_starter", items, np.array([0.25, -2.0, 4.0], np.float32))
    kept = ItemScores.of(answer)
    for pool in (
        pooling.mean_logit,
        pooling.persons,
        pooling.worst_face_per_frame,
        pooling.worst_face,
        pooling.confident_faces,
    ):
        again = pool(kept.output("visual_starter"), Calibrator(2.0, 0.5))
        assert again == pytest.approx(pool(answer, Calibrator(2.0, 0.5)))
    rows = np.linspace(1, 2, 3 * 31).reshape(3, 31)
    synced = ItemScores.of(dataclasses.replace(answer, details=rows))
    details = synced.output("lipsync_syncnet").details
    assert details is not None
    assert np.allclose(details, rows, atol=1e-6)
