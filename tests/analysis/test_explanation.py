"""Explanations by the real models: each picture is what a model was shown, each number what it answered."""

import asyncio
from dataclasses import replace
from pathlib import Path

import cv2
import media_samples
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import Observation, observe
from veracity.catalog import LAYERS
from veracity.decision.calibration import FILE
from veracity.decision.evidence import Evidence, ScoredLayer
from veracity.decision.explanation import explain
from veracity.decision.scoring import score_layer
from veracity.evidence.detector import detector as detector_of
from veracity.evidence.excerpts import FaceRun
from veracity.evidence.faces import Detection, Track
from veracity.evidence.requests import ModelOutput, Sample
from veracity.evidence.sampling import detect
from veracity.media import Frame, Source
from veracity.settings import Settings
from veracity_client import Detector
from veracity_client.explanation import MOMENTS, MOST_BYTES, MOUTHS, Explanation
from veracity_client.verdict import LayerResult, Options, Policy, Span, StageEvent, Verdict

ASKED = Options(policy="exhaustive", explain=True)
SIZE = (640, 360)  # of ``talking``


def decoded(png: bytes) -> NDArray[np.uint8]:
    """Return grey, RGB or RGBA."""
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    order = {2: None, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}[image.ndim if image.ndim == 2 else image.shape[2]]
    return np.asarray(image if order is None else cv2.cvtColor(image, order), np.uint8)


@pytest.fixture(scope="module")
def infer(settings: Settings) -> LocalInfer:
    for name in ("audio_starter", "semantic_starter"):
        if not (settings.model_repository / name / "1" / "model.onnx").is_file():
            pytest.skip(f"{name} is not installed: its encoder could not be fetched")
    return LocalInfer(settings.model_repository, threads=1)


def observed(video: Path, infer: LocalInfer, context: AnalysisContext, options: Options = ASKED) -> Observation:
    return asyncio.run(observe(Source(video), infer, options, context))


def explanation(verdict: Verdict) -> Explanation:
    assert verdict.explanation is not None
    return verdict.explanation


@pytest.fixture(scope="module")
def explained(talking: Path, infer: LocalInfer, context: AnalysisContext) -> Observation:
    return observed(talking, infer, context)


def test_moments_are_the_worst_faces_one_a_second(explained: Observation) -> None:
    verdict, moments = explained.verdict, explanation(explained.verdict).moments
    assert 0 < len(moments) <= MOMENTS
    assert len({(moment.face, int(moment.time)) for moment in moments}) == len(moments)
    scores = verdict.layer_results["2_visual"].frame_scores or ()
    assert moments[0].score == max(one.score for one in scores)
    assert [m.score for m in moments] == sorted((m.score for m in moments), reverse=True)
    boxes = {(face.id, box.time): box.box for face in verdict.faces for box in face.boxes}
    for moment in moments:
        assert moment.layer == "2_visual"
        assert moment.score in [one.score for one in scores if (one.face, one.time) == (moment.face, moment.time)]
        assert moment.face is not None
        assert moment.box == boxes[moment.face, moment.time]
        assert moment.area is not None
        sides = [a - b for a, b in zip(moment.area[2:], moment.area[:2])]
        assert sides == pytest.approx([1.25 * (b - a) for a, b in zip(moment.box[:2], moment.box[2:])], abs=2.5)


def test_a_map_is_the_models_own_for_the_crop_that_is_shown(
    explained: Observation, infer: LocalInfer, context: AnalysisContext
) -> None:
    for moment in explanation(explained.verdict).moments:
        crop = decoded(moment.crop)
        assert crop.shape == (224, 224, 3)
        answer = asyncio.run(infer("visual_starter", {"FACE": crop[None]}))
        logit, own = float(answer["FAKE_LOGIT"].item()), answer["CAM"][0]
        calibrated = context.calibration.calibrator("visual_starter")(np.array(logit))
        assert moment.score == pytest.approx(float(calibrated), abs=1e-4)
        assert moment.cam is not None
        values, span = np.array(moment.cam.values), moment.cam.high - moment.cam.low
        assert span > 0.1
        assert (values.min(), values.max()) == (0, 1)
        assert np.allclose(moment.cam.low + values * span, own, atol=2e-3)
        heat = decoded(moment.cam.png)
        assert heat.shape == (224, 224, 4)
        cells = cv2.resize(heat[..., 3], values.shape[::-1], interpolation=cv2.INTER_AREA) / 255
        assert np.corrcoef(cells.ravel(), values.ravel())[0, 1] > 0.95


