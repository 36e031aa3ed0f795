"""`python -m training calibrate`: what it reads, what it refuses, and what it writes into calibration.toml."""

import datetime
import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from veracity.calibrate import toml_tables
from veracity.calibrate.labelled_outputs import CalibrationInputError, TrainedOn, read
from veracity.calibrate.scores import ItemScores, ScoredClip, ScoreFile
from veracity.cli import main
from veracity.decision.calibration import FILE, Calibration
from veracity.decision.domain import Domain
from veracity.decision.toml_table import LAYER_NAMES
from veracity_client.verdict import Thresholds

Run = Callable[..., int]


def said(k: int, kind: str, label: int, answers: dict[str, list[float]], split: str = "validation") -> ScoredClip:
    kept = {
        model: ItemScores(
            tuple(map(float, range(len(x)))),
            tuple(k + 1.0 for k in range(len(x))),
            (None,) * len(x),
            tuple(map(float, x)),
        )
        for model, x in answers.items()
    }
    tracks = {"audio": ("audio",), "video": ("audio", "video", "motion"), "images": ("video",)}[kind]
    source = f"{kind} {k % 20 // 2}"
    return ScoredClip(
        f"{kind} {k}", "x", kind, int(label), split, source, how="", by="test", tracks=tracks, outputs=kept
    )


def clips(seed: int = 0, split: str = "validation") -> Iterator[ScoredClip]:
    """Sound files that the voice tells, films that the faces tell, and mouths and pictures that guess."""
    rng = np.random.default_rng(seed)
    for k in range(60):
        yield said(k, "audio", k % 2 == 1, {"audio_starter": [rng.normal(3 * (k % 2) - 1.5, 1.2)]}, split=split)
    for k in range(60):
        fake = k % 2 == 1
        answers = {
            "audio_starter": [rng.normal(-1, 1)],
            "visual_starter": list(rng.normal(4 * fake - 2, 1.5, 3)),
            "semantic_starter": [rng.normal(0, 2)],
            "semantic_clip_vitl14": [rng.normal(4 * fake - 2, 1)],
        }
        yield said(k, "video", fake, answers, split=split)


def put(path: Path, lines: Sequence[ScoredClip]) -> Path:
    with ScoreFile(path) as ledger:
        for line in lines:
            ledger.add(line)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return Path(shutil.copy(FILE, tmp_path / "calibration.toml"))


@pytest.fixture(autouse=True)
def repository(tmp_path: Path) -> Path:
    """The provenance of models that ship, by which the command knows them."""
    for number, name in enumerate(("audio_starter", "visual_starter", "semantic_starter")):
        folder = tmp_path / "model_repository" / name
        folder.mkdir(parents=True)
        (folder / "provenance.json").write_text(json.dumps({"checkpoint_sha256": str(number) * 64}))
    return tmp_path / "model_repository"


