"""``python -m benchmarks accuracy`` on media made on the spot."""

import csv
import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from measuring import LAYERS, manifest, measured

from evaluation import report, runners, selection
from veracity.calibrate import scores
from veracity.calibrate.metrics import MEASURES
from veracity.server import Server
from veracity.settings import Settings


def test_every_clip_is_counted_and_no_clip_is_analysed_twice(clips: Path, tmp_path: Path) -> None:
    assert measured("accuracy", "--manifest", clips, "--out", tmp_path) == 0
    document = json.loads((tmp_path / "accuracy.json").read_text())
    assert document["clips"] == {"real": 4, "fake": 2}
    assert list(document["subjects"]) == ["verdict", *LAYERS]
    assert document["machine"]["cores"] > 0
    assert set(document["models"]) == {
        "audio_starter",
        "visual_starter",
        "lipsync_starter",
        "semantic_starter",
    }
    voice = document["subjects"]["1_audio"]
    assert voice["scored"] == {"real": 1, "fake": 1}
    assert voice["figures"]["auc"]["value"] in (0, 1)
    reasons = {row["reason"]: (row["real"], row["fake"]) for row in voice["reasons"]}
    assert reasons == {
        "abstained: no speech was found": (1, 0),
        "abstained: the file has no audio track": (1, 1),
        "error: BadVideo": (1, 0),
    }
    assert sum(sum(row.values()) for row in voice["confusion"].values()) == 6
    faces = document["subjects"]["2_visual"]
    assert faces["figures"] is None
    assert faces["unmeasurable"] == "all 1 are fake: a measure wants both"
    pictures = document["subjects"]["4_semantic"]
    assert pictures["items"]["item"] == "frame"
    assert pictures["items"]["real"] + pictures["items"]["fake"] > 3
    assert [error["id"] for error in document["errors"]] == ["<broken.mp4>"]

    lines = (tmp_path / "scores.jsonl").read_bytes()
    assert measured("accuracy", "--manifest", clips, "--out", tmp_path) == 0
    more = (tmp_path / "scores.jsonl").read_bytes()[len(lines) :].splitlines()
    assert [json.loads(line)["id"] for line in more] == ["<broken.mp4>"]  # what failed is tried again
    again = json.loads((tmp_path / "accuracy.json").read_text())
    assert again["subjects"] == document["subjects"]

    flipped = manifest(clips.parent, [("talking.mp4", "0"), ("voice.wav", "1")], "flipped.csv")
    assert measured("accuracy", "--manifest", flipped, "--out", tmp_path) == 0
    assert len((tmp_path / "scores.jsonl").read_bytes()) == len(lines) + len(b"".join(more)) + 1
    other = json.loads((tmp_path / "accuracy.json").read_text())
    assert other["subjects"]["1_audio"]["figures"]["auc"]["value"] == 1 - voice["figures"]["auc"]["value"]

    assert "share answered, the surest first" in (tmp_path / "accuracy-curves.svg").read_text()
    figures = [dict(row) for row in csv.DictReader((tmp_path / "accuracy-figures.csv").read_text().splitlines())]
    overall = {
        row["measure"]: row for row in figures if (row["subject"], row["per"], row["by"]) == ("1_audio", "clip", "all")
    }
    assert {*MEASURES} < overall.keys()
    for name, figure in other["subjects"]["1_audio"]["figures"].items():
        assert [float(overall[name][part]) for part in ("value", "low", "high")] == list(figure.values())

    rows = list(csv.DictReader((tmp_path / "accuracy.csv").read_text().splitlines()))
    assert [(row["id"], row["label"]) for row in rows] == [("<talking.mp4>", "0"), ("<voice.wav>", "1")]
    said = {one["id"]: one for one in map(json.loads, (tmp_path / "scores.jsonl").read_text().splitlines())}
    heard = said["<voice.wav>"]["layers"]["1_audio"]["fake_probability"]
    assert float(rows[1]["1_audio"]) == pytest.approx(heard, abs=1e-4) != float(rows[0]["1_audio"])


def test_the_page_stands_alone(clips: Path, tmp_path: Path) -> None:
    measured("accuracy", "--manifest", clips, "--out", tmp_path)
    page = (tmp_path / "accuracy.html").read_text()
    drawn = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert not re.search(r"https?:|src=|<script|<link|@import|url\((?!#)", drawn)
    assert page.count("<svg") == 3 * 7  # verdict, voice and pictures; of faces and mouths all are fake
    assert "prefers-color-scheme: dark" in page
    assert not re.search("#0[0-9a-f]{5}", page), "a colour that is black in the dark"
    assert "&lt;broken.mp4&gt;" in page
    assert "<broken.mp4>" not in page
    identities = re.findall(r'\bid="([^"]*)"', page)
    assert len(set(identities)) == len(identities)


