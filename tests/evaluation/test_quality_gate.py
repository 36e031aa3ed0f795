"""A score that follows quality within a label is refused; one that follows the label alone is not."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evaluation.manifest import Clip
from evaluation.quality_gate import FEWEST_PAIRS
from training.__main__ import main
from veracity.calibrate import scores
from veracity.calibrate.fit import FEWEST
from veracity.calibrate.scores import ItemScores, ScoredClip, ScoreFile


def written(path: Path, clips: int, logit: Callable[[bool, float], float], apart: float = 0.0) -> Path:
    """Still pictures of both labels and ten sources, and one answer to each.

    Their fineness is drawn at random; each next source is finer by ``apart``, and as much higher its answers are.
    """
    rng = np.random.default_rng(0)
    with ScoreFile(path) as file:
        for number in range(2 * clips):
            fake, fine, shift = number % 2 == 1, float(rng.uniform(1, 3)), apart * (number // 2 % 10)
            clip = Clip(
                path.parent / f"{number}.png", "images", "fake" if fake else "real", f"s{number // 2 % 10}", "", "CC0"
            )
            about = {**scores.about(clip, path.parent), "split": "train"}
            answer = ItemScores((0.0,), (0.04,), (None,), (logit(fake, fine) + shift + float(rng.normal(0, 0.5)),))
            cues: dict[str, float | str] = {"fineness": fine + shift, "container": "png_pipe"}
            file.add(
                ScoredClip(**about, by="t", tracks=("video",), outputs={"semantic_texture_starter": answer}, cues=cues)
            )
    return path


def test_a_score_that_follows_fineness_is_named_and_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = written(tmp_path / "scores.jsonl", 2 * FEWEST, lambda fake, fine: 2 * fine + 2 * fake)
    assert main(["gate", str(given), "--out", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "semantic_texture_starter (still, real) follows fineness +0.9" in said.err
    assert said.out.count("TOO MUCH") == 2
    rows = json.loads((tmp_path / "quality_gate_still.json").read_text())["rows"]
    assert {(row["label"], row["clips"]) for row in rows} == {("real", 2 * FEWEST), ("fake", 2 * FEWEST)}


def test_a_score_that_separates_nothing_is_shown_and_not_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is silenced, so that nothing follows anything."""
    given = written(tmp_path / "scores.jsonl", 2 * FEWEST, lambda fake, fine: 2 * fine)
    assert main(["gate", str(given), "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count(" silent\n") == 2


def test_what_differs_between_sources_alone_passes(tmp_path: Path) -> None:
    """Finer sources have higher scores, for whatever reason; within each the score does not follow."""
    given = written(tmp_path / "scores.jsonl", 2 * FEWEST, lambda fake, fine: 4 * fake, apart=0.5)
    assert main(["gate", str(given), "--out", str(tmp_path)]) == 0
    (row,) = [
        one for one in json.loads((tmp_path / "quality_gate_still.json").read_text())["rows"] if one["label"] == "real"
    ]
    assert row["correlation"] > 0.5 > 0.2 > abs(row["within"])


def test_a_score_that_follows_the_label_passes(tmp_path: Path) -> None:
    given = written(tmp_path / "scores.jsonl", 2 * FEWEST, lambda fake, fine: 4 * fake)
    assert main(["gate", str(given), "--out", str(tmp_path)]) == 0


def test_too_few_clips_are_not_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = written(tmp_path / "scores.jsonl", FEWEST - 1, lambda fake, fine: 2 * fine)
    assert main(["gate", str(given), "--out", str(tmp_path)]) == 1
    assert f"no model has {FEWEST} clips of a label with cues" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.json"))


def with_copies(path: Path, clips: int, moves: float) -> Path:
    """Still pictures of both labels, each with a copy that is coarser by a random amount.

    What they show makes some finer and others higher, without regard to each other. A copy's answer differs by
    ``moves`` a unit of fineness.
    """
    rng = np.random.default_rng(0)
    with ScoreFile(path) as file:
        for number in range(2 * clips):
            fake, coarser, shown = number % 2 == 1, float(rng.uniform(0.2, 2)), float(rng.normal(0, 4))
            whole = float(rng.uniform(3, 4))
            for copy in (False, True):
                name, original = f"{number}{'-copy' * copy}.png", f"{number}.png" * copy
                clip = Clip(path.parent / name, "images", "fake" if fake else "real", f"s{number // 2 % 10}", "", "CC0",
                            name=name, original=original)  # fmt: skip
                logit = 12 * fake + shown - moves * coarser * copy + float(rng.normal(0, 0.02))
                answer = ItemScores((0.0,), (0.04,), (None,), (logit,))
                about = {**scores.about(clip, path.parent), "split": "train"}
                file.add(ScoredClip(**about, by="t", tracks=("video",), outputs={"semantic_texture_starter": answer},
                                    cues={"fineness": whole - coarser * copy}))  # fmt: skip
    return path


def test_a_score_that_moves_with_a_copys_quality_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What pictures show hides it from the correlation over clips."""
    given = with_copies(tmp_path / "scores.jsonl", 4 * FEWEST, moves=0.3)
    assert main(["gate", str(given), "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "(still, real) moves with fineness +0.9" in said
    assert "follows" not in said
    rows = json.loads((tmp_path / "quality_gate_still.json").read_text())["pairs"]
    assert [(row["label"], row["pairs"]) for row in rows] == [("real", 4 * FEWEST), ("fake", 4 * FEWEST)]


def test_a_score_that_a_copy_does_not_move_passes(tmp_path: Path) -> None:
    given = with_copies(tmp_path / "scores.jsonl", FEWEST, moves=0.0)
    assert main(["gate", str(given), "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "quality_gate_still.json").read_text())["pairs"]
    assert [row["pairs"] for row in rows] == [FEWEST, FEWEST]


def test_few_pairs_are_shown_and_not_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = with_copies(tmp_path / "scores.jsonl", FEWEST_PAIRS, moves=0.3)
    assert main(["gate", str(given), "--out", str(tmp_path)]) == 0
    assert f"fineness {FEWEST_PAIRS} pairs +0.9" in capsys.readouterr().out
