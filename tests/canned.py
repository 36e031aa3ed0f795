"""A verdict with every field filled, and a repository whose two detectors answer it."""

import shutil
from pathlib import Path

from veracity_client.explanation import (
    Cam,
    Explanation,
    HeardFace,
    Moment,
    MouthStrip,
    Speakers,
    SpeakingFace,
    Spectrogram,
)
from veracity_client.reasons import Reason
from veracity_client.verdict import (
    Face,
    FaceBox,
    FrameScore,
    InputInfo,
    LayerResult,
    ModelInfo,
    Profile,
    Span,
    Thresholds,
    Verdict,
)

MODEL = ModelInfo("audio_starter", "1", "0" * 64, "a small corpus", "Apache-2.0", "AUC 0.71 on 223 clips")
LAYERS = {
    "1_audio": LayerResult("scored", "", 0.3, True, 0.97, 0.97, "the voice sounds made", (MODEL,), agreement=1.0),
    "2_visual": LayerResult(
        "scored", "", 0.25, False, 0.8, 0.2, "the face looks real", frame_scores=(FrameScore(1.2, 0, 0.2),)
    ),
    "3_lipsync": LayerResult(
        "failed", "lipsync_starter does not answer", 0.25, None, None, None, "", mismatch_score=0.5, code="model_down"
    ),
    "4_semantic": LayerResult(
        "abstained",
        "weights not installed: [bold]x[/]",
        0.2,
        None,
        None,
        None,
        "",
        generative_signature=0.25,
        code="weights_missing",
    ),
}
PNG = b"\x89PNG\r\n\x1a\n"
EXPLANATION = Explanation(
    moments=(
        Moment(
            "2_visual",
            1.2,
            0.2,
            0,
            (1.0, 2.0, 3.5, 4.0),
            PNG,
            Cam(((0.0, 1.0), (0.5, 0.25)), -2.5, 1.5, PNG),
            area=(0.5, 1.5, 4.0, 4.5),
        ),
    ),
    spectrogram=Spectrogram(0.0, 4.0, PNG, (Span(0.0, 4.0, 0.97),), 0.7),
    mouths=(MouthStrip(0, (0.0, 0.04), PNG, (Span(0.0, 1.0, 0.5),)),),
    generative_signature_words="moderate",
    speakers=Speakers(
        faces=(SpeakingFace(0, (Span(0.25, 1.0, 0.9),), (Span(0.0, 1.0, 0.9), Span(2.0, 3.0, 0.1))),),
        heard_face=(
            HeardFace(0.0, 1.0, 0),
            HeardFace(2.0, 3.0, None, Reason("nobody_speaks", "no face in the picture is seen to speak")),
        ),
        reason=Reason("weights_missing", "filled here although seconds were examined: every field is"),
    ),
)
VERDICT = Verdict(
    video_id="7f1f4d1e-0000-4000-8000-000000000000",
    final_verdict=True,
    label="fake",
    fake_probability=0.62,
    confidence=0.62,
    reasoning="Fälschung – the voice",
    layers_executed=(1, 2),
    layer_results=LAYERS,
    timeline={"1_audio": (Span(0.0, 4.0, 0.97), Span(63.25, 65.0, 0.91)), "2_visual": (Span(1.0, 2.0, 0.2),)},
    faces=(Face(0, 0.0, 4.0, 0.2, (FaceBox(0.0, (1.0, 2.0, 3.5, 4.0)),), (Span(1.0, 2.0, 0.2),)),),
    policy="exhaustive",
    profile=Profile("starter", "small networks of our own"),
    thresholds=Thresholds(fake=0.6, real=0.4),
    calibrated=False,
    degraded=True,
    input=InputInfo("a" * 64, 12345, 4.0, "640x360", {"video": "h264", "audio": "aac"}, 1),
    timings={"probe": 0.1, "1_audio": 0.5},
    processing_time=0.7,
    degraded_reasons=(Reason("model_down", "lipsync_starter does not answer"),),
    inconclusive_reason=Reason("between_thresholds", "filled here although the label is fake: every field is"),
    explanation=EXPLANATION,
)

CONFIG = """
backend: "python"
max_batch_size: 1
input [
  { name: "VIDEO" data_type: TYPE_STRING dims: [ 1 ] optional: true },
  { name: "PATH" data_type: TYPE_STRING dims: [ 1 ] optional: true },
  { name: "OPTIONS" data_type: TYPE_STRING dims: [ 1 ] optional: true }
]
output [ { name: "%s" data_type: TYPE_STRING dims: [ 1 ] } ]
instance_group [ { count: %d kind: KIND_CPU } ]
dynamic_batching { default_queue_policy { max_queue_size: 1 } }
model_transaction_policy { decoupled: %s }
"""


def install(repository: Path, instances: int = 1) -> None:
    """Write the two detectors. So many requests run and one waits; one more is refused."""
    for name, output, decoupled in (("", "VERDICT", "false"), ("_stream", "EVENT", "true")):
        version = repository / f"deepfake_detector{name}" / "1"
        version.mkdir(parents=True)
        (version.parent / "config.pbtxt").write_text(CONFIG % (output, instances, decoupled))
        (version / "verdict.json").write_text(VERDICT.to_json(), "utf-8")
        shutil.copy(Path(__file__).with_name("double_model.py"), version / "model.py")
