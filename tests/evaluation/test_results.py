"""Which results the documents may cite, and what they show of the others."""

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation import results, tables
from evaluation.results import RefusedResult, committed_weights, load, measured_weights, refusal_of
from veracity.settings import CHECKOUT

COMMITTED = {"audio_starter": "a" * 64, "visual_starter": "b" * 64}
GOOD: dict[str, Any] = {
    "commit": "0123456789ab",
    "models": {"audio_starter": "g" * 64},
    "weights": {"audio_starter": "a" * 64},
}


def test_a_result_of_a_commit_and_of_the_committed_weights_may_be_cited() -> None:
    assert refusal_of(GOOD, COMMITTED) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"commit": "0123456789ab+changes"}, "was not measured on an unchanged commit (`0123456789ab+changes`)"),
        ({"commit": ""}, "was not measured on an unchanged commit (``)"),
        ({"weights": {"audio_starter": "c" * 64}}, "was measured with other weights of `audio_starter`"),
        ({"weights": {}}, "does not name the weights of `audio_starter` that it measured"),
        ({"models": {}, "weights": {}}, "does not name the weights that it measured"),
    ],
)
def test_any_other_result_is_refused(change: dict[str, Any], reason: str) -> None:
    said = refusal_of({**GOOD, **change}, COMMITTED)
    assert said is not None
    assert said.startswith(reason)


def test_loading_refuses_as_well(tmp_path: Path) -> None:
    (tmp_path / "latency.json").write_text(json.dumps({**GOOD, "commit": "0123456789ab+changes"}))
    with pytest.raises(RefusedResult, match=r"`latency\.json` was not measured on an unchanged commit"):
        load("latency", tmp_path)
    with pytest.raises(RefusedResult, match=r"`other\.json` does not exist"):
        load("other", tmp_path)


def test_what_tells_of_the_server_holds_with_other_weights_and_never_on_changes(tmp_path: Path) -> None:
    (tmp_path / "soak.json").write_text(json.dumps({**GOOD, "weights": {"audio_starter": "c" * 64}}))
    with pytest.raises(RefusedResult, match="other weights"):
        load("soak", tmp_path)
    assert load("soak", tmp_path, of_server=True)["commit"] == GOOD["commit"]
    (tmp_path / "soak.json").write_text(json.dumps({**GOOD, "commit": "0123456789ab+changes"}))
    with pytest.raises(RefusedResult, match="unchanged commit"):
        load("soak", tmp_path, of_server=True)


def test_the_committed_weights_are_those_of_the_heads_and_of_our_graphs() -> None:
    found = committed_weights()
    assert set(found) == {
        "audio_starter",
        "visual_starter",
        "lipsync_starter",
        "semantic_starter",
        "semantic_texture_starter",
    }
    head = json.loads((CHECKOUT / "model_repository" / "audio_starter" / "head.json").read_text())
    assert found["audio_starter"] == head["checkpoint_sha256"]


def test_weights_are_named_only_for_the_graph_that_answered(tmp_path: Path) -> None:
    folder = tmp_path / "visual_starter"
    folder.mkdir()
    (folder / "provenance.json").write_text(json.dumps({"graph_sha256": "g1", "checkpoint_sha256": "w1"}))
    assert measured_weights({"visual_starter": "g1"}, tmp_path) == {"visual_starter": "w1"}
    assert measured_weights({"visual_starter": None}, tmp_path) == {"visual_starter": "w1"}
    assert measured_weights({"visual_starter": "another graph"}, tmp_path) == {}
    assert measured_weights({"audio_starter": None}, tmp_path) == {}


def test_a_refused_result_shows_its_reason_and_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = json.loads((results.RESULTS / "latency.json").read_text())
    document["weights"] = committed_weights()
    shown = {}
    for commit in ("0123456789ab", "0123456789ab+changes"):
        (tmp_path / "latency.json").write_text(json.dumps({**document, "commit": commit}))
        monkeypatch.setattr(tables, "load", lambda name: load(name, tmp_path))
        shown[commit] = tables.latency()
    median = f"{document['seconds']['exhaustive']['median']:.2f}"
    assert f"| `exhaustive` | {median} |" in shown["0123456789ab"]
    assert "at commit `0123456789ab`" in shown["0123456789ab"]
    assert median not in shown["0123456789ab+changes"]
    assert "No figures: `latency.json` was not measured on an unchanged commit" in shown["0123456789ab+changes"]


def test_made_up_weights_are_named_as_such(tmp_path: Path) -> None:
    folder = tmp_path / "visual_sbi_b4"
    folder.mkdir()
    (folder / "provenance.json").write_text(json.dumps({"graph_sha256": "d" * 64, "untrained": True}))
    found = measured_weights({folder.name: "d" * 64}, tmp_path)
    assert found == {folder.name: "nothing: untrained"}
    assert (
        refusal_of({"commit": GOOD["commit"], "models": {folder.name: "d" * 64}, "weights": found}, COMMITTED) is None
    )
