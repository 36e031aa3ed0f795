"""`veracity drift`: what has not moved is quiet, what has is named, and what cannot be compared is refused in words."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import answered
import pytest

from veracity.calibrate.scores import ScoredClip
from veracity.cli import main
from veracity.decision.calibration import Calibration
from veracity.drift.reference import path_of
from veracity_client.verdict import Verdict

Drift = Callable[..., int]


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("calibrated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VERACITY_MODEL_REPOSITORY", str(answered.provenance(folder / "model_repository")))
        yield answered.calibrated(folder)


@pytest.fixture
def fitted(calibration: Path) -> Calibration:
    return Calibration.read(calibration).of("starter")


@pytest.fixture
def drift(calibration: Path) -> Drift:
    return lambda *arguments: main(["drift", "--calibration", str(calibration), *map(str, arguments)])


def new_clips(count: int = 600) -> Iterator[ScoredClip]:
    return answered.scored(count, seed=7)


def reals(fake_in: int = 20) -> Iterator[ScoredClip]:
    """As in practice: one of so many is fake."""
    clips = list(answered.scored(4000, seed=8))
    real, fake = ([clip for clip in clips if clip.label == label] for label in (0, 1))
    return islice((fake[k // fake_in] if k % fake_in == 0 else real[k] for k in range(1000)), 1000)


def test_the_reference_lies_beside_the_calibration_and_is_small(calibration: Path) -> None:
    text = path_of(calibration).read_text()
    sound = json.loads(text)["kinds"]["sound"]
    assert (sound["real"], sound["fake"]) == (400, 400)
    assert set(sound["histograms"]) == {"verdict", "1_audio", "audio_codec", "seconds", "bytes_per_second"}
    assert sum(sound["histograms"]["1_audio"]["fake"]) == 400
    assert sound["histograms"]["audio_codec"]["words"] == ["mp3", "pcm_s16le"]
    assert len(text) < 3000
    assert "histogram" not in calibration.read_text()


def test_the_calibrations_own_kind_has_not_drifted(
    drift: Drift, fitted: Calibration, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = answered.lines(tmp_path / "r.jsonl", (answered.answer(fitted, clip) for clip in new_clips()))
    assert drift(report) == 0
    said = capsys.readouterr().out
    assert "600 sound files" in said
    assert "nothing drifted" in said
    assert "Estimates suppose that the probabilities are still right" in said


def test_another_mix_of_real_and_fake_is_no_drift(
    drift: Drift, fitted: Calibration, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The calibration is half fake, and what comes is one in twenty: the mix is told, the clips are the same."""
    report = answered.lines(tmp_path / "r.jsonl", (answered.answer(fitted, clip) for clip in reals()))
    assert drift(report, "--json") == 0
    found = json.loads(capsys.readouterr().out)["kinds"]["sound"]
    assert found["estimates"]["fakes"]["low"] <= 0.05 <= found["estimates"]["fakes"]["high"]
    assert found["estimates"]["fakes"]["value"] == pytest.approx(0.05, abs=0.03)


