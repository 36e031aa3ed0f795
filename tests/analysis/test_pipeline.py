"""The pipeline in this process, with real media and ONNX Runtime; the server's endpoints are in test_endpoints.py."""

import asyncio
import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import media_samples
import numpy as np
import pytest
from numpy.typing import NDArray

from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import analyze
from veracity.decision.calibration import Calibrator, Fusion
from veracity.decision.domain import Domain
from veracity.decision.toml_table import LAYER_NAMES
from veracity.evidence.requests import State
from veracity.media import Source
from veracity.settings import Settings
from veracity_client.errors import AnalysisTimeout, BadOption, InternalError, ModelUnavailable
from veracity_client.verdict import Options, Rates, StageEvent, Thresholds, Verdict

EXHAUSTIVE = Options(policy="exhaustive")


def run(context: AnalysisContext, video: bytes | Path, options: Options = EXHAUSTIVE, infer: LocalInfer | None = None,
        heard: list[StageEvent] | None = None) -> Verdict:  # fmt: skip
    infer = infer or LocalInfer(context.settings.model_repository)
    tell = heard.append if heard is not None else lambda event: None
    return with_reasons(asyncio.run(analyze(Source(video), infer, options, context, tell)))


def with_reasons(verdict: Verdict) -> Verdict:
    """Return a verdict in which whatever is missing has a code and words."""
    for result in verdict.layer_results.values():
        assert (result.status == "scored") == (result.code is None)
        assert (result.status == "scored") == (result.reason == "")
    assert verdict.degraded == bool(verdict.degraded_reasons)
    assert (verdict.label == "inconclusive") == (verdict.inconclusive_reason is not None)
    return verdict


def codes(verdict: Verdict) -> dict[str, str | None]:
    return {key: result.code for key, result in verdict.layer_results.items()}


def statuses(verdict: Verdict) -> dict[str, str]:
    return {key: result.status for key, result in verdict.layer_results.items()}


def test_all_four_layers_score_a_talking_head(full_context: AnalysisContext, talking: Path) -> None:
    heard: list[StageEvent] = []
    verdict = run(full_context, talking, heard=heard)
    assert statuses(verdict) == dict.fromkeys(("1_audio", "2_visual", "3_lipsync", "4_semantic"), "scored")
    assert verdict.layers_executed == (1, 2, 3, 4)
    assert verdict.input.resolution == "640x360"
    assert verdict.input.seconds == pytest.approx(6.0, abs=0.2)
    face = verdict.faces[0]
    assert len(face.boxes) > 20
    assert all(len(other.boxes) == 1 for other in verdict.faces[1:])  # YuNet sees one more in a single frame
    assert face.fake_probability is not None
    visual = verdict.layer_results["2_visual"]
    assert visual.frame_scores is not None
    assert len(visual.frame_scores) >= 30
    done = [event.stage for event in heard if event.status == "done"]
    assert done.index("1_audio") < done.index("frames") < done.index("4_semantic")
    assert Verdict.from_json(verdict.to_json()) == verdict


def test_each_kind_of_file_has_its_own_model_for_the_whole_picture(
    full_context: AnalysisContext, talking: Path, tmp_path: Path
) -> None:
    still = media_samples.write(tmp_path / "still.png", "-i", talking, "-frames:v", "1")
    for file, model, samples in ((still, "semantic_texture_starter", 1), (talking, "semantic_starter", 4)):
        result = run(full_context, file).layer_results["4_semantic"]
        assert [one.name for one in result.models] == [model]
        assert "left out" not in result.reasoning
        assert f"over {samples} samples" in result.reasoning


def test_a_picture_that_is_too_small_for_its_model_is_not_enlarged(
    full_context: AnalysisContext, talking: Path, tmp_path: Path
) -> None:
    small = media_samples.write(tmp_path / "small.png", "-i", talking, "-frames:v", "1", "-vf", "scale=-2:222")
    result = run(full_context, small).layer_results["4_semantic"]
    assert (result.status, result.code) == ("abstained", "picture_too_small")
    assert result.reason == "a picture under 224 pixels high or wide is too small to judge"


