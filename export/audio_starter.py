"""Voice networks of our own, out of a checkpoint of `python -m training audio`: int16 samples in, log odds out.

The starter is Whisper's frozen encoder with a small head of ours. The head is what was learned, and is committed:
`model_repository/audio_starter/head.onnx`, from the encoder's statistics to the log odds. The encoder is fetched, and
the two are joined without torch.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from onnx import ModelProto, compose

from export import ctranslate2, whisper
from export.publish import ExportError, publish
from veracity import known, weights
from veracity.assets import WHISPER_FILE
from veracity.layers import MODELS, WINDOW_SAMPLES
from veracity.weights import write

NAME = "audio_starter"
HEAD, PAPERS = "head.onnx", "head.json"  # beside config.pbtxt
TOOLS = ("onnx", "onnxruntime", "numpy")
TOLERANCE = 1e-4  # of the log odds, relative to the larger of 1 and what the parts say


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
    if args.checkpoint is not None:
        write_head(args.checkpoint, args.repository / NAME)
    head, papers = read_head(args.repository / NAME)
    graph = join(encoder, head).SerializeToString()
    facts = {"precision": "fp32", "largest_relative_error": largest_error(graph, encoder, head)}
    publish(graph, args.repository / NAME, {**papers, **_encoder(), **facts}, TOOLS)


def _is_head(checkpoint: Path | None) -> bool:
    """Whether the checkpoint is of a head on Whisper; none at all stands for the committed one, which is."""
    if checkpoint is None:
        return True
    from export.audio_scratch import read

    return bool(read(checkpoint)["net"] == "whisper")


def write_head(checkpoint: Path, folder: Path) -> None:
    """Write head.onnx and its papers out of a checkpoint. Needs torch."""
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
    page = json.dumps(papers, indent=2, ensure_ascii=False) + "\n"
    write({folder / HEAD: to_onnx(net, example, ["FAKE_LOGIT"]), folder / PAPERS: page.encode()})


def read_head(folder: Path) -> tuple[ModelProto, dict[str, Any]]:
    """The head of a model's folder with its papers; raises ExportError where it is not there or not whole."""
    try:
        model, papers = onnx.load(folder / HEAD), json.loads((folder / PAPERS).read_text(encoding="utf-8"))
        onnx.checker.check_model(model)
    except FileNotFoundError as error:
        raise ExportError(
            f"{folder.name}/{Path(error.filename).name} is gone: it comes with this version, bring it back; or teach "
            f"another and give it with --checkpoint (see training/)"
        ) from error
    except (OSError, ValueError, onnx.checker.ValidationError, DecodeError) as error:
        raise ExportError(f"{folder.name}: {HEAD} or {PAPERS} is damaged: {error}") from error
    return model, papers


def join(encoder: ModelProto, head: ModelProto) -> ModelProto:
    """Encoder and head as one checked graph for a batch of any size; raises ExportError where they do not fit."""
    wanted = [value.name for value in head.graph.input]
    if wanted != [value.name for value in encoder.graph.output]:
        raise ExportError(f"the head asks for {wanted}, and the encoder answers statistics")
    end = compose.add_prefix(head, "head/")
    end.ir_version = encoder.ir_version
    model: ModelProto = compose.merge_models(encoder, end, io_map=[("statistics", "head/statistics")])
    for part in (*model.graph.node, *model.graph.output):
        _rename(part, "head/FAKE_LOGIT", "FAKE_LOGIT")
    model.graph.name = NAME
    onnx.checker.check_model(model, full_check=True)
    return model


def _rename(part: onnx.NodeProto | onnx.ValueInfoProto, old: str, new: str) -> None:
    if isinstance(part, onnx.NodeProto):
        part.output[:] = [new if name == old else name for name in part.output]
    elif part.name == old:
        part.name = new


def largest_error(graph: bytes, encoder: ModelProto, head: ModelProto) -> float:
    """How far the joined graph is from its parts, asked one after the other; raises ExportError where too far.

    Relative to the larger of 1 and what the parts say.
    """
    joined, first, last = (_session(part) for part in (graph, encoder.SerializeToString(), head.SerializeToString()))
    worst = 0.0
    for case in _cases():
        found = joined.run(["FAKE_LOGIT"], {"WAVEFORM": case})[0]
        statistics = first.run(None, {"WAVEFORM": case})[0]
        expected = last.run(None, {"statistics": statistics})[0]
        if found.shape != (len(case), 1):
            raise ExportError(f"{NAME} answers the shape {found.shape}, and should answer {(len(case), 1)}")
        difference = np.max(np.abs(found - expected)) / max(1.0, float(np.max(np.abs(expected))))
        worst = float(np.max([worst, difference]))  # NaN stays NaN
    if not worst <= TOLERANCE:
        raise ExportError(f"{NAME}: graph and parts differ by {worst:.2g}, allowed is {TOLERANCE:g}")
    return worst


def _session(graph: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


def _cases() -> list[npt.NDArray[np.int16]]:
    """The known question, then noise, silence and full scale: batches of one and three."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(WINDOW_SAMPLES) * 1_000
    loud = np.where(rng.random(WINDOW_SAMPLES) < 0.5, -32_768, 32_767)
    return [known.question(MODELS[NAME])["WAVEFORM"], np.stack([noise, 0 * noise, loud]).astype(np.int16)]


def _encoder() -> dict[str, Any]:
    (source,) = weights.find([WHISPER_FILE])
    return {
        "encoder": {"url": source.url, "sha256": source.sha256, "licence": source.licence, "homepage": source.homepage},
        "opset": whisper.OPSET,
    }
