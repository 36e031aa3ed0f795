"""Which of several people is fake, counted by hand; and the table of it."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import pytest

from evaluation import practice_tables
from evaluation.persons import people_of, persons
from evaluation.results import RESULTS
from veracity.calibrate.scores import FaceScore, ItemScores, ScoredClip
from veracity.decision.calibration import Calibration

CALIBRATION = Calibration.read()


def film(name: str, chances: Sequence[float | None], fake: int | None = None, **more: Any) -> ScoredClip:
    """People side by side with a P(fake) each, of whom one is fake, or none."""
    count = len(chances)
    places = tuple((k / count, (k + 1) / count) for k in range(count))
    faces = tuple(FaceScore(k + 1, (k + 0.5) / count, 9, chance) for k, chance in enumerate(chances))
    about: dict[str, Any] = {
        "source": name[0], "places": places, "fake_person": () if fake is None else (places[fake],), "faces": faces,
        "fake_probability": 0.4 if fake is None else 0.6,
    } | more  # fmt: skip
    return ScoredClip(name, name, "video", int(fake is not None), "test", how="", by="by", **about)


A, B, C = film("a", (0.9, 0.2), 0), film("b", (0.7, 0.6, 0.1), 1), film("c", (0.5, 0.5), 1)
TWIN = film("a, twin", (0.3, 0.2))
FILMS = [A, B, C, TWIN]


def found(films: Sequence[ScoredClip]) -> dict[str, Any]:
    answer = persons(films, CALIBRATION)
    assert answer
    return answer


def test_the_verdicts_persons_by_hand() -> None:
    answer = found(FILMS)
    assert answer["films"] == answer["measured"] == {"real": 1, "fake": 3}
    of = answer["outputs"]["verdict"]
    assert (of["films"], of["sources"], of["people"]) == (3, 3, {"real": 6, "fake": 3})
    assert of["chance"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 3, abs=1e-4)
    value = {name: figure["value"] for name, figure in of["figures"].items()}
    assert value["highest"] == 0.5  # one, none, and half of two who share it
    assert value["pairs"] == (1 + 1 + 0.5) / 4
    assert value["auc"] == pytest.approx((6 + 5 + 4.5) / 18, abs=1e-4)
    assert value["average_precision"] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3, abs=1e-4)  # 0.9, 0.6, 0.5
    assert answer["clip"]["figures"]["auc"]["value"] == 1
    assert of["figures"]["highest"]["low"] == 0 < of["figures"]["highest"]["high"] == 1  # of three sources


def test_what_one_source_says_often_is_no_surer() -> None:
    same = [dataclasses.replace(one, source="one") for one in FILMS]
    for figure in found(same)["outputs"]["verdict"]["figures"].values():
        assert figure["low"] == figure["value"] == figure["high"]


def test_only_films_count_in_which_every_place_has_a_face() -> None:
    missed = dataclasses.replace(film("d", (0.9, 0.1), 0), faces=A.faces[:1])
    answer = found([*FILMS, missed])
    assert (answer["films"]["fake"], answer["measured"]["fake"]) == (4, 3)
    assert answer["outputs"] == found(FILMS)["outputs"]
    behind = FaceScore(7, 0.9, 3, 0.99)  # somebody in the background of the second
    assert people_of(dataclasses.replace(A, faces=(behind, *A.faces))) == list(A.faces)
    unscored = found([*FILMS, film("d", (0.9, None), 0)])
    assert unscored["measured"]["fake"] == 4
    assert unscored["outputs"]["verdict"]["films"] == 3


def test_a_model_is_measured_by_its_own_samples_of_each_face() -> None:
    def seen(one: ScoredClip, *logits: Sequence[float]) -> ScoredClip:
        samples = [(k + 1, logit) for k, of in enumerate(logits) for logit in of]
        times = tuple(map(float, range(len(samples))))
        kept = ItemScores(times, times, tuple(face for face, _ in samples), tuple(logit for _, logit in samples))
        picture = ItemScores((0.0,), (0.0,), (None,), (1.0,))
        return dataclasses.replace(one, outputs={"lipsync_starter": kept, "semantic_starter": picture})

    films = [seen(A, [3, -2], [1, -2]), seen(B, [1], [0, 4], [1]), seen(C, [5], []), seen(TWIN, [-3], [-3])]
    outputs = found(films)["outputs"]
    assert list(outputs) == ["verdict", "lipsync_starter"]  # the other looks at whole pictures
    of = outputs["lipsync_starter"]
    assert (of["films"], of["people"]) == (2, {"real": 5, "fake": 2})  # of one person in C it has no sample
    assert of["figures"]["highest"]["value"] == 1  # 0.5 over -0.5, and 2 over 1
    assert of["figures"]["auc"]["value"] == pytest.approx((3 + 5) / 10)  # 0.5 is under the two of 1


def test_without_places_or_labels_there_are_no_figures() -> None:
    assert persons([dataclasses.replace(A, places=())], CALIBRATION) is None
    of = found([TWIN])["outputs"]["verdict"]
    assert (of["figures"], of["chance"]) == (None, None)
    nobody = found([dataclasses.replace(A, faces=())])["outputs"]["verdict"]
    assert nobody["unmeasurable"] == "nothing was scored: there is nothing to measure"


def test_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    document = json.loads((RESULTS / "accuracy.json").read_text())
    document["forensic"] = {"persons": found(FILMS)}
    monkeypatch.setattr(practice_tables, "load", lambda _name: document)
    shown = practice_tables.persons()
    assert "| verdict | 3 | 0.44 | 0.50 [0.00, 1.00] | 0.62 [0.50, 1.00] | 6 + 3 |" in shown
    assert "found in 3 of 3 films with a fake person and 1 of 1 without" in shown
    document["forensic"]["persons"]["outputs"]["visual_starter"] = found([TWIN])["outputs"]["verdict"]
    assert "| faces, `visual_starter` | 0 | – | – | – | 2 + 0 | – | – |" in practice_tables.persons()
    document["forensic"] = {"persons": None}
    assert "states the places of no people" in practice_tables.persons()