@pytest.fixture
def run(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.setenv("VERACITY_MODEL_REPOSITORY", str(repository))
    return lambda *arguments: main(["calibrate", *map(str, arguments)])


def test_what_the_clips_were_like_is_kept(run: Run, tmp_path: Path, file: Path) -> None:
    given = [
        replace(clip, cues={"audio_codec": "flac" if k % 2 else "mp3", "bandwidth": 4000.0 + k, "loudness": -20.0})
        for k, clip in enumerate(clips())
    ]
    assert run(put(tmp_path / "a.jsonl", given), "--out", file) == 0
    fusions = Calibration.read(file).profiles["starter"]
    assert fusions["sound"].domain == Domain(
        {"bandwidth": (4000.0, 4059.0)}, {"audio_codec": frozenset({"lossless", "mp3"})}
    )
    assert fusions["film"].domain == Domain()  # what is compared of films, these have not got


def test_the_command_writes_what_the_reader_reads(
    run: Run, tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Calibration.read(file)
    tested = put(tmp_path / "test.jsonl", list(clips(seed=9, split="test")))
    assert run(put(tmp_path / "a.jsonl", list(clips())), "--out", file, "--test", tested) == 0
    after = Calibration.read(file)
    own = after.of("starter")
    assert after.evidence_weights == before.evidence_weights
    film, sound = own.for_file("film", "balanced"), own.for_file("sound", "balanced")
    assert film.sees("visual") > film.sees("audio") > 0 == film.sees("semantic") == film.sees("lipsync")
    assert (sound.sees("audio"), sound.sees("visual")) == (1.0, 0.0)
    assert film.thresholds
    assert film.thresholds.real is not None
    assert film.thresholds.fake is not None
    assert film.thresholds.real < 0.5 < film.thresholds.fake
    assert own.for_file("film", "strict").thresholds == Thresholds(None, None)  # 30 clips show no rate of 1 %
    assert not after.calibrator("visual_starter").uninformative
    assert after.calibrator("semantic_starter").uninformative
    assert "uninformative: AUC" in after.measurement("semantic_starter")
    assert "on 30 real and 30 fake videos of 10 sources that it was not trained on" in after.measurement(
        "visual_starter"
    )
    assert "held out for testing" in after.measurement("visual_starter")
    assert (
        "on 30 real and 30 fake videos of 10 sources that its networks were not trained on"
        in after.statements["starter"]
    )
    assert "held out for testing; of the real ones" in after.statements["starter"]
    assert "on 30 real and 30 fake sound files of 10 sources that its" in after.statements["starter"]
    assert "[profiles.starter.fusion.film] sees = " in capsys.readouterr().out
    assert {after.checkpoints[name] for name in ("audio_starter", "visual_starter")} == {"0" * 64, "1" * 64}


def test_what_is_not_the_profiles_stays_to_the_letter(run: Run, tmp_path: Path, file: Path) -> None:
    before = toml_tables._parts(file.read_text(encoding="utf-8"))
    assert run(put(tmp_path / "a.jsonl", list(clips())), "--out", file) == 0
    after = toml_tables._parts(file.read_text(encoding="utf-8"))
    own = {"models.audio_starter", "models.visual_starter", "models.semantic_starter",
           "profiles.starter.fusion.film", "profiles.starter.fusion.sound"}  # fmt: skip
    assert "models.semantic_clip_vitl14" not in after
    assert {name: body.strip() for name, body in before.items() if name not in own} == {
        name: body.strip() for name, body in after.items() if name not in own
    }
    assert own <= set(after)


def test_a_second_run_gives_the_same_file(run: Run, tmp_path: Path, file: Path) -> None:
    scores = put(tmp_path / "a.jsonl", list(clips()))
    assert run(scores, "--out", file) == 0
    once = file.read_text(encoding="utf-8")
    assert run(scores, "--out", file) == 0
    assert file.read_text(encoding="utf-8") == once


def test_sound_files_alone_calibrate_the_voice_and_sound_files(run: Run, tmp_path: Path, file: Path) -> None:
    before = Calibration.read(file)
    voices = [one for one in clips() if one.kind == "audio"]
    assert run(put(tmp_path / "a.jsonl", voices), "--out", file) == 0
    after = Calibration.read(file)
    assert after.profiles["starter"]["sound"] != before.profiles["starter"]["sound"]
    assert after.profiles["starter"]["film"] == before.profiles["starter"]["film"]
    assert after.calibrator("audio_starter") != before.calibrator("audio_starter")


def test_still_pictures_get_a_scale_and_thresholds_of_their_own(run: Run, tmp_path: Path, file: Path) -> None:
    rng = np.random.default_rng(1)
    stills = [said(k, "images", k % 2 == 1, {"visual_starter": [rng.normal(4 * (k % 2) + 3, 1.5)]}) for k in range(60)]
    assert run(put(tmp_path / "a.jsonl", [*clips(), *stills]), "--out", file) == 0
    own = Calibration.read(file).of("starter")
    film, still = own.for_file("film", "balanced"), own.for_file("still", "balanced")
    assert still.calibrator("visual_starter").bias < film.calibrator("visual_starter").bias - 1
    assert (still.sees("visual"), still.sees("lipsync")) == (1.0, 0.0)
    assert still.thresholds
    assert still.thresholds.fake is not None


def test_where_no_layer_separates_the_profile_says_so(run: Run, tmp_path: Path, file: Path) -> None:
    rng = np.random.default_rng(3)
    films = [said(k, "video", k % 2 == 1, {"semantic_starter": [rng.normal(0, 2)]}) for k in range(60)]
    assert run(put(tmp_path / "a.jsonl", list(clips())), "--out", file) == 0
    assert run(put(tmp_path / "b.jsonl", films), "--out", file) == 0
    after = Calibration.read(file)
    assert "no layer separates real from fake: on 30 real and 30 fake videos" in after.statements["starter"]
    film = after.of("starter").for_file("film", "balanced")
    assert film.thresholds == Thresholds(None, None)
    assert not any(film.sees(layer) for layer in LAYER_NAMES)


@pytest.mark.parametrize(("text", "words"), [(None, "is not installed"), ("{}", "has no checkpoint_sha256 in its")])
def test_weights_that_nobody_can_name_are_not_calibrated(
    text: str | None,
    words: str,
    run: Run,
    tmp_path: Path,
    file: Path,
    repository: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = repository / "visual_starter" / "provenance.json"
    page.unlink()
    if text is not None:
        page.write_text(text)
        (page.parent / "1").mkdir()
        (page.parent / "1" / "model.onnx").touch()
    before = file.read_bytes()
    assert run(put(tmp_path / "a.jsonl", list(clips())), "--out", file) == 3
    assert f"visual_starter {words}" in capsys.readouterr().err
    assert file.read_bytes() == before


def one_class() -> list[ScoredClip]:
    return [one for one in clips() if not one.label]


def disagreeing() -> list[ScoredClip]:
    return [*clips(), said(0, "video", True, {"lipsync_starter": [1.0]})]


BAD = {
    "one class": (one_class, (), "answered both real and fake clips whose label tells of its layer"),
    "test": (lambda: list(clips(split="test")), (), "is of split test: what was fitted on test clips measures nothing"),
    "empty": (list, (), "no clip could be analysed"),
    "label": (lambda: [said(0, "audio", 2, {})], (), "clip audio 0 has label 2, not 0 or 1"),
    "nothing": (
        lambda: [said(0, "video", True, {"audio_starter": [1.0]})],
        (),
        "answered both real and fake clips whose label tells",
    ),
    "stranger": (lambda: [said(0, "video", True, {"x": [1.0]})], (), "was answered by x, which no layer has"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line_and_nothing_is_changed(
    case: str, run: Run, tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, more, words = BAD[case]
    before = file.read_bytes()
    assert run(put(tmp_path / "a.jsonl", lines()), "--out", file, *more) == 3
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert file.read_bytes() == before


def test_what_two_files_say_of_a_clip_is_joined_unless_they_contradict(tmp_path: Path) -> None:
    faces = said(0, "video", True, {"visual_starter": [1.0]})
    frames = said(0, "video", True, {"semantic_starter": [2.0]})
    first, second = put(tmp_path / "a.jsonl", [faces]), put(tmp_path / "b.jsonl", [frames])
    (joined,) = read([first, second])
    assert set(joined.outputs) == {"visual_starter", "semantic_starter"}
    with pytest.raises(CalibrationInputError, match="two answers of visual_starter"):
        read([first, put(tmp_path / "c.jsonl", [faces])])
    with pytest.raises(CalibrationInputError, match="real in one file and fake in another"):
        read([first, put(tmp_path / "d.jsonl", [said(0, "video", False, {"semantic_starter": [2.0]})])])


def test_what_a_model_learned_from_is_left_out(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = {"audio_starter": [1.0], "visual_starter": [1.0]}
    film, sound = said(0, "video", True, both, split="train"), said(0, "audio", True, both, split="train")
    path = put(tmp_path / "a.jsonl", [film, sound, said(1, "video", True, both)])
    rows = {row.id: set(row.outputs) for row in read([path], (), [TrainedOn("audio_starter", "train", "audio")])}
    assert rows == {"video 0": {*both}, "audio 0": {"visual_starter"}, "video 1": {*both}}
    rows = {row.id: set(row.outputs) for row in read([path], (), [TrainedOn.parsed("audio_starter:train")])}
    assert rows == {"video 0": {"visual_starter"}, "audio 0": {"visual_starter"}, "video 1": {*both}}
    real = put(tmp_path / "b.jsonl", [said(2, "video", False, both, split="train"), film])
    rows = {row.id: set(row.outputs) for row in read([real], (), [TrainedOn.parsed("visual_starter:train:video:real")])}
    assert rows == {"video 2": {"audio_starter"}, "video 0": {*both}}
    for wrong in ("audio_starter", "audio_starter:train:video:unknown"):
        assert run(path, "--trained-on", wrong) == 3
        assert f"--trained-on wants MODEL:SPLIT[:KIND[:LABEL]], not '{wrong}'" in capsys.readouterr().err


def test_scores_that_are_not_there_are_asked_for(
    run: Run, tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "none.jsonl", "--out", file) == 3
    assert "no scores at" in capsys.readouterr().err
    fitting = put(tmp_path / "a.jsonl", list(clips()))
    assert run(fitting, "--test", fitting, "--out", file) == 3
    assert "--test is for test clips alone" in capsys.readouterr().err


def test_every_kind_of_value_is_written_as_toml(file: Path) -> None:
    words = 'a "quoted" \\ line –\nand another'
    table: dict[str, toml_tables.Value] = {
        "temperature": math.inf,
        "bias": 0,
        "statement": words,
        "date": datetime.date(2026, 11, 21),
    }
    read_back = toml_tables.replace(file, {"models.audio_starter": table})
    assert read_back == Calibration.read(file)
    assert read_back.measurement("audio_starter") == words
    assert read_back.calibrator("audio_starter").uninformative
    assert "[models.audio_starter]  # docs/models/audio_starter.md" in file.read_text(encoding="utf-8")


def test_a_table_that_cannot_be_read_back_is_not_written(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(CalibrationInputError, match=r"is left as it was: .*temperature"):
        toml_tables.replace(file, {"models.audio_starter": {"temperature": -1.0, "bias": 0.0}})
    assert file.read_bytes() == before
    assert sorted(p.name for p in file.parent.iterdir()) == ["calibration.toml", "model_repository"]