def test_a_model_for_films_alone_abstains_on_a_picture_and_says_so(
    full_repository: Path, talking: Path, tmp_path: Path
) -> None:
    still = media_samples.write(tmp_path / "still.png", "-i", talking, "-frames:v", "1")
    chosen = AnalysisContext.from_settings(Settings(model_repository=full_repository, models="semantic_starter"))
    result = run(chosen, still).layer_results["4_semantic"]
    assert (result.status, result.code) == ("abstained", "other_kind")
    assert result.reason == "semantic_starter is for videos alone"
    assert run(chosen, talking).layer_results["4_semantic"].status == "scored"


def test_lips_without_a_sound_say_so(full_context: AnalysisContext, talking: Path, tmp_path: Path) -> None:
    silent = media_samples.write(tmp_path / "silent.mp4", "-i", talking, "-an", "-c:v", "copy")
    words = "lipsync_starter judged without the sound"
    assert f"{words}: the file has no audio track" in run(full_context, silent).layer_results["3_lipsync"].reasoning
    assert words not in run(full_context, talking).layer_results["3_lipsync"].reasoning


def silencing(context: AnalysisContext, *models: str) -> AnalysisContext:
    """The context in which these models measured as uninformative."""
    silent = dict.fromkeys(models, Calibrator(float("inf")))
    measured = dataclasses.replace(
        context.measured, calibrators={**context.measured.calibrators, **silent}, checkpoints={}
    )
    return dataclasses.replace(context, measured=measured)


def test_a_layer_that_separates_nothing_is_asked_by_the_policy_exhaustive_alone(
    full_context: AnalysisContext, talking: Path
) -> None:
    context = silencing(full_context, "lipsync_starter")
    broken = Counting(full_context.settings.model_repository)
    broken.broken = "lipsync_starter"  # so that being asked would show
    everything, verdict = run(context, talking), run(context, talking, Options(policy="decided"), broken)
    assert statuses(everything)["3_lipsync"] == "scored"
    assert (statuses(verdict)["3_lipsync"], codes(verdict)["3_lipsync"]) == ("skipped", "uninformative")
    assert verdict.fake_probability == everything.fake_probability
    assert [face.fake_probability for face in verdict.faces[:1]] == [everything.faces[0].fake_probability]


def test_silent_layers_are_asked_where_nobody_else_is(full_context: AnalysisContext, talking: Path) -> None:
    context = silencing(full_context, "lipsync_starter", "visual_starter")
    verdict = run(context, talking, Options(policy="decided", layers=("visual", "lipsync")))
    assert statuses(verdict)["2_visual"] == statuses(verdict)["3_lipsync"] == "scored"


def test_bytes_and_path_are_one(full_context: AnalysisContext, talking: Path) -> None:
    def stable(verdict: Verdict) -> Verdict:
        return dataclasses.replace(verdict, video_id="", timings={}, processing_time=0)

    assert stable(run(full_context, talking)) == stable(run(full_context, talking.read_bytes()))