def frame_at(video: Path, time: float) -> NDArray[np.uint8]:
    reader = cv2.VideoCapture(str(video))
    reader.set(cv2.CAP_PROP_POS_FRAMES, round(25 * time))
    there, frame = reader.read()
    reader.release()
    assert there
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)


def shows(crop: bytes, frame: NDArray[np.uint8], area: tuple[float, ...]) -> bool:
    x0, y0, x1, y1 = map(round, area)
    cut = cv2.resize(frame[y0:y1, x0:x1], (224, 224), interpolation=cv2.INTER_AREA)
    return float(np.abs(cut.astype(int) - decoded(crop)).mean()) < 6.0  # of 255


def test_the_area_is_what_the_crop_shows(explained: Observation, talking: Path) -> None:
    for moment in explanation(explained.verdict).moments:
        assert moment.area is not None
        frame = frame_at(talking, moment.time)
        assert shows(moment.crop, frame, moment.area)
        x0, y0, x1, y1 = moment.area
        assert not shows(moment.crop, frame, (x0 + 15, y0, x1 + 15, y1))


def test_places_are_pixels_of_a_picture_larger_than_full_hd(
    explained: Observation, talking: Path, infer: LocalInfer, context: AnalysisContext, tmp_path: Path
) -> None:
    large = media_samples.write(tmp_path / "large.mp4", "-i", talking, "-an", "-vf", "scale=2560:1440", "-t", 1)
    verdict = observed(large, infer, context, Options(policy="exhaustive", explain=True, layers=("visual",))).verdict
    assert verdict.input.resolution == "2560x1440"
    small = explained.verdict.faces[0].boxes[0].box
    assert verdict.faces[0].boxes[0].box == pytest.approx([4 * v for v in small], abs=30)
    moment = explanation(verdict).moments[0]
    assert moment.area is not None
    assert moment.box is not None
    assert shows(moment.crop, frame_at(large, moment.time), moment.area)
    assert moment.area[0] < moment.box[0] < moment.box[2] < moment.area[2]


def test_mouths_are_those_that_lips_saw(explained: Observation) -> None:
    (strip,) = explanation(explained.verdict).mouths
    items = explained.outputs["lipsync_starter"].items
    image = decoded(strip.png)
    assert image.shape == (48, 64 * MOUTHS)
    assert len(strip.times) == MOUTHS
    assert np.array_equal(image[:, :64], items[0].tensor[0][48:96, 40:104])
    assert np.array_equal(image[:, -64:], items[-1].tensor[-1][48:96, 40:104])
    assert strip.times[0] == items[0].start
    assert list(strip.times) == sorted(set(strip.times))
    assert strip.times[-1] == pytest.approx(items[-1].end - 1 / 25, abs=1e-3)
    assert strip.windows is None  # this model was measured and separates nothing


@pytest.mark.parametrize("model", ["lipsync_starter", "lipsync_lipforensics", "lipsync_syncnet"])
def test_the_mouth_is_in_the_part_of_a_sample_that_is_shown(
    model: str, infer: LocalInfer, context: AnalysisContext
) -> None:
    """A black picture with white corners of the mouth, where a real face has them."""
    portrait = cv2.imread(str(context.settings.weights / "astronaut.png"))[..., ::-1]
    ((face,),) = asyncio.run(detect(infer, [Frame(0, 0.0, np.asarray(portrait, np.uint8))]))
    of, dots = detector_of(model), np.zeros_like(portrait)
    for x, y in face.landmarks[3:].astype(int):
        dots[y - 1 : y + 2, x - 1 : x + 2] = 255
    frame = np.asarray(dots if of.colour else dots[..., 0], np.uint8)
    (sample,) = of.cut(FaceRun([frame] * 25, range(25), 1, {0: face, 24: face}))
    assert sample[0].max() > 100
    assert sample[0][of.mouth].sum() == sample[0].sum()


