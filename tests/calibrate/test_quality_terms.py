"""What quality explains of a score is found within sources and taken off, and left where that helps nothing."""

import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from veracity.calibrate import statements, toml_tables
from veracity.calibrate.fit import MOST, Fitted, fit, follows, held_out, labels, log_loss, platt, pooled, quality_terms
from veracity.calibrate.labelled_outputs import LabelledClip
from veracity.catalog import LAYERS
from veracity.decision.calibration import FILE, Calibration, Calibrator
from veracity.decision.quality import QualityTerm, taken_off
from veracity.decision.scoring import score_layer
from veracity.decision.toml_table import CalibrationError
from veracity.evidence.requests import ModelOutput, Sample

FACES, PICTURES = "visual_starter", "semantic_starter"
FILM = ("audio", "video", "motion")


def output(model: str, logit: float, width: float | None = None, fineness: float | None = None) -> ModelOutput:
    item = Sample(0.0, 1.0, np.empty(0), 1 if width else None, width, fineness=fineness)
    return ModelOutput(model, (item,), np.array([logit], np.float32))


def films(slope: float, source_shift: float = 0.0, seed: int = 0) -> list[LabelledClip]:
    """Films of ten sources, each at its own width and within an octave of it: a fake's logit is 2 over a real one's.

    ``slope`` is what a face twice as wide gets, ``source_shift`` what each next source gets as a whole.
    """
    rng = np.random.default_rng(seed)
    found = []
    for k in range(200):
        source, fake = k % 10, k // 10 % 2 == 1
        octave = 6 + source / 5 + rng.uniform(-1.5, 1.5)
        logit = 2 * fake + slope * (octave - 7) + source_shift * (source - 4.5) + rng.normal(0, 1)
        answers = {FACES: output(FACES, logit, width=2**octave)}
        found.append(LabelledClip(str(k), "video", fake, f"source {source}", "", FILM, answers))
    return found


@pytest.mark.parametrize("slope", [1.5, -1.5])
def test_what_width_explains_comes_back_whatever_the_sources_are(slope: float) -> None:
    (term,) = quality_terms(films(slope, source_shift=0.8), FACES, ["width"])
    assert term.slope == pytest.approx(slope, abs=0.25)
    assert 4 < term.low < 6 < term.middle < 8 < term.high < 10


def test_a_fit_takes_it_off_and_separates_better() -> None:
    rows = films(1.5)
    with_it, without = fit(rows, FACES), fit(rows, FACES, cues=())
    assert [term.cue for term in with_it.calibrator.quality] == ["width"]
    assert without.calibrator.quality == ()
    assert with_it.auc.low > without.auc.value
    assert with_it.gain > without.gain


def test_a_cue_that_explains_nothing_changes_little() -> None:
    """Noise may be kept or not: what it is worth is next to nothing."""
    rows = films(0.0)
    fitted, without = fit(rows, FACES), fit(rows, FACES, cues=())
    assert fitted.gain >= without.gain
    assert fitted.auc.value == pytest.approx(without.auc.value, abs=0.02)


def test_what_holds_in_some_sources_and_not_in_others_is_no_term() -> None:
    """Half of the sources go up with width, half down."""
    rows = [row for row in films(2.0, seed=1) if int(row.source[-1]) % 2]
    rows += [row for row in films(-2.0, seed=2) if not int(row.source[-1]) % 2]
    (term,) = quality_terms(rows, FACES, ["width"])
    assert abs(term.slope) < 0.5
    assert fit(rows, FACES).calibrator.quality == ()


def by_two_cues(trade: float) -> list[LabelledClip]:
    """Pictures whose logit goes up with width, and by ``trade`` of it down with fineness, wide ones being finer."""
    rng, found = np.random.default_rng(5), []
    for k in range(400):
        source, fake = k % 10, k // 10 % 2 == 1
        octave, shift = 6 + rng.uniform(-1.5, 1.5), rng.normal(0, 0.7)
        logit = 2 * fake + 1.5 * (octave - 6) - trade * (octave - 6 + shift) + rng.normal(0, 1)
        answer = output(PICTURES, logit, width=2**octave, fineness=octave - 6 + shift)
        found.append(LabelledClip(str(k), "video", fake, f"source {source}", "", FILM, {PICTURES: answer}))
    return found


def test_two_cues_are_told_apart_and_both_taken_off() -> None:
    rows = by_two_cues(trade=1.0)
    fitted = fit(rows, PICTURES)
    slopes = {term.cue: term.slope for term in fitted.calibrator.quality}
    assert slopes == {"width": pytest.approx(1.5, abs=0.3), "fineness": pytest.approx(-1.0, abs=0.3)}
    assert follows(rows, PICTURES, fit(rows, PICTURES, cues=()).calibrator, ["width", "fineness"]) > MOST
    assert follows(rows, PICTURES, fitted.calibrator, ["width", "fineness"]) < MOST


def test_no_gain_is_worth_a_score_that_goes_with_quality() -> None:
    """Fakes of each source are a little wider, so that width by itself tells them: it is taken off all the same."""
    rng, rows = np.random.default_rng(6), []
    for k in range(400):
        source, fake = k % 10, k // 10 % 2 == 1
        octave = 6 + 0.5 * fake + rng.uniform(-1.5, 1.5)
        answer = output(FACES, 0.5 * fake + 0.6 * (octave - 6) + rng.normal(0, 1), width=2**octave)
        rows.append(LabelledClip(str(k), "video", fake, f"source {source}", "", FILM, {FACES: answer}))
    without = fit(rows, FACES, cues=())
    fitted = fit(rows, FACES)
    assert without.gain > fitted.gain
    assert (
        follows(rows, FACES, without.calibrator, ["width"]) > MOST > follows(rows, FACES, fitted.calibrator, ["width"])
    )


