"""Figures by source: each held against what it can be held against, per clip and per item; and as a csv_report."""

import csv
import dataclasses
import math
from typing import Any

import pytest
from sklearn.metrics import roc_auc_score

from evaluation import csv_report, page
from evaluation.aggregate import aggregate, decided, measure
from evaluation.outputs import ScoredOutput, scored_outputs
from evaluation.practice import practice
from veracity.calibrate.metrics import MEASURES, Unmeasurable
from veracity.calibrate.scores import ItemScores, LayerScore, ScoredClip
from veracity.catalog import LAYERS
from veracity.decision.calibration import Calibration, Calibrator
from veracity_client.verdict import Label, Span, Thresholds

CALIBRATION = Calibration.read()


def said(number: int, label: int, source: str, chance: float | None, kind: str = "video") -> ScoredClip:
    spans = () if chance is None else (Span(0, 1, chance), Span(1, 2, round(min(1.0, chance + 0.2), 6)))
    layers = {one.key: LayerScore("skipped", "", None) for one in LAYERS}
    layers["1_audio"] = LayerScore(
        "abstained" if chance is None else "scored", "" if spans else "no voice", chance, spans
    )
    called: Label = "inconclusive" if chance is None else "fake" if chance > 0.7 else "real"
    return ScoredClip(str(number), str(number), kind, label, "test", source, "", "by", 1.0, ("audio",),
                layers=layers, fake_probability=chance, predicted_label=called,
                thresholds=Thresholds(0.7, 0.2) if kind == "video" else Thresholds(0.8, None))  # fmt: skip


def subject() -> ScoredOutput:
    return ScoredOutput(
        "1_audio",
        "window",
        lambda one: one.layers["1_audio"].fake_probability,
        lambda one: [span.score for span in one.layers["1_audio"].spans],
        lambda one: one.layers["1_audio"].reason,
    )


CLIPS = [
    said(0, 0, "paired", 0.1), said(1, 0, "paired", 0.6), said(2, 1, "paired", 0.3), said(3, 1, "paired", 0.9),
    said(4, 1, "fakes", 0.4), said(5, 1, "fakes", None), said(6, 0, "sounds", 0.95, "audio"),
]  # fmt: skip


def rows(by: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row[by], row["label"]): row for row in measure(subject(), CLIPS)["by"][by]}


def test_a_source_of_both_labels_is_measured_by_itself_and_one_of_one_label_against_the_rest() -> None:
    found = rows("source")
    assert set(found) == {
        ("paired", "real"),
        ("paired", "fake"),
        ("paired", "both"),
        ("fakes", "fake"),
        ("sounds", "real"),
    }
    own = roc_auc_score([0, 0, 1, 1], [0.1, 0.6, 0.3, 0.9])
    assert found["paired", "both"]["figures"]["auc"]["value"] == pytest.approx(own)
    assert found["paired", "both"]["figures"].keys() == MEASURES.keys()
    rest = roc_auc_score([0, 0, 1], [0.1, 0.6, 0.4])
    assert found["fakes", "fake"]["figures"]["auc"]["value"] == pytest.approx(rest)
    assert "figures" not in found["paired", "fake"]  # no other reals than its own: the row of both has them
    assert found["sounds", "real"]["unmeasurable"] == "all 1 are real: a measure wants both"


def test_what_has_no_score_is_counted_by_source() -> None:
    row = rows("source")["fakes", "fake"]
    assert (row["clips"], row["scored"], row["called"]) == (2, 1, {"real": 1, "no score": 1})
    assert rows("kind")["video", "both"]["called"] == {"real": 3, "fake": 2, "no score": 1}


def test_items_of_a_source_are_counted_and_measured() -> None:
    items = rows("source")["fakes", "fake"]["items"]
    assert (items["real"], items["fake"]) == (0, 2)
    assert items["confusion"] == {"real": {}, "fake": {"real": 1, "fake": 1}}
    truth, chances = [0, 0, 0, 0, 1, 1], [0.1, 0.3, 0.6, 0.8, 0.4, 0.6]
    assert items["figures"]["auc"]["value"] == pytest.approx(roc_auc_score(truth, chances))
    assert measure(subject(), CLIPS)["items"]["confusion"]["real"] == {"real": 2, "fake": 4}