def test_spans_of_the_spectrogram_are_the_windows_over_the_voices_own_threshold(
    talking: Path, infer: LocalInfer, context: AnalysisContext, tmp_path: Path
) -> None:
    file = tmp_path / "calibration.toml"
    for fake, many in ((0.715, 2), (0.8, 1), (0.95, 0)):  # this voice's two windows score 0.75 and 0.87
        file.write_text(FILE.read_text("utf-8").replace("\nfake = 0.715\n", f"\nfake = {fake}\n", 1), "utf-8")
        changed = AnalysisContext.from_settings(context.settings.replace(calibration=file))
        verdict = observed(talking, infer, changed, Options(layers=("audio",), explain=True)).verdict
        sound, windows = explanation(verdict).spectrogram, verdict.timeline["1_audio"]
        assert sound is not None
        assert sound.threshold == fake
        assert sound.spans == tuple(window for window in windows if window.score >= fake)
        assert all(0 <= span.start < span.end <= sound.seconds_end for span in sound.spans)
        assert sound.seconds_start == 0
        assert sound.seconds_end == pytest.approx(6, abs=0.1)
        assert decoded(sound.png).shape == (128, int(100 * sound.seconds_end))
        assert len(sound.spans) == many


def test_without_the_option_there_is_nothing_of_it_and_the_rest_is_the_same(
    explained: Observation, talking: Path, infer: LocalInfer, context: AnalysisContext
) -> None:
    events: list[StageEvent] = []
    plain = asyncio.run(observe(Source(talking), infer, replace(ASKED, explain=False), context, events.append))
    assert plain.verdict.explanation is None
    assert "explanation" not in plain.verdict.to_json()
    assert "explanation" not in plain.verdict.to_dict()
    assert "explanation" not in {event.stage for event in events}
    assert all(output.maps is None for output in plain.outputs.values())

    def without(verdict: Verdict) -> Verdict:
        return replace(verdict, explanation=None, video_id="", timings={}, processing_time=0)

    assert without(plain.verdict) == without(explained.verdict)


@pytest.mark.parametrize("sound", [("-an",), ("-f", "lavfi", "-i", "anullsrc", "-map", "0:v", "-map", "1:a")])
def test_a_silent_clip_has_no_spectrogram(
    sound: tuple[str, ...], talking: Path, infer: LocalInfer, context: AnalysisContext, tmp_path: Path
) -> None:
    silent = media_samples.write(tmp_path / "silent.mp4", "-i", talking, *sound, "-c:v", "copy", "-t", 2)
    found = explanation(observed(silent, infer, context, Options(explain=True)).verdict)
    assert found.spectrogram is None
    assert found.moments


@pytest.mark.parametrize("policy", ["fail_fast", "exhaustive"])
def test_a_picture_has_moments_without_a_map_and_no_mouths(
    policy: Policy, infer: LocalInfer, context: AnalysisContext, tmp_path: Path
) -> None:
    """Faces of pictures have no score that counts; the model of pictures has no map, and none is made up."""
    portrait = media_samples.write(tmp_path / "portrait.jpg", "-i", context.settings.weights / "astronaut.png")
    found = explanation(observed(portrait, infer, context, Options(policy=policy, explain=True)).verdict)
    (moment,) = found.moments
    assert (moment.layer, moment.face, moment.box, moment.cam) == ("4_semantic", None, None, None)
    assert moment.area is None
    assert decoded(moment.crop).shape == (224, 224, 3)
    assert (found.mouths, found.spectrogram) == ((), None)
    assert found.generative_signature_words in ("strong", "moderate", "natural")


def test_eight_faces_fit(talking: Path, infer: LocalInfer, context: AnalysisContext, tmp_path: Path) -> None:
    near = "crop=200:180:220:40"
    many = f"[0:v]{near},split=4[a][b][c][d];[a][b][c][d]hstack=4,split[e][f];[e][f]vstack"
    film = media_samples.write(tmp_path / "eight.mp4", "-i", talking, "-filter_complex", many, "-c:a", "copy", "-t", 3)
    verdict = observed(film, infer, context).verdict
    found = explanation(verdict)
    assert len(verdict.faces) == len(found.mouths) == 8
    assert len({moment.face for moment in found.moments}) > 1
    assert len(msgspec.json.encode(found)) <= MOST_BYTES


