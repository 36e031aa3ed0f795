"""Several models in a layer, and one that nobody calibrated: what the verdict says of who did not answer."""

import asyncio
import re
import shutil
from pathlib import Path

import media_samples
import pytest
import tiny_models
from test_pipeline import EXHAUSTIVE, Counting, run

from veracity.analysis.context import AnalysisContext
from veracity.analysis.pipeline import analyze
from veracity.catalog import MODELS
from veracity.decision.calibration import FILE
from veracity.media import Source
from veracity.settings import Settings
from veracity_client.verdict import Options, Policy, StageEvent, Thresholds, Verdict


@pytest.fixture(scope="module")
def paired(full_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> AnalysisContext:
    """Two models for the voice, the second of them tiny, uncalibrated and sure of a fake."""
    repository = tmp_path_factory.mktemp("paired") / "model_repository"
    shutil.copytree(full_repository, repository)
    tiny_models.install(repository, "audio_rawnet2", gain=1.0, middle=-100.0)
    return AnalysisContext.from_settings(Settings(model_repository=repository, models="audio_starter,audio_rawnet2"))


def test_a_model_that_fails_beside_another_is_named_and_degrades(paired: AnalysisContext, talking: Path) -> None:
    infer = Counting(paired.settings.model_repository)
    infer.broken = "audio_rawnet2"
    verdict = run(paired, talking, infer=infer)
    voice = verdict.layer_results["1_audio"]
    assert [model.name for model in voice.models] == ["audio_starter"]
    assert "audio_rawnet2 is left out: audio_rawnet2 failed" in voice.reasoning
    assert verdict.degraded


def test_a_model_without_weights_beside_another_is_named(
    paired: AnalysisContext, talking: Path, full_repository: Path
) -> None:
    settings = paired.settings.replace(model_repository=full_repository)
    verdict = run(AnalysisContext.from_settings(settings), talking)
    words = "audio_rawnet2 is left out: weights not installed: veracity weights fetch audio_rawnet2"
    assert words in verdict.layer_results["1_audio"].reasoning
    assert not verdict.degraded


def test_a_voice_model_that_dies_while_the_sound_is_decoded_is_said_to(
    full_context: AnalysisContext, talking: Path
) -> None:
    infer = Counting(full_context.settings.model_repository)

    def tell(event: StageEvent) -> None:
        if (event.stage, event.status) == ("sound", "done"):
            infer.down = "audio_starter"

    verdict = asyncio.run(analyze(Source(talking), infer, EXHAUSTIVE, full_context, tell))
    voice = verdict.layer_results["1_audio"]
    assert (voice.status, voice.reason) == ("failed", "audio_starter does not answer")
    assert verdict.degraded


@pytest.mark.parametrize("policy", ["fail_fast", "exhaustive"])
def test_models_without_thresholds_get_a_score_and_no_label(
    paired: AnalysisContext, talking: Path, policy: Policy
) -> None:
    context = AnalysisContext.from_settings(paired.settings.replace(models="audio_rawnet2"))
    verdict = run(context, talking, Options(policy=policy))
    assert (verdict.label, verdict.calibrated, verdict.thresholds) == ("inconclusive", False, None)
    assert verdict.fake_probability is not None
    assert verdict.inconclusive_reason is not None
    assert verdict.inconclusive_reason.code == "uncalibrated"
    assert "audio_rawnet2" in verdict.inconclusive_reason.text
    assert "veracity calibrate" in verdict.inconclusive_reason.text
    assert "(uncalibrated)" in verdict.layer_results["1_audio"].reasoning
    words = "with VERACITY_MODELS instead of its own. audio_rawnet2: not measured"
    assert verdict.profile.statement.startswith(words)
    assert verdict.layer_results["4_semantic"].status == "scored"  # no label is at stake that a policy could decide


def test_a_calibrated_voice_speaks_for_itself(full_context: AnalysisContext, talking: Path) -> None:
    verdict = run(full_context, talking, Options(layers=("audio",)))
    assert verdict.calibrated
    assert "uncalibrated" not in verdict.reasoning
    named = AnalysisContext.from_settings(full_context.settings.replace(models="audio_starter"))
    assert named.profile == full_context.profile  # named by hand, and the profile's own
    other = AnalysisContext.from_settings(full_context.settings.replace(models="audio_aasist"))
    assert "audio_aasist: on the starter's 223 test clips AUC" in other.profile.statement


def test_a_sound_files_verdict_is_its_voices_own(context: AnalysisContext, talking: Path, tmp_path: Path) -> None:
    sound = media_samples.write(tmp_path / "voice.wav", "-i", talking, "-vn")
    verdict, film = run(context, sound), run(context, talking, Options(layers=("audio",)))
    voice = verdict.layer_results["1_audio"]
    assert verdict.fake_probability == voice.fake_probability
    assert verdict.thresholds == context.calibration.fusions["sound"].thresholds["balanced"]
    assert film.thresholds == context.calibration.fusions["film"].thresholds["balanced"] != verdict.thresholds


def test_a_request_chooses_the_operating_point(context: AnalysisContext, talking: Path, tmp_path: Path) -> None:
    """What is fused stays, and what it is called by changes."""
    voice = media_samples.write(tmp_path / "voice.wav", "-i", talking, "-vn")
    usual, loose = (run(context, voice, Options(operating_point=point)) for point in ("balanced", "screening"))
    assert (usual.operating_point, loose.operating_point) == ("balanced", "screening")
    assert usual.fake_probability == loose.fake_probability
    sound = context.calibration.fusions["sound"]
    assert (usual.thresholds, usual.rates) == (sound.thresholds["balanced"], sound.rates["balanced"])
    assert (loose.thresholds, loose.rates) == (sound.thresholds["screening"], sound.rates["screening"])
    assert usual.thresholds != loose.thresholds


def test_faces_that_are_too_small_are_left_to_the_models_that_take_them(
    full_repository: Path, talking: Path, tmp_path: Path
) -> None:
    """In ``talking`` the face is a tenth of the picture wide, a little more or less."""
    least, repository = MODELS["visual_starter"].least_face, tmp_path / "model_repository"
    shutil.copytree(full_repository, repository)
    tiny_models.install(repository, "visual_effnet_b7")

    def looked(width: int, models: str = "") -> Verdict:
        film = media_samples.write(tmp_path / f"{width}.mp4", "-i", talking, "-vf", f"scale={width}:-2", "-c:a", "copy")
        return run(AnalysisContext.from_settings(Settings(model_repository=repository, models=models)), film)

    small = looked(5 * least)
    visual = small.layer_results["2_visual"]
    assert (visual.status, visual.reason) == (
        "abstained", f"every face is under {least} pixels wide: too small to judge",
    )  # fmt: skip
    assert small.faces
    assert f"the faces (every face is under {least} pixels wide)" in small.reasoning
    assert f"faces under {least} pixels wide were left out" in looked(10 * least).layer_results["2_visual"].reasoning
    both = looked(5 * least, "visual_starter,visual_effnet_b7")
    assert [model.name for model in both.layer_results["2_visual"].models] == ["visual_effnet_b7"]
    assert f"visual_starter is left out: every face is under {least}" in both.layer_results["2_visual"].reasoning
    assert not both.degraded


def test_a_film_is_fake_where_its_voice_would_be_as_a_sound_file(
    context: AnalysisContext, talking: Path, tmp_path: Path
) -> None:
    heard = run(context, talking).layer_results["1_audio"].fake_probability
    assert heard is not None

    def judged(fake: float) -> Verdict:
        before, kind, sound = FILE.read_text(encoding="utf-8").partition("[profiles.starter.fusion.sound]")
        file = tmp_path / "calibration.toml"
        changed = re.sub(
            r"balanced = \{ fake = [\d.]+, real = [\d.]+,", f"balanced = {{ fake = {fake:.3f},", sound, count=1
        )
        file.write_text(before + kind + changed, encoding="utf-8")
        return run(AnalysisContext.from_settings(context.settings.replace(calibration=file)), talking)

    fake, unsure = judged(heard - 0.01), judged(heard + 0.01)
    assert (fake.label, fake.fake_probability) == ("fake", heard)
    assert fake.thresholds == Thresholds(round(heard - 0.01, 3), None)
    assert "by the voice alone, as a sound file" in fake.reasoning
    assert unsure.label == "inconclusive"
    assert "by the voice alone" not in unsure.reasoning
