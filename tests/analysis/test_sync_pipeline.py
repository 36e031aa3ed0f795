"""SyncNet in the pipeline: it stands in for LipForensics, says so, and abstains where there is nothing to hear."""

import asyncio
import dataclasses
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import media_samples
import numpy as np
import onnx
import pytest
import tiny_models
from conftest import REPOSITORY
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import analyze
from veracity.catalog.detectors.lipsync_syncnet import MODEL as SYNCNET
from veracity.evidence import syncnet
from veracity.evidence.requests import State
from veracity.media import Source, find_ffmpeg
from veracity.settings import Settings
from veracity_client.errors import BadOption
from veracity_client.verdict import Options, Verdict

MOUTHS = Options(policy="exhaustive", layers=("lipsync",))


def install(repository: Path, gain: float) -> None:
    """A graph with SyncNet's tensors: every face is the origin, a sound lies as far from it as it is loud × gain."""
    faces, sound = (
        helper.make_tensor_value_info(t.name, tiny_models.TYPES[t.dtype], ["batch", *t.shape]) for t in SYNCNET.inputs
    )
    answers = [helper.make_tensor_value_info(t.name, TensorProto.FLOAT, ["batch", 1024]) for t in SYNCNET.outputs]
    nodes = []
    for given, answered in ((faces, answers[0]), (sound, answers[1])):
        name = given.name
        nodes += [
            helper.make_node("Cast", [name], [f"{name}_float"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", [f"{name}_float"], [f"{name}_flat"]),
            helper.make_node("ReduceL1", [f"{name}_flat", "one"], [f"{name}_loud"]),
            helper.make_node("MatMul", [f"{name}_loud", f"{name}_gain"], [answered.name]),
        ]
    constants = [
        numpy_helper.from_array(np.array([1], np.int64), "one"),
        numpy_helper.from_array(np.zeros((1, 1024), np.float32), "FACES_gain"),
        numpy_helper.from_array(np.full((1, 1024), gain, np.float32), "SOUND_gain"),
    ]
    graph = helper.make_graph(nodes, SYNCNET.name, [faces, sound], answers, constants)
    folder = repository / SYNCNET.name / "1"
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), folder / "model.onnx"
    )


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> AnalysisContext:
    """The published profile with SyncNet alone installed, which finds every sound very fitting."""
    repository = tmp_path_factory.mktemp("synced") / "model_repository"
    shutil.copytree(REPOSITORY, repository)
    install(repository, gain=1.0)
    return AnalysisContext.from_settings(settings.replace(model_repository=repository, profile="published"))


def run(context: AnalysisContext, video: Path, infer: LocalInfer | None = None, options: Options = MOUTHS) -> Verdict:
    return asyncio.run(analyze(Source(video), infer or LocalInfer(context.settings.model_repository), options, context))


def made(talking: Path, folder: Path, *arguments: str) -> Path:
    target = folder / "made.mp4"
    command = [str(find_ffmpeg(None)), "-v", "error", "-y", "-i", str(talking), *arguments, "-c:v", "copy", str(target)]
    subprocess.run(command, check=True)
    return target


def test_syncnet_stands_in_for_lipforensics_and_says_so(synced: AnalysisContext, talking: Path) -> None:
    verdict = run(synced, talking)
    result = verdict.layer_results["3_lipsync"]
    assert result.status == "scored", result.reason
    assert [model.name for model in result.models] == ["lipsync_syncnet"]
    assert result.fake_probability == result.mismatch_score == pytest.approx(syncnet.FLOOR)
    assert not verdict.degraded  # nothing that is installed was missed
    for words in ("lipsync_syncnet stands in for lipsync_lipforensics: weights not installed", "sync and not forgery"):
        assert words in result.reasoning
        assert words in verdict.reasoning
    assert verdict.label == "inconclusive"
    assert verdict.layer_results["1_audio"].status == "skipped"
    assert "sound" in verdict.timings
    assert len(verdict.timeline["3_lipsync"]) == 4


def test_a_mouth_that_never_fits_is_capped(synced: AnalysisContext, talking: Path, tmp_path: Path) -> None:
    repository = tmp_path / "model_repository"
    shutil.copytree(synced.settings.model_repository, repository)
    install(repository, gain=0.0)
    settings = synced.settings.replace(model_repository=repository)
    verdict = run(AnalysisContext.from_settings(settings), talking)
    assert verdict.layer_results["3_lipsync"].fake_probability == pytest.approx(syncnet.CAP)
    assert verdict.label == "inconclusive"


def test_asked_for_by_name_it_stands_in_for_nobody(synced: AnalysisContext, talking: Path) -> None:
    settings = synced.settings.replace(models="lipsync_syncnet")
    result = run(AnalysisContext.from_settings(settings), talking).layer_results["3_lipsync"]
    assert result.status == "scored"
    assert "stands in" not in result.reasoning