def test_the_worst_case_fits(context: AnalysisContext) -> None:
    """Noise, which no PNG packs: eight faces with lips, large crops with large maps, and sound of an hour."""
    found = explain(noise(), context.calibration)
    assert (len(found.moments), len(found.mouths)) == (MOMENTS, 8)
    assert len(msgspec.json.encode(found)) <= MOST_BYTES
    for moment in found.moments:
        assert moment.cam is not None
        assert decoded(moment.crop).shape[:2] == decoded(moment.cam.png).shape[:2]


def noise() -> Evidence:
    made = np.random.default_rng(0)
    evidence = Evidence(sound=made.integers(-20_000, 20_000, 3600 * 16_000, np.int16))
    faces = range(1, 9)
    evidence.faces = [
        Track(k, [0], [0.0], [Detection((0.0, 0.0, 90.0, 90.0), 0.9, np.zeros((5, 2), np.float32))]) for k in faces
    ]
    crops = tuple(Sample(0.0, 1.0, made.integers(0, 256, (380, 380, 3), np.uint8), k) for k in faces)
    lips = tuple(Sample(0.0, 1.0, made.integers(0, 256, (25, 144, 144), np.uint8), k) for k in faces)
    logits, maps = made.normal(size=8).astype(np.float32), made.normal(size=(8, 12, 12)).astype(np.float32)
    evidence.outputs["visual_starter"] = ModelOutput("visual_starter", crops, logits, maps=maps)
    evidence.outputs["lipsync_starter"] = ModelOutput("lipsync_starter", lips, logits)
    scored = LayerResult("scored", "", 0.5, None, 0.5, 0.5, "")
    spans = {k: (Span(0.0, 1.0, 0.1234),) for k in faces}
    evidence.settle("2_visual", ScoredLayer(scored, faces=spans, model="visual_starter"))
    evidence.settle("3_lipsync", ScoredLayer(scored, faces=spans, model="lipsync_starter"))
    return evidence


@pytest.mark.parametrize(("number", "word"), [(0.9, "strong"), (0.5, "moderate"), (0.1, "natural")])
def test_the_word_for_a_generative_signature_is_by_the_models_own_thresholds(
    number: float, word: str, context: AnalysisContext
) -> None:
    def said(model: str) -> str | None:
        scale, evidence = context.calibration.calibrator(model), Evidence()
        logit = (np.log(number / (1 - number)) - scale.bias) * scale.temperature
        sample = Sample(0.0, 1.0, np.zeros((224, 224, 3), np.uint8))
        output = ModelOutput(model, (sample,), np.array([logit], np.float32))
        evidence.outputs[model] = output
        scored = score_layer(LAYERS[3], [(output, 1.0)], context.calibration, [context.info(model)])
        assert scored.result.generative_signature == pytest.approx(number)
        evidence.settle("4_semantic", scored)
        return explain(evidence, context.calibration).generative_signature_words

    assert said("semantic_starter") == word
    assert said("semantic_clip_vitl14") is None  # no thresholds of its own were measured


def test_the_server_answers_with_it_by_every_way(detector: Detector, talking: Path, server: object) -> None:
    options = replace(ASKED, layers=("audio", "visual"))
    answers = [detector.analyze(talking, options), *detector.stages(talking, options)]
    verdicts = [answer for answer in answers if isinstance(answer, Verdict)]
    assert len(verdicts) == 2
    for verdict in verdicts:
        found = explanation(verdict)
        assert Verdict.from_json(verdict.to_json()) == verdict
        assert decoded(found.moments[0].crop).shape == (224, 224, 3)
        cam = found.moments[0].cam
        assert cam is not None
        assert cam.low == cam.high  # this model's map is flat
        assert not np.any(cam.values)
        assert found.spectrogram is not None
    assert detector.analyze(talking, replace(options, explain=False)).explanation is None