def test_where_no_choice_frees_a_score_the_log_loss_decides() -> None:
    """Reals go up with width and fakes down: no slope serves both, and the one that moves both least costs more."""
    rows = [row for row in films(2.0, seed=1) if not row.fake] + [row for row in films(-1.0, seed=2) if row.fake]
    without, with_it = (follows(rows, FACES, platt(rows, FACES, chosen), ["width"]) for chosen in ((), ("width",)))
    assert MOST < with_it < without
    losses = [log_loss(labels(rows), held_out(rows, FACES, chosen)) for chosen in ((), ("width",))]
    assert losses[0] < losses[1]
    assert fit(rows, FACES).calibrator.quality == ()


def test_with_few_of_a_label_nobody_can_tell_what_a_score_follows() -> None:
    rows = films(2.0)
    reals = [row for row in rows if not row.fake]
    assert MOST < follows(rows, FACES, Calibrator(), ["width"]) < 1
    assert follows(reals + [row for row in rows if row.fake][:49], FACES, Calibrator(), ["width"]) == np.inf


def test_clips_that_lack_a_cue_move_no_slope() -> None:
    """As of score files that were made before samples of both kinds had both cues."""
    rows = by_two_cues(trade=1.0)
    lacking = [
        replace(row, id=f"old {row.id}", outputs={PICTURES: output(PICTURES, 9.0, fineness=5.0)}) for row in rows[:40]
    ]
    assert quality_terms([*rows, *lacking], PICTURES, ["width", "fineness"]) == quality_terms(
        rows, PICTURES, ["width", "fineness"]
    )


def few(count: int) -> list[LabelledClip]:
    return films(1.0)[:count]


@pytest.mark.parametrize(
    "rows",
    [
        few(30),
        [replace(row, source=row.id) for row in few(200)],
        [replace(row, outputs={FACES: output(FACES, 1.0, width=128.0)}) for row in few(200)],
        [replace(row, outputs={FACES: output(FACES, 1.0)}) for row in few(200)],
    ],
    ids=["too few", "each a source of its own", "all of one width", "of unknown width"],
)
def test_where_it_cannot_be_told_there_is_no_term(rows: Sequence[LabelledClip]) -> None:
    assert quality_terms(rows, FACES, ["width"]) == ()


def test_every_sample_is_brought_to_the_middle_and_no_further_than_was_measured() -> None:
    term = QualityTerm("width", slope=0.5, middle=7.0, low=5.0, high=9.0)
    for width, wanted in [(128, 1.0), (256, 0.5), (64, 1.5), (512, 0.0), (8192, 0.0), (2, 2.0)]:
        assert taken_off([term], output(FACES, 1.0, width=width)).logits == pytest.approx([wanted])
    assert taken_off([term], output(FACES, 1.0)).logits == pytest.approx([1.0])


def test_a_fit_and_the_verdict_pool_alike(tmp_path: Path) -> None:
    """The fit's own table, read back: P(fake) of the verdict is that of the fit, for faces and for whole pictures."""
    for model, cue in ((FACES, "width"), (PICTURES, "fineness")):
        rows = films(1.5) if model == FACES else pictures()
        fitted = fit(rows, model)
        assert [term.cue for term in fitted.calibrator.quality] == [cue]
        read_back = written(tmp_path / "calibration.toml", fitted)
        layer = next(one for one in LAYERS if one.name == ("visual" if model == FACES else "semantic"))
        wanted = pooled(rows[:20], model, fitted.calibrator)
        for row, chance in zip(rows, wanted):
            given = score_layer(layer, [(row.outputs[model], 1.0)], read_back, ())
            assert given.result.fake_probability == pytest.approx(chance, abs=2e-3)  # the file has four places
        assert "quality taken off" in read_back.measurement(model)


def pictures() -> list[LabelledClip]:
    found = []
    for row in films(1.5):
        (octave,) = np.log2([item.width or 1 for item in row.outputs[FACES].items])
        logit = float(row.outputs[FACES].logits[0])
        found.append(replace(row, outputs={PICTURES: output(PICTURES, logit, fineness=octave / 2)}))
    return found


def written(path: Path, fitted: Fitted) -> Calibration:
    table = {
        **statements.model_table(fitted, (), "0" * 64),
        **statements.scale(fitted, datetime.date(2026, 11, 30)),
    }
    return toml_tables.replace(path, {f"models.{fitted.model}": table}, FILE)


@pytest.mark.parametrize(
    ("quality", "said"),
    [
        (
            '[{ cue = "beauty", slope = 1.0, middle = 0.0, within = [0.0, 1.0] }]',
            "cue of [models.visual_starter.quality]",
        ),
        ('[{ cue = "width", middle = 0.0, within = [0.0, 1.0] }]', "slope of [models.visual_starter.quality]"),
        (
            '[{ cue = "width", slope = 1.0, middle = 0.0, within = [1.0, 0.0] }]',
            "within of [models.visual_starter.qual",
        ),
        (
            '{ cue = "width", slope = 1.0, middle = 0.0, within = [0.0, 1.0] }',
            "quality of [models.visual_starter] must be",
        ),
    ],
)
def test_a_term_that_is_none_is_refused(quality: str, said: str) -> None:
    text = FILE.read_text(encoding="utf-8")
    header = "[models.visual_starter]"
    with pytest.raises(CalibrationError) as refused:
        Calibration.parsed(text.replace(f"{header}\n", f"{header}\nquality = {quality}\n"))
    assert said in refused.value.message


def test_without_a_term_a_calibrator_leaves_outputs_alone() -> None:
    given = output(FACES, 1.0, width=64.0)
    assert Calibrator().of_quality_alike(given) is given
