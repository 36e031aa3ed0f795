"""Who can answer is decided once a request, from one look at the runtime and at files that changed, off the loop."""

import asyncio
import json
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import analyze
from veracity.analysis.roster import Roster
from veracity.catalog import LAYERS
from veracity.decision import wording
from veracity.evidence.requests import State
from veracity.media import Source
from veracity.settings import Settings
from veracity_client.verdict import Options, Verdict

EXHAUSTIVE = Options(policy="exhaustive")


class Counted(LocalInfer):
    """A local runtime that counts how often it is asked for a model's state."""

    def __init__(self, repository: Path) -> None:
        super().__init__(repository)
        self.states: Counter[str] = Counter()

    def state(self, model: str) -> State:
        self.states[model] += 1
        return super().state(model)


_opened: list[tuple[str, int]] | None = None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is not None and event == "open" and str(arguments[0]).endswith("provenance.json"):
        _opened.append((str(arguments[0]), threading.get_ident()))


sys.addaudithook(_audit)


@contextmanager
def provenance_reads() -> Iterator[list[tuple[str, int]]]:
    """Give the list of the provenance files that are opened, each with the thread that opens it."""
    global _opened
    _opened = []
    try:
        yield _opened
    finally:
        _opened = None


@pytest.fixture
def repository(full_repository: Path, tmp_path: Path) -> Path:
    """A repository with provenance for every model of the starter profile."""
    target = tmp_path / "model_repository"
    shutil.copytree(full_repository, target)
    for name in ("visual_starter", "lipsync_starter", "semantic_starter", "semantic_texture_starter"):
        (target / name / "provenance.json").write_text(json.dumps({"graph_sha256": "1" * 64, "trained_on": ["tests"]}))
    return target


def run(context: AnalysisContext, video: Path, infer: LocalInfer) -> Verdict:
    return asyncio.run(analyze(Source(video), infer, EXHAUSTIVE, context))


def test_a_request_looks_once_at_each_model_and_never_reads_on_the_event_loop(repository: Path, talking: Path) -> None:
    infer = Counted(repository)
    with provenance_reads() as at_start:
        context = AnalysisContext.from_settings(Settings(model_repository=repository))
    assert {Path(file).parent.name for file, _ in at_start} >= {"visual_starter", "semantic_starter"}
    with provenance_reads() as first:
        verdict = run(context, talking, infer)
    assert verdict.layers_executed == (1, 2, 3, 4)
    assert set(infer.states.values()) == {1}, infer.states
    assert threading.get_ident() not in {thread for _, thread in first}  # the loop runs in this thread
    with provenance_reads() as second:
        run(context, talking, infer)
    assert set(infer.states.values()) == {2}
    assert second == []


def test_a_model_exported_anew_is_named_by_its_new_digest_and_accuracy(repository: Path, talking: Path) -> None:
    """Without a restart: what is known of a model is keyed by its files, and not by its name."""
    context, infer = AnalysisContext.from_settings(Settings(model_repository=repository)), LocalInfer(repository)
    page = repository / "semantic_starter" / "provenance.json"
    measured = context.measured.checkpoints["semantic_starter"]
    page.write_text(json.dumps({"graph_sha256": "a" * 64, "checkpoint_sha256": measured}))
    (before,) = run(context, talking, infer).layer_results["4_semantic"].models
    assert before.sha256 == "a" * 64
    assert before.measured == context.measured.measurement("semantic_starter")
    page.write_text(json.dumps({"graph_sha256": "b" * 64, "checkpoint_sha256": "c" * 64}))
    verdict = run(context, talking, infer)
    (after,) = verdict.layer_results["4_semantic"].models
    assert after.sha256 == "b" * 64
    assert after.measured == "these weights were not measured, only other weights of that name"
    assert not verdict.calibrated
    assert "semantic_starter: these weights were not measured" in verdict.profile.statement
    page.write_text(json.dumps({"untrained": True}))
    assert run(context, talking, infer).layer_results["4_semantic"].code == "untrained"
    page.write_text("not JSON")
    assert run(context, talking, infer).layer_results["4_semantic"].code == "model_rejected"


def test_a_graph_without_provenance_is_named_by_its_own_digest(full_context: AnalysisContext) -> None:
    graph = full_context.settings.model_repository / "visual_starter" / "1" / "model.onnx"
    first = full_context.info("visual_starter").sha256
    assert len(first) == 64
    content = graph.read_bytes()
    graph.write_bytes(content + b"\0\0")
    assert full_context.info("visual_starter").sha256 != first
    graph.write_bytes(content)
    assert full_context.info("visual_starter").sha256 == first


def test_a_roster_is_replaced_and_never_changed(full_context: AnalysisContext) -> None:
    roster = Roster.decide(full_context, LocalInfer(full_context.settings.model_repository))
    visual = LAYERS[1]
    failed = roster.without({"visual_starter": wording.reason("model_failed", why="it failed")})
    assert roster.why_unable(visual) is None
    assert failed.why_unable(visual) == ("failed", wording.reason("model_down", models="visual_starter"))
    assert failed.calibration is roster.calibration


class Ready(LocalInfer):
    """A local runtime in which every model is ready: of SyncNet no graph is needed here."""

    def state(self, model: str) -> State:
        return "ready"


def test_without_sound_a_model_that_needs_it_cannot_answer_and_one_that_takes_it_can(
    full_repository: Path, settings: Settings
) -> None:
    named = settings.replace(model_repository=full_repository, models="lipsync_starter,lipsync_syncnet")
    infer = Ready(full_repository)
    roster = Roster.decide(AnalysisContext.from_settings(named), infer)
    lipsync = LAYERS[2].name
    assert set(roster.layers[lipsync].answering) == {"lipsync_starter", "lipsync_syncnet"}
    deaf = roster.without_sound(wording.reason("no_audio"))
    assert set(deaf.layers[lipsync].answering) == {"lipsync_starter"}
    assert deaf.layers[lipsync].absent["lipsync_syncnet"].code == "no_audio"