def test_a_silent_layer_calls_nothing_fake_and_has_no_figures() -> None:
    found = measure(subject(), [said(0, 0, "A", 0.5), said(1, 1, "A", 0.5)])
    assert found["confusion"] == {"real": {"neither": 1}, "fake": {"neither": 1}}
    assert found["figures"] is None
    assert found["unmeasurable"] == "it is silent: P(fake) is 0.5 for every clip"
    assert found["by"]["kind"][0]["wrong"] is None


def test_the_sheet_holds_every_figure_once() -> None:
    found = measure(subject(), CLIPS)
    written = list(csv.DictReader(csv_report.write({"as is": {"1_audio": found}}).splitlines()))
    assert len({tuple(row[name] for name in csv_report.HEAD[:9]) for row in written}) == len(written)
    row = next(
        r for r in written if (r["per"], r["group"], r["label"], r["measure"]) == ("item", "fakes", "fake", "auc")
    )
    wanted = rows("source")["fakes", "fake"]["items"]["figures"]["auc"]
    assert {name: float(row[name]) for name in wanted} == wanted
    assert (row["clips"], row["without_score"]) == ("2", "1")


def test_a_group_is_not_taken_for_another_of_the_same_size() -> None:
    """A's fake is of sound and its real one of film: each is held against those of its kind, which are others'."""
    mixed = [said(0, 0, "A", 0.1), said(1, 1, "A", 0.9, "audio"), said(2, 1, "B", 0.8), said(3, 0, "C", 0.2, "audio")]
    found = [row for row in measure(subject(), mixed)["by"]["source"] if row["source"] == "A"]
    assert [row["label"] for row in found if row.get("figures")] == ["real", "fake", "both"]


def test_thresholds_are_those_of_the_verdicts() -> None:
    found = aggregate(CLIPS, CALIBRATION)
    assert found["thresholds"] == {"video": {"fake": 0.7, "real": 0.2}, "audio": {"fake": 0.8, "real": None}}
    assert decided(CLIPS)["inconclusive"]["value"] == pytest.approx(1 / 7, abs=1e-4)
    bad = [dataclasses.replace(CLIPS[0], error="BadVideo: cut short", fake_probability=None)] * 2
    with pytest.raises(Unmeasurable, match="none of 2 clips could be analysed; the first: BadVideo: cut short"):
        aggregate(bad, CALIBRATION)


def page_of(found: list[ScoredClip]) -> str:
    machine = {"cores": 1, "cpu": "<i>"}
    document = {"title": "<u>", "manifest": {"name": "<s>", "sha256": "0", "split": "<q>"}, "through": "local",
                "version": "1", "commit": "c", "date": "d", "machine": machine,
                **aggregate(found, CALIBRATION), "forensic": practice(found, CALIBRATION)}  # fmt: skip
    return page.write(document, found, [subject()])


def test_the_page_of_a_silent_layer_says_so() -> None:
    text = page_of([said(0, 0, "A", 0.5), said(1, 1, "A", 0.5)])
    assert "it is silent: P(fake) is 0.5 for every clip" in text


def test_a_name_out_of_a_manifest_is_no_markup() -> None:
    found = [
        dataclasses.replace(said(n, n, "<b>", chance), how="<how>", cues={"<cue>": chance})
        for n, chance in enumerate((0.1, 0.9))
    ]
    text = page_of(found)
    for tag in ("<b>", "<i>", "<u>", "<s>", "<q>", "<how>", "<cue>"):
        assert tag not in text.replace("<figcaption><b>", "")
        assert tag.replace("<", "&lt;").replace(">", "&gt;") in text


def test_a_models_row_has_the_calibration_of_the_clips_kind_of_file() -> None:
    name, answer = "visual_starter", ItemScores((0.0,), (0.04,), (None,), (1.0,))
    calibration = dataclasses.replace(
        CALIBRATION,
        calibrators={name: Calibrator(math.inf)},
        still_calibrators={name: Calibrator(0.5)},
    )
    layers = {layer.key: LayerScore("scored", "", 0.5) for layer in LAYERS}
    film, still = (
        dataclasses.replace(said(0, 0, "a", 0.5), tracks=tracks, outputs={name: answer}, layers=layers)
        for tracks in (("video", "motion"), ("video",))
    )
    of_model = next(one for one in scored_outputs([film, still], calibration) if one.name == name)
    assert of_model.probability(still) == pytest.approx(1 / (1 + math.exp(-2.0)))
    assert of_model.items(still) == pytest.approx([1 / (1 + math.exp(-2.0))])
    assert of_model.probability(film) == pytest.approx(1 / (1 + math.exp(-1.0)))  # silent there: as it comes
