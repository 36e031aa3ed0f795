"""The audio starter: Whisper's frozen encoder with a small head of ours, joined without torch.

    WAVEFORM    int16   [batch, 64600]  16 kHz mono
    FAKE_LOGIT  float32 [batch, 1]      natural-log odds of fake

The head, ``model_repository/audio_starter/head.onnx``, goes from the encoder's statistics to the log odds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, compose

from veracity.catalog import MODELS, smoke_test
from veracity.catalog.detectors.audio_starter import WHISPER
from veracity.catalog.layers import WINDOW_SAMPLES
from veracity.install.graphs import ctranslate2, whisper
from veracity.install.graphs.encoder_with_head import Case, Head, encoder_provenance, named, read_head, write
from veracity.install.graphs.publish import ExportError, session
from veracity.install.store import require

NAME = "audio_starter"


def install(weights: Path, repository: Path, head: Head | None = None) -> None:
    """Write ``audio_starter`` into ``repository``, with ``head`` or else the committed one.

    ``weights`` is the folder of fetched files. Raises :class:`WeightsError` for a missing or wrong encoder and
    :class:`ExportError`.
    """
    encoder, folder = whisper.encoder(ctranslate2.read(require(WHISPER.name, weights))), repository / NAME
    head = head or read_head(folder)
    graph = join(encoder, head.graph)
    write(graph, head, folder, encoder_provenance(WHISPER.name, whisper.OPSET), cases(encoder, head.graph))


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
    heard = [(sound, first.run(None, {"WAVEFORM": sound})[0]) for sound in _sounds()]
    return [Case({"WAVEFORM": sound}, last.run(None, {"statistics": states})[0]) for sound, states in heard]


def _sounds() -> list[npt.NDArray[np.int16]]:
    """The smoke test's input, then noise, silence and full scale: batches of one and three."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(WINDOW_SAMPLES) * 1_000
    loud = np.where(rng.random(WINDOW_SAMPLES) < 0.5, -32_768, 32_767)
    return [smoke_test.inputs(MODELS[NAME])["WAVEFORM"], np.stack([noise, 0 * noise, loud]).astype(np.int16)]