class Listening(LocalInfer):
    """A local runtime whose models of mouths can be said to be in some state; remembers who was asked."""

    lipforensics: State | None = None
    syncnet: State | None = None

    def __init__(self, repository: Path) -> None:
        super().__init__(repository)
        self.asked: set[str] = set()

    def state(self, model: str) -> State:
        said = {"lipsync_lipforensics": self.lipforensics, "lipsync_syncnet": self.syncnet}.get(model)
        return said or super().state(model)

    async def __call__(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        self.asked.add(model)
        return await super().__call__(model, inputs)


def test_where_lipforensics_answers_nobody_stands_in(synced: AnalysisContext, talking: Path, tmp_path: Path) -> None:
    repository = tmp_path / "model_repository"
    shutil.copytree(synced.settings.model_repository, repository)
    tiny_models.install(repository, "lipsync_lipforensics")
    infer = Listening(repository)
    result = run(AnalysisContext.from_settings(synced.settings.replace(model_repository=repository)), talking, infer)
    assert [model.name for model in result.layer_results["3_lipsync"].models] == ["lipsync_lipforensics"]
    assert "sync" not in result.layer_results["3_lipsync"].reasoning
    assert infer.asked == {"face_detector", "lipsync_lipforensics"}
    assert "sound" not in result.timings


def test_where_lipforensics_is_down_syncnet_stands_in(synced: AnalysisContext, talking: Path) -> None:
    infer = Listening(synced.settings.model_repository)
    infer.lipforensics = "down"
    verdict = run(synced, talking, infer)
    result = verdict.layer_results["3_lipsync"]
    assert result.status == "scored"
    assert (
        "lipsync_syncnet stands in for lipsync_lipforensics: lipsync_lipforensics does not answer" in result.reasoning
    )
    assert verdict.degraded


def test_a_fallback_that_is_down_fails_the_layer(synced: AnalysisContext, talking: Path) -> None:
    infer = Listening(synced.settings.model_repository)
    infer.syncnet = "down"
    verdict = run(synced, talking, infer)
    result = verdict.layer_results["3_lipsync"]
    assert (result.status, result.reason) == ("failed", "lipsync_syncnet does not answer")
    assert verdict.degraded


def test_both_by_name_are_averaged_and_without_sound_one_is_missed(
    synced: AnalysisContext, talking: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "model_repository"
    shutil.copytree(synced.settings.model_repository, repository)
    tiny_models.install(repository, "lipsync_lipforensics", gain=0.0)
    settings = synced.settings.replace(model_repository=repository, models="lipsync_lipforensics,lipsync_syncnet")
    context = AnalysisContext.from_settings(settings)
    both = run(context, talking).layer_results["3_lipsync"]
    assert both.fake_probability == pytest.approx((0.5 + syncnet.FLOOR) / 2)
    assert both.agreement == pytest.approx(0.5 + syncnet.FLOOR)
    mute = run(context, made(talking, tmp_path, "-an")).layer_results["3_lipsync"]
    assert mute.fake_probability == 0.5
    assert "lipsync_syncnet is left out: lipsync_syncnet needs the sound: the file has no audio track" in mute.reasoning


def test_without_sound_it_abstains(synced: AnalysisContext, talking: Path, tmp_path: Path) -> None:
    result = run(synced, made(talking, tmp_path, "-an")).layer_results["3_lipsync"]
    assert result.status == "abstained"
    assert "lipsync_syncnet needs the sound: the file has no audio track" in result.reason
    assert "weights not installed" in result.reason


def test_where_nobody_speaks_it_abstains(synced: AnalysisContext, talking: Path, tmp_path: Path) -> None:
    quiet = made(talking, tmp_path, "-af", "volume=0")
    settings = synced.settings.replace(models="lipsync_syncnet")
    result = run(AnalysisContext.from_settings(settings), quiet).layer_results["3_lipsync"]
    assert result.status == "abstained"
    assert result.reason == "lipsync_syncnet needs the sound: no speech was found"


def test_sound_that_cannot_be_decoded_degrades_even_where_mouths_alone_wanted_it(
    synced: AnalysisContext, talking: Path, tmp_path: Path
) -> None:
    verdict = run(synced, with_unknown_sound(talking, tmp_path))
    result = verdict.layer_results["3_lipsync"]
    assert result.status == "abstained"
    assert "lipsync_syncnet needs the sound: " in result.reason
    assert verdict.degraded


def test_where_nobody_is_seen_the_sound_is_not_to_blame(synced: AnalysisContext, tmp_path: Path) -> None:
    repository = tmp_path / "model_repository"
    shutil.copytree(synced.settings.model_repository, repository)
    tiny_models.install(repository, "visual_sbi_b4")
    context = AnalysisContext.from_settings(synced.settings.replace(model_repository=repository))
    options = dataclasses.replace(MOUTHS, layers=("visual", "lipsync"))
    verdict = run(context, with_unknown_sound(media_samples.clip(tmp_path), tmp_path), options=options)
    result = verdict.layer_results["2_visual"]
    assert (result.status, result.reason) == ("abstained", "no face was found")
    assert verdict.degraded


def with_unknown_sound(film: Path, folder: Path) -> Path:
    """Return a copy whose sound is in a codec that nobody knows."""
    target = folder / "unknown.mp4"
    target.write_bytes(film.read_bytes().replace(b"mp4a", b"zzza").replace(b"esds", b"zzds"))
    return target


def test_an_audio_track_that_is_not_there_is_a_bad_option(synced: AnalysisContext, talking: Path) -> None:
    with pytest.raises(BadOption, match="audio_track 3"):
        run(synced, talking, options=dataclasses.replace(MOUTHS, audio_track=3))
