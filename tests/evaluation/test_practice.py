"""What forensic practice asks, out of scored clips; and the documents' tables of new results and of older ones."""

import csv
import dataclasses
import json
import math
from typing import Any

import pytest

from evaluation import csv_report, practice_tables
from evaluation.aggregate import aggregate
from evaluation.markdown import figure
from evaluation.practice import MEASURES, attacks_of, practice
from evaluation.results import RESULTS
from veracity.calibrate.scores import LayerScore, ScoredClip
from veracity.catalog import LAYERS
from veracity.decision.calibration import Calibration, Fusion
from veracity_client.verdict import Label, Span, Thresholds

ALONE = Fusion(  # the voice by itself convicts from 0.9 on
    sees=dict.fromkeys(("audio", "visual", "lipsync", "semantic"), 1.0),
    strength=1.0,
    reals=99,
    fakes=99,
    thresholds={"balanced": Thresholds(0.7, 0.3)},
    rates={},
)
CALIBRATION = dataclasses.replace(Calibration.read(), fusions={"film": ALONE})


def clip(number: int, label: int, chance: float, **more: Any) -> ScoredClip:
    """A film whose voice says what the verdict says, of one span a second."""
    layers = {layer.key: LayerScore("abstained", "nothing there", None) for layer in LAYERS}
    layers["1_audio"] = LayerScore("scored", "", chance, (Span(0, 1, chance), Span(1, 2, 0.1)))
    word: Label = "fake" if chance > 0.7 else "real" if chance < 0.3 else "inconclusive"
    given: dict[str, Any] = {"source": f"s{number}", "how": "swap" if label else "", "tracks": ("audio", "video"),
                             "kind": "video", **more}  # fmt: skip
    return ScoredClip(
        id=str(number), path=str(number), label=label, split="test", by="by", seconds=2.0, layers=layers,
        fake_probability=chance, predicted_label=word, thresholds=Thresholds(0.7, 0.3), **given,
    )  # fmt: skip


REALS, FAKES = (0.05, 0.2, 0.4, 0.6, 0.95), (0.1, 0.45, 0.8, 0.92, 0.99)
CLIPS = [clip(n, n >= 5, chance) for n, chance in enumerate((*REALS, *FAKES))]
FOUND = practice(CLIPS, CALIBRATION)


def test_the_measures_are_of_the_log_odds_of_all_clips() -> None:
    assert list(FOUND["measures"]) == ["verdict", *(layer.key for layer in LAYERS)]
    (row,) = FOUND["measures"]["verdict"]  # of one kind of file alone
    assert (row["kind"], row["real"], row["fake"], row["sources"]) == ("all", 5, 5, 10)
    lost = [-math.log2(1 - p) for p in REALS] + [-math.log2(p) for p in FAKES]
    assert row["figures"]["cllr"]["value"] == pytest.approx(sum(lost) / 10, abs=1e-4)
    assert row["figures"]["misleading_to_fake"]["value"] == 0.4
    assert row["figures"].keys() == MEASURES.keys()
    assert row["figures"]["tpr_at_1_fpr"] is None
    assert row["unsupported"]["tpr_at_1_fpr"] == "takes 100 reals, and 5 are there"
    assert row["by_source"]["figures"]["cllr"] == row["figures"]["cllr"]  # each clip is a source
    silent = FOUND["measures"]["2_visual"]
    assert silent[0]["figures"] is None


def test_few_sources_are_not_resampled_and_people_count_as_sources() -> None:
    alike = [dataclasses.replace(one, source="one") for one in CLIPS]
    (row,) = practice(alike, CALIBRATION)["measures"]["verdict"]
    assert row["by_source"]["unmeasurable"] == "takes 5 sources of reals and of fakes: 1 and 1"
    people = [dataclasses.replace(one, person=one.id) for one in alike]
    (row,) = practice(people, CALIBRATION)["measures"]["verdict"]
    assert row["sources"] == 10
    assert row["by_source"]["figures"]


def test_rates_by_kind_of_attack_are_those_of_an_older_results_groups() -> None:
    rates = FOUND["attacks"]["verdict"]
    assert rates["apcer_max"]["how"] == "swap"
    assert [rates["kinds"][0][name]["value"] for name in ("recall", "apcer", "apnrr")] == [0.6, 0.2, 0.2]
    assert (rates["bpcer"]["value"], rates["bpnrr"]["value"]) == (0.2, 0.4)
    assert attacks_of(aggregate(CLIPS, CALIBRATION)["subjects"]["verdict"]) == rates


