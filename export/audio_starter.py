"""Voice networks of our own, out of a checkpoint of `python -m training audio`: int16 samples in, log odds out.

The starter is Whisper's frozen encoder with a small head of ours, `model_repository/audio_starter/head.onnx`, from the
encoder's statistics to the log odds (`export.joined`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, compose

from export import ctranslate2, whisper
from export.joined import Case, Head, encoder_papers, install, named, read_head
from export.publish import ExportError, session
from veracity import install as weights
from veracity.catalog import smoke_test
from veracity.catalog.assets import WHISPER_FILE
from veracity.catalog.layers import MODELS, WINDOW_SAMPLES

NAME = "audio_starter"


def export(args: argparse.Namespace, model: str = NAME) -> None:
    """Write ``model`` into args.repository; raises ExportError, and WeightsError for a missing or wrong encoder.

    ``audio_starter`` is made of the committed head, or of that in args.checkpoint. A checkpoint of a network from
    scratch, and args.untrained, give a graph of that network instead, which needs torch.
    """
    if model != NAME or getattr(args, "untrained", False) or not _is_head(args.checkpoint):
        from export import audio_scratch

        audio_scratch.export(args, model)
        return
    if getattr(args, "precision", "fp32") != "fp32":
        raise ExportError(f"{NAME} is joined in fp32 only, got {args.precision}")
    encoder = whisper.encoder(ctranslate2.read(weights.require(WHISPER_FILE, args.weights)))
    folder = args.repository / NAME
    head = read_head(folder) if args.checkpoint is None else head_of(args.checkpoint)
    graph, about = join(encoder, head.graph), encoder_papers(WHISPER_FILE, whisper.OPSET)
    install(graph, head, folder, about, cases(encoder, head.graph))


def _is_head(checkpoint: Path | None) -> bool:
    """Whether the checkpoint is of a head on Whisper; none at all stands for the committed one, which is."""
    if checkpoint is None:
        return True
    from export.audio_scratch import read

    return bool(read(checkpoint)["net"] == "whisper")


def head_of(checkpoint: Path) -> Head:
    """The head in a checkpoint; raises ExportError. Needs torch."""
    from export.audio_scratch import network, read
    from export.graph import to_onnx
    from training.nets import parameters

    content = read(checkpoint)
    net = network(content)
    example = {"statistics": np.zeros((2, whisper.STATISTICS), np.float32)}
    papers = {
        "source": "training/nets/whisper.py",
        "trained_on": content["trained_on"],
        "checkpoint_sha256": weights.sha256(checkpoint),
        "parameters": parameters(net),
    }
    return Head(ModelProto.FromString(to_onnx(net, example, ["FAKE_LOGIT"])), papers, new=True)


def join(encoder: ModelProto, head: ModelProto) -> ModelProto:
    """Encoder and head as one checked graph for a batch of any size; raises ExportError where they do not fit."""
    wanted, answered = ([(v.name, v.type.tensor_type.shape.dim[-1].dim_value) for v in values]
                        for values in (head.graph.input, encoder.graph.output))  # fmt: skip
    if wanted != answered:
        raise ExportError(f"the head asks for {wanted}, and the encoder answers {answered}: teach it anew")
    end = compose.add_prefix(head, "head/")
    end.ir_version = encoder.ir_version
    return named(compose.merge_models(encoder, end, io_map=[("statistics", "head/statistics")]), NAME)


def cases(encoder: ModelProto, head: ModelProto) -> list[Case]:
    """What the parts answer to sounds."""
    first, last = session(encoder), session(head)
    said = [(sound, first.run(None, {"WAVEFORM": sound})[0]) for sound in _sounds()]
    return [Case({"WAVEFORM": sound}, last.run(None, {"statistics": heard})[0]) for sound, heard in said]


def _sounds() -> list[npt.NDArray[np.int16]]:
    """The known question, then noise, silence and full scale: batches of one and three."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(WINDOW_SAMPLES) * 1_000
    loud = np.where(rng.random(WINDOW_SAMPLES) < 0.5, -32_768, 32_767)
    return [smoke_test.question(MODELS[NAME])["WAVEFORM"], np.stack([noise, 0 * noise, loud]).astype(np.int16)]