class Counting(LocalInfer):
    """A local runtime in which one model can be made to fail, to be down or to be slow."""

    broken = down = slow = ""

    def state(self, model: str) -> State:
        return "down" if model == self.down else super().state(model)

    async def __call__(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        if model == self.down:
            raise ModelUnavailable(f"{model} does not answer")
        if model == self.broken:
            raise InternalError(f"{model} failed")
        if model == self.slow:
            await asyncio.sleep(60)
        return await super().__call__(model, inputs)


@pytest.fixture
def counting(full_context: AnalysisContext) -> Counting:
    return Counting(full_context.settings.model_repository)


def test_a_failing_layer_degrades_the_verdict_and_the_rest_scores(
    full_context: AnalysisContext, talking: Path, counting: Counting
) -> None:
    counting.broken = "visual_starter"
    verdict = run(full_context, talking, infer=counting)
    assert statuses(verdict)["2_visual"] == "failed"
    assert "visual_starter failed" in verdict.layer_results["2_visual"].reason
    assert verdict.degraded
    assert verdict.layers_executed == (1, 3, 4)


def test_a_model_that_is_down_is_told_from_one_without_weights(
    full_context: AnalysisContext, talking: Path, counting: Counting
) -> None:
    counting.down = "semantic_starter"
    verdict = run(full_context, talking, infer=counting)
    assert verdict.layer_results["4_semantic"].status == "failed"
    assert "does not answer" in verdict.layer_results["4_semantic"].reason
    assert [(why.code, why.text) for why in verdict.degraded_reasons] == [
        ("model_down", "the whole picture: semantic_starter does not answer")
    ]


def test_without_a_face_detector_the_picture_is_still_looked_at(
    full_context: AnalysisContext, talking: Path, counting: Counting
) -> None:
    counting.down = "face_detector"
    verdict = run(full_context, talking, infer=counting)
    assert verdict.layer_results["4_semantic"].status == "scored"
    for key in ("2_visual", "3_lipsync"):
        assert verdict.layer_results[key].status == "failed"
        assert "face_detector" in verdict.layer_results[key].reason


def test_a_face_detector_that_fails_on_the_way_takes_only_the_layers_that_need_it(
    full_context: AnalysisContext, talking: Path, counting: Counting
) -> None:
    counting.broken = "face_detector"
    verdict = run(full_context, talking, infer=counting)
    assert statuses(verdict) == {
        "1_audio": "scored", "2_visual": "failed", "3_lipsync": "failed", "4_semantic": "scored",
    }  # fmt: skip
    assert verdict.layer_results["2_visual"].reason == "face_detector failed"
    assert [reason.code for reason in verdict.degraded_reasons] == ["model_failed", "model_failed"]


class Dazed(LocalInfer):
    """A face detector whose boxes are no boxes."""

    async def __call__(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        answer = dict(await super().__call__(model, inputs))
        if model == "face_detector":
            boxes = np.zeros_like(answer["BOXES"])
            boxes[:, 0], boxes[:, 1] = np.nan, (1e6, 1e6, 2e6, 2e6)
            answer |= {"BOXES": boxes, "SCORES": np.ones_like(answer["SCORES"])}
        return answer


def test_boxes_that_are_none_are_no_faces(full_context: AnalysisContext, talking: Path) -> None:
    verdict = run(full_context, talking, infer=Dazed(full_context.settings.model_repository))
    assert verdict.faces == ()
    assert verdict.layer_results["2_visual"].reason == "no face was found"
    assert verdict.layer_results["4_semantic"].status == "scored"


def test_layers_without_weights_abstain_with_what_to_do(
    context: AnalysisContext, talking: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "repository"
    shutil.copytree(context.settings.model_repository, bare)
    for graph in bare.glob("*_starter/1/model.onnx"):
        graph.unlink()
    verdict = run(AnalysisContext.from_settings(Settings(model_repository=bare)), talking)
    assert set(statuses(verdict).values()) == {"abstained"}
    for key in ("1_audio", "3_lipsync"):
        assert "weights not installed: " in verdict.layer_results[key].reason
    assert set(codes(verdict).values()) == {"weights_missing"}
    assert (verdict.label, verdict.final_verdict, verdict.fake_probability) == ("inconclusive", None, None)
    assert verdict.inconclusive_reason
    assert verdict.inconclusive_reason.code == "nothing_scored"


def telling_ffmpeg(folder: Path) -> Path:
    """Return an ffmpeg that leaves an empty file ``sound`` or ``frames`` behind when it is asked for them.

    Empty, since the sandbox lets it write no byte; without isolation, which lets it make no file either.
    """
    script = folder / "ffmpeg"
    cases = f"*rawvideo*) : > {folder}/frames ;; *s16le*) : > {folder}/sound ;;"
    script.write_text(f'#!/bin/sh\ncase "$*" in {cases} esac\nexec {shutil.which("ffmpeg")} "$@"\n')
    script.chmod(0o755)
    return script


NO_RATES = Rates(0.0, 0.0, 0.0, 99, 99)


def certain(context: AnalysisContext, ffmpeg: Path, heard: float) -> AnalysisContext:
    """A voice that always says fake, of fakes of which it hears the share ``heard``."""
    bounds = Thresholds(0.76, 0.29)
    film = Fusion(dict.fromkeys(LAYER_NAMES, heard), 1.0, 99, 99, {"balanced": bounds}, {"balanced": NO_RATES})
    voice = {"audio_starter": Calibrator(1.0, 40.0)}
    measured = dataclasses.replace(
        context.measured, profiles={"starter": {"film": film}}, calibrators=voice, checkpoints={}
    )
    settings = context.settings.replace(decoder_isolation="off")
    return dataclasses.replace(context, ffmpeg=ffmpeg, measured=measured, settings=settings)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs a system ffmpeg to log")
def test_fail_fast_never_asks_ffmpeg_for_frames(full_context: AnalysisContext, talking: Path, tmp_path: Path) -> None:
    script = telling_ffmpeg(tmp_path)
    verdict = run(certain(full_context, script, heard=1.0), talking, Options(policy="fail_fast"))
    assert statuses(verdict) == {
        "1_audio": "scored", "2_visual": "skipped", "3_lipsync": "skipped", "4_semantic": "skipped",
    }  # fmt: skip
    assert codes(verdict)["2_visual"] == "not_needed"
    assert (tmp_path / "sound").exists()
    assert not (tmp_path / "frames").exists()
    run(certain(full_context, script, heard=0.0), talking, Options(policy="fail_fast"))
    assert (tmp_path / "frames").exists()


def test_sound_of_a_kind_that_was_never_measured_gets_no_label(full_context: AnalysisContext, tmp_path: Path) -> None:
    voice = media_samples.speech(tmp_path)
    dull = media_samples.write(tmp_path / "dull.wav", "-i", voice, "-af", "lowpass=f=800:p=2,lowpass=f=800:p=2")
    told = media_samples.write(tmp_path / "told.mp3", "-i", voice)
    bounds, sees = Thresholds(0.76, 0.29), dict.fromkeys(LAYER_NAMES, 1.0)
    domain = Domain({"bandwidth": (3000.0, 8000.0)}, {"audio_codec": frozenset({"lossless"})})
    sound = Fusion(sees, 1.0, 99, 99, {"balanced": bounds}, {"balanced": NO_RATES}, domain)
    measured = dataclasses.replace(
        full_context.measured,
        profiles={"starter": {"sound": sound}},
        calibrators={"audio_starter": Calibrator(1.0, 40.0)},
        checkpoints={},
    )
    known = dataclasses.replace(full_context, measured=measured)
    verdicts = {path: run(known, path) for path in (voice, dull, told)}
    why = {path: verdict.inconclusive_reason and verdict.inconclusive_reason.code for path, verdict in verdicts.items()}
    assert {path: (verdict.label, why[path]) for path, verdict in verdicts.items()} == {
        voice: ("fake", None), dull: ("inconclusive", "out_of_domain"), told: ("inconclusive", "out_of_domain"),
    }  # fmt: skip
    assert "audio codec mp3 is not among lossless" in verdicts[told].reasoning
    assert verdicts[told].fake_probability == pytest.approx(1, abs=1e-3)  # the score stays


def test_decided_stops_when_nothing_can_change_the_label(context: AnalysisContext, talking: Path) -> None:
    verdict = run(context, talking, Options(policy="decided", layers=("audio",)))
    assert verdict.layer_results["2_visual"].status == "skipped"
    assert verdict.layer_results["1_audio"].status == "scored"


def test_only_the_layers_asked_for_run(full_context: AnalysisContext, talking: Path) -> None:
    verdict = run(full_context, talking, Options(policy="exhaustive", layers=("semantic",)))
    assert statuses(verdict) == {
        "1_audio": "skipped", "2_visual": "skipped", "3_lipsync": "skipped", "4_semantic": "scored",
    }  # fmt: skip
    assert codes(verdict) == {
        "1_audio": "not_requested", "2_visual": "not_requested", "3_lipsync": "not_requested", "4_semantic": None,
    }  # fmt: skip
    assert "sound" not in verdict.timings


def test_a_deadline_ends_the_analysis_and_its_children(
    full_context: AnalysisContext, talking: Path, counting: Counting
) -> None:
    counting.slow = "audio_starter"
    with pytest.raises(AnalysisTimeout, match=r"within 0\.5 s"):
        run(full_context, talking, Options(deadline_seconds=0.5), counting)
    assert not media_samples.decoders()


def test_an_audio_track_that_is_not_there_is_a_bad_option(full_context: AnalysisContext, talking: Path) -> None:
    with pytest.raises(BadOption, match="audio_track 3"):
        run(full_context, talking, Options(audio_track=3))


def test_sound_without_pictures_and_pictures_without_sound(full_context: AnalysisContext, tmp_path: Path) -> None:
    sound = run(full_context, media_samples.audio_only(tmp_path))
    assert sound.layer_results["2_visual"].reason == "the file has no video track"
    pictures = run(full_context, media_samples.silent_video(tmp_path))
    assert pictures.layer_results["1_audio"].reason == "the file has no audio track"
    assert pictures.layer_results["4_semantic"].status == "scored"
    assert pictures.layer_results["2_visual"].reason == "no face was found"
    assert codes(sound)["2_visual"] == "no_video"
    assert list(codes(pictures).values()) == ["no_audio", "no_face", "no_face", None]