def test_only_films_with_sound_are_settled_early() -> None:
    early = FOUND["fail_fast"]
    assert (early["films"], early["clips"], early["wrong"]["value"]) == (10, 3, pytest.approx(1 / 3, abs=1e-4))
    sounds = [dataclasses.replace(one, tracks=("audio",)) for one in CLIPS]
    assert practice(sounds, CALIBRATION)["fail_fast"] is None
    assert practice(CLIPS, dataclasses.replace(CALIBRATION, fusions={}))["fail_fast"] is None


def test_fake_seconds_are_of_clips_that_state_them_and_of_reals() -> None:
    assert FOUND["segments"] is None
    some = [dataclasses.replace(one, fake_seconds=((0.0, 1.0),)) if one.id in "78" else one for one in CLIPS]
    found = practice(some, CALIBRATION)["segments"]
    assert (found["real"], found["fake"], found["spans"]) == (5, 2, 2)
    # The real at 0.95 comes before the hits at 0.92 and 0.8: precision 0, 1/2, 2/3.
    assert found["layers"]["1_audio"] == dict.fromkeys(("ap_0.5", "ap_0.75", "ap_0.9", "ap_0.95"), 0.6667)
    assert found["layers"]["2_visual"]["ap_0.5"] == 0


def test_people_are_of_clips_that_state_where_they_are() -> None:
    assert FOUND["persons"] is None
    one = dataclasses.replace(CLIPS[9], places=((0.0, 0.5), (0.5, 1.0)))
    assert practice([*CLIPS, one], CALIBRATION)["persons"]["films"] == {"real": 0, "fake": 1}


def test_a_shortcut_stands_beside_the_verdict_on_the_same_clips() -> None:
    (none,) = FOUND["shortcuts"]
    assert none["unmeasurable"] == "no cues were recorded with these scores"
    told = [dataclasses.replace(one, cues={"codec": "aac" if one.label else "mp3", "width": 1.0}) for one in CLIPS]
    (of,) = practice(told, CALIBRATION)["shortcuts"]
    assert (of["kind"], of["real"], of["fake"]) == ("video", 5, 5)
    assert of["verdict"]["value"] == aggregate(CLIPS, CALIBRATION)["subjects"]["verdict"]["figures"]["auc"]["value"]
    assert [(row["cue"], row["auc"]["value"], row["beats"]) for row in of["rows"]] == [
        ("codec", 1.0, True),
        ("width", 0.5, False),
    ]
    assert of["rows"][1]["spearman"] == {"real": None, "fake": None}


def test_the_sheet_has_the_measures() -> None:
    subjects = aggregate(CLIPS, CALIBRATION)["subjects"]
    written = list(csv.DictReader(csv_report.write({"as is": subjects}, FOUND).splitlines()))
    assert len({tuple(row[name] for name in csv_report.HEAD[:9]) for row in written}) == len(written)
    (row,) = (row for row in written if (row["subject"], row["measure"]) == ("verdict", "cllr"))
    cllr = FOUND["measures"]["verdict"][0]["figures"]["cllr"]
    assert [float(row[name]) for name in ("value", "low", "high")] == list(cllr.values())
    assert not [row for row in written if row["measure"] == "tpr_at_1_fpr"]


def test_the_documents_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [
        dataclasses.replace(one, cues={"loudness": float(one.id)}, fake_seconds=((0.0, 1.0),) * one.label)
        for one in CLIPS
    ]
    document = json.loads((RESULTS / "accuracy.json").read_text())
    document |= aggregate(told, CALIBRATION) | {"forensic": practice(told, CALIBRATION)}
    monkeypatch.setattr(practice_tables, "load", lambda _name: document)
    cllr = figure(FOUND["measures"]["verdict"][0]["figures"]["cllr"])
    assert f"| all together | 5 + 5 | {cllr} |" in practice_tables.measures()
    assert "| swap | 5 | 60 %" in practice_tables.attacks()
    assert "would settle 3 of 10 films" in practice_tables.early()
    assert "| voice | 0.50 | 0.50 | 0.50 | 0.50 |" in practice_tables.segments()
    shown = practice_tables.shortcuts()
    assert "| films | 10 | loudness | more | 1.00 [1.00, 1.00] | 0.68 [" in shown
    assert "] | yes | +1.00 | +1.00 |" in shown
    del document["forensic"]
    for text in (practice_tables.measures, practice_tables.early, practice_tables.segments, practice_tables.shortcuts):
        assert "is older than these measures; the next `python -m benchmarks accuracy` records them" in text()
    assert "| swap | 5 | 60 %" in practice_tables.attacks()
