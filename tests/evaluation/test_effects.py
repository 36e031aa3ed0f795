"""Each repair undone on clips where it must matter, and the table says so."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation import effects_table, record
from evaluation.effects import AS_IT_IS, Models, Scored, by_faces, effects, figures, outcomes
from evaluation.manifest import Clip
from evaluation.repairs import NOT_UNDONE, REPAIRS, Repair, Rows, Steps, mean_odds, worst_face
from training.__main__ import main
from veracity.calibrate import labelled_outputs, scores
from veracity.calibrate.fusion_fit import Table
from veracity.calibrate.scores import ItemScores, ScoredClip, ScoreFile
from veracity.catalog import LAYERS
from veracity.catalog.layers import FileKind
from veracity.catalog.profiles import PROFILES

MODELS: Models = {layer.name: [name for name, _ in PROFILES["starter"][layer.name]] for layer in LAYERS}
VOICE, FACES, PICTURE, STILL = "audio_starter", "visual_starter", "semantic_starter", "semantic_texture_starter"
TRACKS: dict[FileKind, tuple[str, ...]] = {
    "sound": ("audio",), "still": ("video",), "film": ("audio", "video", "motion")
}  # fmt: skip
MANIFEST: dict[FileKind, str] = {"sound": "audio", "still": "images", "film": "video"}
Told = dict[str, Any]


def clip(
    kind: FileKind, number: int, fake: bool, source: str, logits: Mapping[str, Sequence[Sequence[float]]],
    how: str = "", cues: dict[str, float | str] | None = None, width: float | None = None,
) -> ScoredClip:  # fmt: skip
    """``logits`` are each model's, by faces; the items of a face follow each other, a second each, as wide as said."""
    about = scores.about(
        Clip(Path(f"{kind} {number}"), MANIFEST[kind], "fake" if fake else "real", source, "", "CC0", how), Path()
    )
    answers = {
        model: ItemScores(
            start=tuple(float(k) for own in faces for k in range(len(own))),
            end=tuple(k + 1.0 for own in faces for k in range(len(own))),
            face=tuple(face if len(faces) > 1 else None for face, own in enumerate(faces) for _ in own),
            logits=tuple(x for own in faces for x in own),
            width=None if width is None else tuple(width for own in faces for _ in own),
        )
        for model, faces in logits.items()
    }
    given = {**about, "id": f"{kind} {number}", "split": "train"}
    return ScoredClip(**given, by="t", tracks=TRACKS[kind], outputs=answers, cues=cues or {})


