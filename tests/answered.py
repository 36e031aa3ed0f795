"""Made-up clips with a voice's raw scores, the calibration that is fitted to them, and answers under it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import canned
import numpy as np

from veracity.calibrate.scores import ItemScores, ScoredClip, ScoreFile
from veracity.cli import main
from veracity.decision.calibration import Calibration
from veracity.decision.scoring import threshold_label
from veracity_client.verdict import InputInfo, LayerResult, ModelInfo, Thresholds, Verdict

GRAPH = "5" * 64
CHECKPOINT = "0" * 64
SOURCES = 20


def scored(count: int, seed: int = 0) -> Iterator[ScoredClip]:
    """Sound files of both labels and 20 sources, which the voice tells rather well."""
    rng = np.random.default_rng(seed)
    for k in range(count):
        fake = k % 2 == 1
        logit = float(rng.normal(1.8 if fake else -1.8, 1.5))
        kept = {"audio_starter": ItemScores((0.0,), (4.0,), (None,), (logit,))}
        cues: dict[str, float | str] = {
            "audio_codec": "mp3" if k % 3 else "pcm_s16le", "seconds": round(float(rng.uniform(3, 30)), 2),
            "bytes_per_second": round(float(rng.uniform(8e3, 32e3)), 1),
        }  # fmt: skip
        yield ScoredClip(
            f"clip {k}", "x", "audio", int(fake), "validation", f"source {k // 2 % SOURCES}", "", "test",
            tracks=("audio",),
            outputs=kept, cues=cues,
        )  # fmt: skip


def score_file(path: Path, clips: Iterator[ScoredClip]) -> Path:
    with ScoreFile(path) as file:
        for clip in clips:
            file.add(clip)
    return path


def provenance(repository: Path) -> Path:
    """The provenance by which `veracity calibrate` knows the model."""
    folder = repository / "audio_starter"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "provenance.json").write_text(json.dumps({"checkpoint_sha256": CHECKPOINT, "graph_sha256": GRAPH}))
    return repository


def calibrated(folder: Path, count: int = 800) -> Path:
    """A calibration that was fitted to such clips; VERACITY_MODEL_REPOSITORY has their model's provenance."""
    target = folder / "ours.toml"
    assert main(["calibrate", str(score_file(folder / "fit.jsonl", scored(count))), "--out", str(target)]) == 0
    return target


def answer(calibration: Calibration, clip: ScoredClip, logit_moved: float = 0.0) -> Verdict:
    """What a server with that calibration says of a clip."""
    logit = clip.outputs["audio_starter"].logits[0] + logit_moved
    probability = round(float(calibration.calibrator("audio_starter")(np.array(logit))), 4)
    bounds = calibration.fusions["sound"].thresholds["balanced"]
    label = threshold_label(probability, bounds)
    model = ModelInfo("audio_starter", "1", GRAPH, "", "Apache-2.0")
    voice = LayerResult("scored", "", 1.0, None, None, probability, "", (model,))
    seconds, rate = float(clip.cues["seconds"]), float(clip.cues["bytes_per_second"])
    info = InputInfo("a" * 64, int(rate * seconds), seconds, None, {"audio": str(clip.cues["audio_codec"])}, 1)
    return replace(
        canned.VERDICT, label=label, final_verdict={"fake": True, "real": False}.get(label),
        fake_probability=probability,
        layer_results={"1_audio": voice}, thresholds=Thresholds(bounds.fake, bounds.real), calibrated=True, input=info,
        explanation=None,
    )  # fmt: skip


def lines(path: Path, verdicts: Iterator[Verdict]) -> Path:
    """A file as `veracity analyze --out` writes it."""
    path.write_text(
        "".join(json.dumps({"file": f"{k}.wav", "asked": {}, **v.to_dict()}) + "\n" for k, v in enumerate(verdicts))
    )
    return path
