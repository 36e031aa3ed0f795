"""Releases as files: what is staged, tried, promoted and taken back, by whose leave, and what is written down."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import answered
import numpy as np
import pytest

from veracity.calibrate.scores import ScoredClip
from veracity.cli import main
from veracity.decision.calibration import FILE
from veracity.releases.agreement import agreement
from veracity.releases.gate import compare
from veracity.releases.gate_result import Margins
from veracity.releases.store import Release as Staged
from veracity.releases.store import Store
from veracity_client.verdict import Label

Release = Callable[..., int]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "releases"


@pytest.fixture
def release(folder: Path) -> Release:
    return lambda command, *arguments: main(["release", command, "--folder", str(folder), *map(str, arguments)])


@pytest.fixture
def repository(full_repository: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(full_repository, tmp_path / "repository"))


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    """One that names no weights, so that it holds for the tiny models too."""
    text = FILE.read_text()
    target = tmp_path / "calibration.toml"
    target.write_text("\n".join(line for line in text.splitlines() if not line.startswith("checkpoint")))
    return target


@pytest.fixture
def staged(release: Release, repository: Path, calibration: Path) -> Callable[[str], None]:
    def stage(name: str) -> None:
        calibration.write_text(calibration.read_text() + f"# {name}\n")
        assert release("stage", name, "--repository", repository, "--calibration", calibration) == 0

    return stage


@pytest.fixture
def two(staged: Callable[[str], None], release: Release) -> None:
    staged("one")
    assert release("promote") == 0
    staged("two")


def said_of(path: Path, wrong: int, unsure: int = 0, count: int = 200, lost: int = 0) -> Path:
    """Scores of a release that is wrong about so many clips, and says nothing of so many."""

    def clip(k: int) -> ScoredClip:
        fake = k % 2 == 1
        says: Label = "fake" if fake != (k < wrong) else "real"
        probability = (0.5 if k >= count - unsure else 0.9 if says == "fake" else 0.1) + 0.0004 * (k % 97 / 97)
        found = ScoredClip(
            f"clip {k}", "x", "audio", int(fake), "test", f"source {k}", "", "t", fake_probability=probability,
            predicted_label="inconclusive" if k >= count - unsure else says,
        )  # fmt: skip
        return replace(found, error="BadVideo: x") if k >= count - lost else found

    return answered.score_file(path, (clip(k) for k in range(count)))


def audit(folder: Path) -> list[str]:
    return [f"{e['event']} {e['subject']}" for e in map(json.loads, (folder / "audit.jsonl").read_text().splitlines())]


@pytest.mark.usefixtures("two")
def test_a_release_goes_its_way_and_every_step_is_written_down(
    release: Release, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert release("shadow") == 0
    assert release("canary", "--share", "0.1") == 0
    scores = said_of(tmp_path / "one.jsonl", 10), said_of(tmp_path / "two.jsonl", 8)
    assert release("gate", "--scores", *scores) == 0
    assert release("promote") == 0
    assert Store(folder).state().current == "two"
    assert release("rollback") == 0
    state = Store(folder).state()
    assert (state.current, state.candidate, state.trying) == ("one", "two", None)
    assert audit(folder) == [
        "staged one", "promoted one", "staged two", "shadow two on 100.00% of the requests",
        "canary two on 10.00% of the requests", "gate two: passed", "promoted two", "rolled back two to one",
    ]  # fmt: skip
    capsys.readouterr()
    assert release("status", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["current"], found["candidate"], found["serving"], found["audit_faults"]) == ("one", "two", None, [])


@pytest.mark.usefixtures("two")
def test_a_trial_is_ended_by_the_same_command(release: Release, folder: Path) -> None:
    assert release("canary") == 0
    assert release("rollback") == 0
    state = Store(folder).state()
    assert (state.current, state.candidate, state.trying) == ("one", "two", None)
    assert release("rollback") == 3  # nothing was current before the first


@pytest.mark.usefixtures("two")
def test_nothing_is_promoted_without_the_gate(
    release: Release, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert release("promote") == 3
    assert "two did not pass the gate yet: `veracity release gate CLIPS`" in capsys.readouterr().err
    assert release("gate", "--scores", said_of(tmp_path / "one.jsonl", 5), said_of(tmp_path / "two.jsonl", 40)) == 1
    assert "not passed" in capsys.readouterr().out
    assert release("promote") == 3
    assert "two did not pass the gate: auc: " in capsys.readouterr().err
    assert Store(folder).state().current == "one"
    assert release("promote", "--force", "the other one leaks") == 0
    assert audit(folder)[-1] == "promoted two without the gate: the other one leaks"


@pytest.mark.usefixtures("two")
def test_a_gate_against_another_release_does_not_count(
    release: Release, staged: Callable[[str], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = said_of(tmp_path / "one.jsonl", 10), said_of(tmp_path / "two.jsonl", 8)
    assert release("gate", "--scores", *scores) == 0
    staged("three")
    assert release("promote", "--force", "urgent") == 0
    assert release("promote", "two") == 3
    assert "the gate of two was not against three" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("candidate", "why"),
    [
        ({"wrong": 5}, ""),
        ({"wrong": 4}, ""),
        ({"wrong": 25}, "wrong: 0.125 instead of 0.025"),
        ({"wrong": 5, "unsure": 60}, "inconclusive: 0.300 instead of 0.000"),
        ({"wrong": 5, "lost": 2}, "2 clips that one analysed end in an error"),
    ],
)
@pytest.mark.usefixtures("two")
def test_the_gate(
    release: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str], candidate: dict[str, int], why: str
) -> None:
    scores = said_of(tmp_path / "one.jsonl", 5), said_of(tmp_path / "two.jsonl", **candidate)
    assert release("gate", "--scores", *scores) == (1 if why else 0)
    assert why in " ".join(capsys.readouterr().out.split())


@pytest.mark.usefixtures("two")
def test_a_gate_wants_the_same_clips_and_enough_of_them(
    release: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = said_of(tmp_path / "few.jsonl", 1, count=40)
    assert release("gate", "--scores", few, few) == 1
    assert "20 real and 20 fake clips are too few: 30 of each are wanted" in " ".join(capsys.readouterr().out.split())
    assert release("gate", "--scores", few, said_of(tmp_path / "many.jsonl", 1)) == 3
    assert "were not asked about the same clips: 160 are in one file alone" in capsys.readouterr().err
    other = tmp_path / "other.jsonl"
    graphs = {"face_detector": "f" * 64}
    answered.score_file(other, iter([ScoredClip("a", "x", "audio", 1, "test", "s", "", "t", models=graphs)]))
    assert release("gate", "--scores", other, other) == 3
    assert "a was answered by another graph of face_detector than one has" in capsys.readouterr().err
    (tmp_path / "none.jsonl").touch()
    assert release("gate", "--scores", tmp_path / "none.jsonl", few) == 3
    assert "holds no scores" in capsys.readouterr().err
    assert release("gate") == 3
    assert "give either clips or --scores" in capsys.readouterr().err


def test_chance_alone_fails_no_equal_release_and_passes_no_worse_one() -> None:
    """Wrong about 5 % against 5 %, and 20 % against 5 %, on clips drawn at random: the interval tells them apart."""
    one, two = (Staged(name, "starter", name, "", {}, {}) for name in ("one", "two"))
    passed = {0.05: 0, 0.2: 0}
    for rate in passed:
        for seed in range(20):
            rng = np.random.default_rng(seed)
            said = []
            hard = rng.random(400) < 0.05
            for errs in (hard, hard if rate == 0.05 else hard | (rng.random(400) < rate - 0.05)):
                labels: list[Label] = ["fake" if (k % 2 == 1) != err else "real" for k, err in enumerate(errs)]
                said.append({
                    str(k): ScoredClip(
                        str(k), "x", "audio", k % 2, "test", f"s{k}", "", "t", predicted_label=label,
                        fake_probability=0.9 if label == "fake" else 0.1,
                    )
                    for k, label in enumerate(labels)
                })  # fmt: skip
            passed[rate] += compare(one, two, said, Margins()).passed
    assert passed == {0.05: 20, 0.2: 0}


@pytest.mark.usefixtures("two")
def test_a_release_that_was_changed_is_not_used(
    release: Release, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (folder / "two" / "calibration.toml").open("a") as file:
        file.write("# by hand\n")
    assert release("shadow") == 3
    assert "two was changed after it was staged: calibration.toml; stage it again" in capsys.readouterr().err


@pytest.mark.usefixtures("two")
def test_a_changed_audit_log_shows(release: Release, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = folder / "audit.jsonl"
    log.write_text(log.read_text().replace("promoted", "approved"))
    assert release("status") == 1
    assert "entry 2 was changed" in capsys.readouterr().out


def test_what_cannot_be_served_is_not_staged(
    release: Release, folder: Path, repository: Path, calibration: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def refused(*arguments: object) -> str:
        assert release("stage", *arguments) == 3
        assert not list(folder.glob("*/release.json"))
        return capsys.readouterr().err

    given = ("--repository", repository, "--calibration", calibration)
    assert "a release is named by letters" in refused("../up", *given)
    assert "has no face_detector, audio_starter" in refused("x", "--repository", tmp_path, "--calibration", calibration)
    (tmp_path / "broken.toml").write_text("[models")
    assert "is no TOML" in refused("x", "--repository", repository, "--calibration", tmp_path / "broken.toml")
    for file in repository.glob("*/provenance.json"):  # of the tiny models, whichever tests put there
        file.unlink()
    (repository / "visual_starter" / "provenance.json").write_text(json.dumps({"checkpoint_sha256": "f" * 64}))
    assert "was fitted to other weights of visual_starter" in refused(
        "x", "--repository", repository, "--calibration", FILE
    )
    (repository / "visual_starter" / "provenance.json").write_text(json.dumps({"graph_sha256": "f" * 64}))
    assert "visual_starter: 1/model.onnx: its sha256 is" in refused("x", *given)


def test_steps_out_of_turn_are_refused(
    release: Release, staged: Callable[[str], None], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command, said in (
        ("shadow", "there is no candidate"), ("promote", "there is no candidate"),
        ("rollback", "nothing to roll back to"), ("serve", "was promoted yet"),
    ):  # fmt: skip
        assert release(command) == 3
        assert said in capsys.readouterr().err
    staged("one")
    assert release("canary") == 3
    assert "no current release beside which it could be tried" in capsys.readouterr().err
    assert release("promote") == 0
    assert release("promote", "one") == 3
    assert release("promote", "none") == 3
    assert "there is no release none" in capsys.readouterr().err
    staged("two")
    assert release("canary", "--share", "1.5") == 3
    assert release("canary") == 0
    assert release("stage", "three") == 3
    assert "two is being tried (canary): promote it or roll it back first" in capsys.readouterr().err


def test_agreement_is_of_the_same_content(tmp_path: Path) -> None:
    def line(sha256: str, label: str, probability: float | None) -> str:
        return json.dumps(
            {"input": {"sha256": sha256}, "label": label, "fake_probability": probability, "processing_time": 1.0}
        )

    (tmp_path / "a").write_text(
        "\n".join([line("1", "fake", 0.9), line("2", "real", 0.1), line("3", "real", 0.2)]) + "\n"
    )
    (tmp_path / "b").write_text(
        "\n".join([line("1", "fake", 0.8), line("2", "fake", 0.7), line("4", "real", None)]) + '\n{"inp'
    )
    found = agreement(tmp_path / "a", tmp_path / "b")
    assert (found.answers, found.files, found.same_label) == (3, 2, 0.5)
    assert found.largest_change == pytest.approx(0.6)
    assert agreement(tmp_path / "a", tmp_path / "none").files == 0