def drawn(gap: float, seed: int = 0, clips: int = 400) -> list[tuple[int, bool, float]]:
    """Reals first, then as many fakes: a number, whether fake, and a logit that lies ``gap`` beyond 0 on average."""
    rng = np.random.default_rng(seed)
    return [(k, k >= clips // 2, float(rng.normal(gap if k >= clips // 2 else -gap, 1.5))) for k in range(clips)]


def source(number: int, sources: int = 20) -> str:
    return f"source {number % sources}"


def one_camera_looks_fake() -> list[ScoredClip]:
    return [
        clip("sound", k, fake, source(k, 10), {VOICE: [[4.0 if k % 10 == 3 and not fake and k % 20 < 10 else x]]})
        for k, fake, x in drawn(2.5)
    ]


def others_fakes_look_real() -> list[ScoredClip]:
    """Fakes of our own score high; some of the others' score as reals do."""
    told = [(k, fake, -3.0 if fake and k % 4 == 0 else x) for k, fake, x in drawn(3.0)]
    return [
        clip("film", k, fake, source(k), {FACES: [[x]], PICTURE: [[x]]}, "own reenact" if k % 2 else "reenact")
        for k, fake, x in told
    ]


def stills(swaps: Callable[[float], float], which: int = 10) -> list[ScoredClip]:
    """Generated pictures, and every so many of them a swapped face instead, which scores as ``swaps`` says."""
    swapped = [fake and which > 0 and k % which == 0 for k, fake, _ in drawn(3.0)]
    return [
        clip("still", k, fake, source(k), {STILL: [[swaps(x) if swap else x]]}, "swap" if swap else "generated")
        for (k, fake, x), swap in zip(drawn(3.0), swapped)
    ]


def crowds() -> list[ScoredClip]:
    """Fakes of one face, and real films of one to six, each face a little different."""
    rng = np.random.default_rng(0)
    others = [rng.normal(-1.5, 2.0, 0 if fake else k % 6).tolist() for k, fake, _ in drawn(1.5)]
    return [
        clip("film", k, fake, source(k, 8), {FACES: [[face, face] for face in (x, *more)]}, "swap")
        for (k, fake, x), more in zip(drawn(1.5), others)
    ]


def two_witnesses() -> list[ScoredClip]:
    """Faces and pictures, each wrong as often as the other, and seldom together."""
    again = drawn(1.0, seed=1)
    return [
        clip("film", k, fake, source(k, 8), {FACES: [[x]], PICTURE: [[y]]}, "reenact")
        for (k, fake, x), (_, _, y) in zip(drawn(1.0), again)
    ]


def one_witness_and_a_guesser() -> list[ScoredClip]:
    """What is fake to the pictures in five sources is real to them in the other three."""
    guesses = [y + (3 if fake == (k % 8 < 5) else -3) for k, fake, y in drawn(0.0, seed=1, clips=160)]
    return [
        clip("film", k, fake, source(k, 8), {FACES: [[x]], PICTURE: [[y]]}, "reenact")
        for (k, fake, x), y in zip(drawn(1.5, clips=160), guesses)
    ]


def wide_faces() -> list[ScoredClip]:
    """Faces of all widths in every source; the wider, the higher the score, whatever the label."""
    octaves = np.random.default_rng(2).uniform(-3, 3, 400)
    return [
        clip("film", k, fake, source(k), {FACES: [[x + 1.5 * octave]]}, "swap", width=float(128 * 2**octave))
        for (k, fake, x), octave in zip(drawn(1.5), octaves.tolist())
    ]


def one_codec_of_its_own() -> list[ScoredClip]:
    return [
        clip("sound", k, fake, source(k), {VOICE: [[x]]}, cues={"audio_codec": "amr_nb" if k % 20 == 3 else "flac"})
        for k, fake, x in drawn(4.0)
    ]


def fake_seconds() -> list[ScoredClip]:
    """Every 25th fake is so for two windows of thirty."""
    return [
        clip("sound", k, fake, source(k), {VOICE: [[9.0, 9.0] + [-6.0] * 28 if fake and k % 25 == 0 else [x] * 30]})
        for k, fake, x in drawn(4.0)
    ]


def films_with_false_voices() -> list[ScoredClip]:
    """Sounds that the voice tells apart well; fakes of machine voices in films, of too few sources for a threshold."""
    sounds = [clip("sound", k, fake, source(k), {VOICE: [[x]]}) for k, fake, x in drawn(4.0)]
    films = [
        clip("film", k, fake, source(k, 2), {FACES: [[x]], VOICE: [[6.0 if fake else -3.0]]}, "own machine voice")
        for k, fake, x in drawn(0.0, clips=80)
    ]
    return [*sounds, *films]


def more(name: str) -> Callable[[Told, Told], bool]:
    return lambda now, before: before[name] > now[name]


def less(name: str) -> Callable[[Told, Told], bool]:
    return lambda now, before: before[name] < now[name]


# what is done without the repair → the kind of file, its clips, and whether the change is the one that was repaired
CASES: dict[str, tuple[FileKind, Callable[[], list[ScoredClip]], Callable[[Told, Told], bool]]] = {
    "the quantile of all clips together": ("sound", one_camera_looks_fake, more("real_called_fake")),
    "the quantile of the real clips and of our own fakes": ("film", others_fakes_look_real, more("fake_called_real")),
    "all kinds of fake together": ("still", lambda: stills(lambda x: -4.0), more("worst_kind")),
    "what was not measured does not matter": ("still", lambda: stills(abs, which=0), less("inconclusive")),
    "the maximum over faces": ("film", crowds, less("auc")),
    "the weighted average of the layers' odds": ("film", two_witnesses, less("auc")),
    "a still picture's lips are missing evidence": ("still", lambda: stills(abs), more("inconclusive")),
    "it counts with its fitted temperature": ("film", one_witness_and_a_guesser, less("auc")),
    "it stays in the score": ("film", wide_faces, less("auc")),
    "it gets one": ("sound", one_codec_of_its_own, less("inconclusive")),
    "the whole decides": ("sound", fake_seconds, more("fake_called_real")),
    "the layers together decide": ("film", films_with_false_voices, more("inconclusive")),
}


def written(folder: Path, clips: Sequence[ScoredClip]) -> Path:
    with ScoreFile(folder / "scores.jsonl") as file:
        for one in clips:
            file.add(one)
    return folder / "scores.jsonl"


def read(folder: Path, clips: Sequence[ScoredClip]) -> Rows:
    return labelled_outputs.read([written(folder, clips)])


def told(found: Told) -> Told:
    return {**found["points"]["screening"], "auc": found["auc"]["value"]}


def test_every_repair_has_its_case() -> None:
    assert [repair.without for repair in REPAIRS] == list(CASES)


@pytest.mark.parametrize("repair", REPAIRS, ids=lambda repair: repair.without)
def test_without_a_repair_the_fault_is_back(tmp_path: Path, repair: Repair) -> None:
    kind, clips, worse = CASES[repair.without]
    rows = read(tmp_path, clips())
    product = outcomes(Scored.of(rows, MODELS), Steps(), [kind])[kind]
    undone = outcomes(Scored.of(repair.steps.rows(rows), MODELS), repair.steps, [kind])[kind]
    now, before = told(figures(product, product)), told(figures(undone, product))
    assert worse(now, before), (now, before)
    assert before["changed"] > 0 or before["auc"] != now["auc"]
    assert kind in repair.kinds


def test_more_faces_are_more_suspicious_with_the_maximum_alone(tmp_path: Path) -> None:
    rows = read(tmp_path, crowds())
    films = {row.id: 1 + int(row.id.split()[1]) % 6 for row in rows if not row.fake}
    now = by_faces(Scored.of(rows, MODELS), films, "")
    before = by_faces(Scored.of(worst_face(rows), MODELS), films, "")
    assert now["films"] == before["films"] == 200
    assert before["correlation"] > now["correlation"] + 0.2
    assert before["several"] - before["one"] > now["several"] - now["one"] + 0.1


def test_a_layer_that_was_never_asked_dilutes_no_average() -> None:
    scores = np.full((40, len(LAYERS)), np.nan)
    scores[:, -1] = np.linspace(0.1, 0.9, 40)
    data = Table(scores, np.ones(scores.shape, bool), np.arange(40) >= 20, np.arange(40) % 5)
    assert mean_odds(data, np.array([False, True, False, True]))[0] == pytest.approx(scores[:, -1])


def test_the_command_counts_every_kind_of_file_and_every_repair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = written(tmp_path, [*films_with_false_voices(), *stills(lambda x: -4.0)])
    assert main(["effects", str(given), "--out", str(tmp_path)]) == 0
    document = json.loads((tmp_path / "effects.json").read_text())
    assert set(document["models"]) == {VOICE, FACES, STILL}
    for kind in ("sound", "still", "film"):
        rows = [row for row in document["rows"] if row["kind"] == kind]
        wanted = [AS_IT_IS, *(repair.name for repair in REPAIRS if kind in repair.kinds)]
        assert [row["repair"] for row in rows] == wanted
        assert {row["real"] for row in rows} == {40 if kind == "film" else 200}
    assert f"still | {AS_IT_IS} | AUC 0.9" in capsys.readouterr().out


def test_the_table_says_where_a_repair_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, faces = effects(read(tmp_path, stills(lambda x: -4.0)), MODELS)
    document = record.document("effects", {"models": {}, "rows": rows, "faces": faces, "not_undone": NOT_UNDONE})
    monkeypatch.setattr(effects_table, "load", lambda name: document)
    lines = {cells[2]: cells for line in effects_table.effects().splitlines() if len(cells := line.split(" | ")) > 2}
    assert set(lines["the maximum over faces"][3:-1]) == {"same"}
    assert lines["all kinds of fake together"][3] == lines[""][3]  # the AUC, which no threshold changes
    assert lines["all kinds of fake together"][-2] == "100 %"  # of the swapped faces are called real
    assert lines[""][-2] == "0 %"
    assert any("not recorded" in cells for cells in lines.values())


def test_clips_of_one_label_tell_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reals = [one for one in stills(abs) if not one.label]
    assert main(["effects", str(written(tmp_path, reals)), "--out", str(tmp_path)]) == 1
    assert "no kind of file has both real and fake clips" in capsys.readouterr().err
    assert not (tmp_path / "effects.json").exists()