def test_scores_that_moved_are_named(
    drift: Drift, fitted: Calibration, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def narrow(clip: ScoredClip) -> Verdict:
        """Neither as the reals nor as the fakes: another kind of clips lies between them."""
        logit = clip.outputs["audio_starter"].logits[0]
        return answered.answer(fitted, clip, -0.9 * logit)

    report = answered.lines(tmp_path / "r.jsonl", map(narrow, new_clips()))
    assert drift(report, "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["drifted"] is True
    assert any(why.startswith("1_audio: PSI") for why in found["kinds"]["sound"]["why"])


def test_another_codec_is_named(
    drift: Drift, fitted: Calibration, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = (replace(clip, cues={**clip.cues, "audio_codec": "opus"}) for clip in new_clips())
    assert drift(answered.lines(tmp_path / "r.jsonl", (answered.answer(fitted, clip) for clip in clips))) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "drifted: audio_codec: PSI" in said
    assert "most of it at others: 0% there, 100% here" in said


def test_few_files_are_too_few(
    drift: Drift, fitted: Calibration, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = answered.lines(tmp_path / "r.jsonl", (answered.answer(fitted, clip) for clip in new_clips(40)))
    assert drift(report) == 2
    assert "too few files to tell" in capsys.readouterr().out


def test_wrong_verdicts_are_estimated_and_are_a_drift_where_they_are_many(
    drift: Drift, fitted: Calibration, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The clips' labels, which the command does not see, lie within its interval."""
    clips = list(new_clips(2000))
    verdicts = [answered.answer(fitted, clip) for clip in clips]
    report = answered.lines(tmp_path / "r.jsonl", iter(verdicts))
    assert drift(report, "--json") == 0
    decided = [(clip, one) for clip, one in zip(clips, verdicts) if one.label != "inconclusive"]
    wrong = sum((one.label == "fake") != (clip.label == 1) for clip, one in decided) / len(decided)
    found = json.loads(capsys.readouterr().out)["kinds"]["sound"]["estimates"]["wrong"]
    assert found["low"] <= wrong <= found["high"] < found["low"] + 0.06
    assert drift(report, "--wrong", "0.001") == 1
    assert "are wrong by estimate, over 0%" in capsys.readouterr().out


def test_score_files_and_signed_reports_are_read_too(
    drift: Drift, fitted: Calibration, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = answered.answer(fitted, next(new_clips()))
    (tmp_path / "report.json").write_text(json.dumps({"evidence": {"verdict": verdict.to_dict()}, "chain": None}))
    (tmp_path / "job.json").write_text(json.dumps({"job_id": "1", "verdict": verdict.to_dict()}))
    clip = next(new_clips())
    kept = replace(
        clip, outputs={}, layers={}, fake_probability=verdict.fake_probability, predicted_label=verdict.label,
        thresholds=verdict.thresholds, models={"audio_starter": answered.GRAPH},
    )  # fmt: skip
    scores = answered.score_file(tmp_path / "s.jsonl", iter([kept]))
    assert drift(tmp_path / "report.json", tmp_path / "job.json", scores, "--json") == 2
    assert json.loads(capsys.readouterr().out)["kinds"]["sound"]["files"] == 3


def one_line(path: Path, change: Callable[[dict[str, object]], object], verdict: Verdict) -> Path:
    document = verdict.to_dict()
    change(document)
    path.write_text(json.dumps({"file": "a.wav", **document}) + "\n")
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v.update(schema="veracity/0"), "line 1 has the schema 'veracity/0'; this version reads veracity/1"),
        (lambda v: v.pop("schema"), "line 1 has no verdict"),
        (lambda v: v.update(thresholds={"fake": 0.99, "real": 0.3}), "was answered under another calibration"),
        (lambda v: v.update(calibrated=False), "models that are not calibrated"),
        (lambda v: v["profile"].update(name="published"), "of the profile published, not of starter"),
        (lambda v: v.update(input=7), "is no whole verdict"),
        (lambda v: v.clear(), "line 1 has no verdict"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    drift: Drift, fitted: Calibration, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, object]], object], said: str,
) -> None:  # fmt: skip
    assert drift(one_line(tmp_path / "r.jsonl", change, answered.answer(fitted, next(new_clips())))) == 3
    assert said in capsys.readouterr().err


def test_empty_broken_and_missing_reports_are_refused(
    drift: Drift, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "text.jsonl").write_text("Dear Sir or Madam\n")
    (tmp_path / "errors.jsonl").write_text('{"file": "a", "error": {"type": "BadVideo", "message": "m"}}\n')
    for name, said in (
        ("empty.jsonl", "is empty"), ("text.jsonl", "line 1 is no JSON object"), ("none.jsonl", "No such file"),
        ("errors.jsonl", "there is no answer in it; 1 files could not be analysed"),
    ):  # fmt: skip
        assert drift(tmp_path / name) == 3
        assert said in capsys.readouterr().err


def test_answers_of_two_graphs_are_told_apart(
    drift: Drift, fitted: Calibration, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = answered.lines(tmp_path / "r.jsonl", (answered.answer(fitted, clip) for clip in new_clips(300))).read_text()
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text(text + text.splitlines(keepends=True)[0].replace(answered.GRAPH, "6" * 64))
    assert drift(mixed) == 3
    assert (
        "audio_starter answered with several graphs: 555555555555 (300 files), 666666666666 (1 files)"
        in capsys.readouterr().err
    )
    assert drift(mixed, "--graph", "5555") == 0
    assert drift(mixed, "--graph", "7777") == 3
    assert "no answer of a graph 7777" in capsys.readouterr().err


def test_a_calibration_without_or_with_an_outdated_reference_is_refused(
    calibration: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = calibration.read_text()
    old = tmp_path / "old.toml"
    old.write_text(text)
    (tmp_path / "r.jsonl").write_text("{}\n")
    command = ["drift", str(tmp_path / "r.jsonl"), "--calibration", str(old)]
    assert main(command) == 3
    assert (
        "has no old.reference.json beside it, as calibrations before this version: run `veracity calibrate`"
        in capsys.readouterr().err
    )
    path_of(old).write_bytes(path_of(calibration).read_bytes())
    old.write_text("\n".join(
        "temperature = 3.5" if line.startswith("temperature") else line
        for line in text.splitlines()
    ))  # fmt: skip
    assert main(command) == 3
    assert "was written with other numbers for sound files than" in capsys.readouterr().err


def test_words_and_comments_may_change_without_a_new_reference(calibration: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    lines = calibration.read_text().splitlines()
    other.write_text(
        "\n".join('statement = "in other words"' if x.startswith("statement") else x for x in lines) + "\n# a word"
    )
    path_of(other).write_bytes(path_of(calibration).read_bytes())
    (tmp_path / "r.jsonl").write_text("{}\n")
    assert main(["drift", str(tmp_path / "r.jsonl"), "--calibration", str(other)]) == 3  # for the report, not for that


@pytest.mark.parametrize("wrong", [("--fakes", "1.5"), ("--wrong", "0"), ("--psi", "-1"), ("--files", "0")])
def test_options_out_of_bounds_are_refused(drift: Drift, tmp_path: Path, wrong: tuple[str, str]) -> None:
    assert drift(tmp_path / "r.jsonl", *wrong) == 3