def test_a_curve_says_in_words_what_it_shows(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured("accuracy", "--manifest", clips, "--out", tmp_path)
    page, document = ((tmp_path / f"accuracy.{kind}").read_text() for kind in ("html", "json"))
    found = json.loads(document)["subjects"]["1_audio"]
    auc = "{value:.3f} [{low:.3f}, {high:.3f}]".format(**found["figures"]["auc"])
    assert f'role="img" aria-label="1_audio, ROC: AUC {auc}"' in page
    assert 'aria-label="1_audio, scores: 1 real and 1 fake clips; 4 more have no score"' in page
    for panel in ("DET: EER", "reliability: ECE"):
        assert f'aria-label="1_audio, {panel} ' in page
    for word in ("guessing", "as many of both", "it is as it says"):
        assert page.count(f">{word}<") == 3  # of verdict, voice and pictures
    verdict = json.loads(document)["subjects"]["verdict"]
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith(str(tmp_path / "accuracy.html"))
    worth = "{value:.3f} [{low:.3f}, {high:.3f}]".format(**verdict["figures"]["auc"])
    assert f"AUC {worth}, ECE " in said[-2]
    assert said[-2].endswith(", not analysed 1")


def test_results_without_room_leave_the_old_ones(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = manifest(clips.parent, [("talking.mp4", "1"), ("voice.wav", "0")], "room.csv")
    assert measured("accuracy", "--manifest", two, "--out", tmp_path) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "accuracy.html").unlink()
    (tmp_path / "accuracy.html").mkdir()  # a name that no file can take
    flipped = manifest(clips.parent, [("talking.mp4", "0"), ("voice.wav", "1")], "flipped.csv")
    assert measured("accuracy", "--manifest", flipped, "--out", tmp_path) == 1
    assert f"results cannot be written to {tmp_path}: Is a directory; what lay there is kept" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == before.keys()
    for name in ("accuracy.json", "accuracy.csv", "accuracy-figures.csv"):
        assert (tmp_path / name).read_bytes() == before[name]


def test_interrupted_it_goes_on_where_it_was(clips: Path, tmp_path: Path) -> None:
    chosen = selection.choose_clips(clips, "all", selection.KINDS)
    runner = runners.local_runner(Settings.from_env())
    asked: list[str] = []

    def until(number: int) -> Callable[[Path], runners.Analyzed]:
        def analyze(path: Path) -> runners.Analyzed:
            if len(asked) == number:
                raise KeyboardInterrupt
            asked.append(path.name)
            return runner.analyze(path)

        return analyze

    ledger = tmp_path / "scores.jsonl"
    with pytest.raises(KeyboardInterrupt):
        runners.analyze_clips(chosen, clips.parent, dataclasses.replace(runner, analyze=until(2)), ledger)
    assert list(scores.read(ledger)) == ["<talking.mp4>", "<bars.mp4>"]
    said = runners.analyze_clips(chosen, clips.parent, dataclasses.replace(runner, analyze=until(-1)), ledger)
    assert asked == [clip.path.name for clip in chosen]
    assert [one.id for one in said] == [clip.id for clip in chosen]
    assert said[0].outputs["visual_starter"].logits
    assert said[0].label == 1


def test_other_weights_answer_anew(tmp_path: Path, full_repository: Path) -> None:
    settings = Settings(model_repository=full_repository)
    copy = Settings(model_repository=shutil.copytree(full_repository, tmp_path / "copy"))
    assert runners.local_runner(settings).fingerprint == runners.local_runner(copy).fingerprint
    graph = copy.model_repository / "semantic_starter/1/model.onnx"
    graph.write_bytes(graph.read_bytes() + b"x")
    assert runners.local_runner(settings).fingerprint != runners.local_runner(copy).fingerprint
    few = settings.replace(max_faces=1)
    assert runners.local_runner(settings).fingerprint != runners.local_runner(few).fingerprint


@pytest.mark.parametrize(
    ("rows", "more", "words"),
    [
        ([("still.png", "0"), ("bars.mp4", "0")], [], "all 2 clips are real; measuring needs real and fake"),
        ([("still.png", "0"), ("bars.mp4", "1")], ["--split", "train"], "there is no clip"),
        ([("still.png", "maybe")], [], "label is 'maybe'"),
        ([("still.png", "0"), ("still.png", "1")], [], "names '<still.png>' more than once"),
        ([("still.png", "0")], ["--kinds", "video,sound"], "--kinds knows video, audio, images, not sound"),
        ([("still.png", "0")], ["--url", "localhost:1"], "give --through triton with it"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    media: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    rows: list[tuple[str, str]],
    more: list[str],
    words: str,
) -> None:
    listed = manifest(media, rows, "bad.csv")
    assert measured("accuracy", "--manifest", listed, "--out", tmp_path / "out", *more) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_where_no_clip_can_be_analysed_the_first_says_why(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (media / "empty.mp4").write_bytes(b"")
    listed = manifest(media, [("broken.mp4", "0"), ("empty.mp4", "1")], "bad.csv")
    assert measured("accuracy", "--manifest", listed, "--out", tmp_path) == 1
    assert "none of 2 clips could be analysed; the first: BadVideo" in capsys.readouterr().err


@pytest.mark.triton
def test_the_server_says_what_this_process_says(clips: Path, tmp_path: Path, server: Server) -> None:
    two = manifest(clips.parent, [("talking.mp4", "1"), ("voice.wav", "0")], "two.csv")
    arguments = ("--manifest", two, "--through", "triton", "--url", server.grpc_url)
    assert measured("accuracy", *arguments, "--out", tmp_path / "server") == 0
    assert measured("accuracy", "--manifest", two, "--out", tmp_path / "here") == 0
    theirs, ours = (scores.read(tmp_path / name / report.SCORES) for name in ("server", "here"))
    assert theirs.keys() == ours.keys() == {"<talking.mp4>", "<voice.wav>"}
    for key, one in theirs.items():
        assert one.outputs == {}  # a verdict holds no raw answers
        assert one.predicted_label == ours[key].predicted_label
        assert one.models == ours[key].models
        for layer, said in one.layers.items():
            assert said.status == ours[key].layers[layer].status
            if said.fake_probability is not None:
                assert said.fake_probability == pytest.approx(ours[key].layers[layer].fake_probability, abs=2e-3)
                assert len(said.spans) == len(ours[key].layers[layer].spans)
