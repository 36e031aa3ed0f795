"""Who speaks: asked for an explanation alone, linked by the model's answers, and said where it cannot be."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import media_samples
import msgspec
import numpy as np
import pytest
import tiny_models
from numpy.typing import NDArray

from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import observe
from veracity.catalog import SPEAKER
from veracity.decision.evidence import Evidence, ScoredLayer
from veracity.decision.speakers import speakers
from veracity.evidence.requests import ModelOutput, Sample
from veracity.evidence.speaking import SpeakingSeconds
from veracity.media import Source
from veracity.settings import Settings
from veracity_client.errors import AnalysisTimeout, ModelUnavailable, VeracityError
from veracity_client.explanation import HeardFace, Speakers
from veracity_client.reasons import Reason
from veracity_client.span import Span
from veracity_client.verdict import LayerName, LayerResult, Options, Policy, Verdict

LIPS: tuple[LayerName, ...] = ("audio", "lipsync")
ASKED = Options(policy="exhaustive", explain=True, layers=LIPS)


def repository(folder: Path, settings: Settings) -> Path:
    """The installed models without the one that tells who speaks."""
    made = folder / "model_repository"
    made.mkdir()
    for model in settings.model_repository.iterdir():
        if model.name != SPEAKER.name:
            (made / model.name).symlink_to(model)
    return made


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> AnalysisContext:
    return AnalysisContext.from_settings(
        settings.replace(model_repository=repository(tmp_path_factory.mktemp("without"), settings))
    )


@pytest.fixture(scope="module")
def with_tiny(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> AnalysisContext:
    """With a graph for which a face speaks that is brighter than 100 of 255."""
    made = repository(tmp_path_factory.mktemp("tiny"), settings)
    tiny_models.install(made, SPEAKER.name)
    return AnalysisContext.from_settings(settings.replace(model_repository=made))


def analysed(film: Path, context: AnalysisContext, options: Options = ASKED) -> Verdict:
    infer = LocalInfer(context.settings.model_repository, threads=1)
    return asyncio.run(observe(Source(film), infer, options, context)).verdict


def said(verdict: Verdict) -> Speakers:
    assert verdict.explanation is not None
    assert verdict.explanation.speakers is not None
    return verdict.explanation.speakers


def side_by_side(folder: Path, talking: Path, left: float, right: float) -> Path:
    """The same talking face twice, each so much brighter or darker, with its voice."""
    halves = (f"[0:v]crop=200:180:220:40,eq=brightness={light}" for light in (left, right))
    graph = "{}[a];{}[b];[a][b]hstack,scale=800:-2".format(*halves)
    name = f"{left}-{right}.mp4"
    return media_samples.write(folder / name, "-i", talking, "-filter_complex", graph, "-c:a", "copy", "-t", 3)


def test_a_film_without_the_model_says_so(talking: Path, without: AnalysisContext) -> None:
    for options in (ASKED, replace(ASKED, policy="fail_fast")):
        found = said(analysed(talking, without, options))
        assert (found.faces, found.heard_face) == ((), ())
        assert found.reason is not None
        assert found.reason.code == "weights_missing"
        assert "veracity weights fetch speaker_light_asd" in found.reason.text


@pytest.mark.parametrize(
    ("left", "right", "code"),
    [(0.3, -0.4, None), (-0.4, 0.3, None), (0.3, 0.25, "speaker_unclear"), (-0.4, -0.35, "nobody_speaks")],
)
def test_speech_is_linked_to_the_one_face_that_speaks(
    left: float, right: float, code: str | None, talking: Path, with_tiny: AnalysisContext, tmp_path: Path
) -> None:
    verdict = analysed(side_by_side(tmp_path, talking, left, right), with_tiny)
    found = said(verdict)
    assert found.reason is None
    places = {face.id: face.boxes[0].box[0] for face in verdict.faces}
    assert set(places) == {face.face for face in found.faces}
    assert len(places) == 2
    brighter = max(places, key=lambda face: (places[face] > 400) == (right > left))
    for heard in found.heard_face:
        assert heard.face == (brighter if code is None else None)
        assert (heard.reason.code if heard.reason else None) == code
    for face in found.faces:
        assert [window.start for window in face.windows] == [heard.start for heard in found.heard_face]
        assert bool(face.speaks) == (code is None and face.face == brighter)
        for span in face.speaks:
            assert any(window.start <= span.start < window.end for window in face.windows)


def test_nothing_else_of_the_verdict_changes(
    talking: Path, without: AnalysisContext, with_tiny: AnalysisContext
) -> None:
    def rest(verdict: Verdict) -> Verdict:
        assert verdict.explanation is not None
        explanation = replace(verdict.explanation, speakers=None)
        return replace(verdict, video_id="", timings={}, processing_time=0, explanation=explanation)

    one, other = (analysed(talking, context) for context in (without, with_tiny))
    assert said(other).heard_face
    assert rest(one) == rest(other)
    assert len(msgspec.json.encode(said(other))) < 2_000


class Hanging(LocalInfer):
    """The speakers' model never answers, or ends as a model does that found no memory."""

    def __init__(self, repository: Path, error: VeracityError | None) -> None:
        super().__init__(repository, threads=1)
        self._error = error

    async def __call__(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        if model != SPEAKER.name:
            return await super().__call__(model, inputs)
        if self._error:
            raise self._error
        await asyncio.sleep(1000)
        raise AssertionError


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (None, "model_failed", "did not answer within"),
        (AnalysisTimeout("no room"), "model_failed", "no room"),
        (ModelUnavailable("gone"), "model_down", "gone"),
    ],
)
def test_a_model_that_does_not_answer_costs_the_verdict_nothing(
    error: VeracityError | None, code: str, text: str, talking: Path, with_tiny: AnalysisContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("veracity.analysis.speakers.ANSWER_SECONDS", 0.5)
    infer = Hanging(with_tiny.settings.model_repository, error)
    verdict = asyncio.run(observe(Source(talking), infer, ASKED, with_tiny)).verdict
    assert verdict.layer_results["3_lipsync"].status == "scored"
    reason = said(verdict).reason
    assert reason is not None
    assert reason.code == code
    assert text in reason.text


@pytest.mark.parametrize(
    ("policy", "layers", "cut", "code"),
    [
        ("fail_fast", LIPS, (), "uninformative"),
        ("exhaustive", ("visual",), (), "not_requested"),
        ("exhaustive", LIPS, ("-an",), "no_audio"),
        ("exhaustive", LIPS, ("-t", "0.5"), "too_short"),
    ],
)
def test_where_nobody_was_looked_at_the_reason_is_said(
    policy: Policy,
    layers: tuple[LayerName, ...],
    cut: Sequence[str],
    code: str,
    talking: Path,
    with_tiny: AnalysisContext,
    tmp_path: Path,
) -> None:
    film = media_samples.write(tmp_path / "film.mp4", "-i", talking, *cut) if cut else talking
    found = said(analysed(film, with_tiny, Options(policy=policy, explain=True, layers=layers)))
    assert found.reason is not None
    assert found.reason.code == code


def seconds(odds: dict[tuple[int, int], float], speech: list[tuple[float, float]], runs: int) -> Speakers:
    """Link ``odds``, (second, face) → log odds of *speaks* in all its frames."""
    evidence = Evidence(speech=speech)
    samples = tuple(Sample(float(s), s + 1.0, np.zeros(0, np.uint8), face) for s, face in odds)
    details = np.repeat(np.array(list(odds.values()))[:, None], 25, axis=1)
    output = ModelOutput(SPEAKER.name, samples, details[:, 0].astype(np.float32), details)
    evidence.speaking = SpeakingSeconds(tuple(range(25 * k, 25 * k + 25) for k in range(runs)), output)
    evidence.settle("3_lipsync", ScoredLayer(LayerResult("scored", "", 0.5, None, 0.5, 0.5, "")))
    return speakers(evidence)


def test_seconds_in_a_row_are_one_stretch_within_the_speech_that_is_heard() -> None:
    found = seconds({(0, 1): 3.0, (1, 1): 3.0, (2, 1): -3.0, (2, 2): 3.0}, [(0.4, 2.6)], 4)
    assert [(face.face, [(s.start, s.end) for s in face.speaks]) for face in found.faces] == [
        (1, [(0.4, 2.0)]),
        (2, [(2.0, 2.6)]),
    ]
    assert found.heard_face == (HeardFace(0.0, 1.0, 1), HeardFace(1.0, 2.0, 1), HeardFace(2.0, 3.0, 2))
    assert found.faces[0].windows[2] == Span(2.0, 3.0, 0.0474)


def test_a_second_with_next_to_no_speech_is_left_out() -> None:
    found = seconds({(0, 1): 3.0, (1, 1): 3.0}, [(0.0, 1.1)], 2)
    assert [heard.start for heard in found.heard_face] == [0.0]
    silent = seconds({(0, 1): 3.0}, [(0.0, 0.1)], 1)
    assert (silent.faces, silent.heard_face) == ((), ())
    assert silent.reason == Reason("no_speech", "no speech was found")


def test_a_second_in_which_no_mouth_moves_is_nobodys() -> None:
    (heard,) = seconds({(1, 1): 3.0}, [(0.0, 1.0)], 2).heard_face
    assert (heard.face, heard.reason and heard.reason.code) == (None, "nobody_speaks")
