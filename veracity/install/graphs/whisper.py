"""Whisper's encoder as a graph, of the numbers in a CTranslate2 file; needs no torch.

    WAVEFORM    int16   [batch, 64600]  16 kHz mono
    statistics  float32 [batch, 3072]   of what each of two blocks says, one block after the other: its mean over
                                        time; how far it moves from one token to the next, on average; and how far
                                        it is from its mean

Rebuilt from the published description (Radford et al. 2022): sound brought to one level, 80 log-mel bands every 10 ms,
two convolutions, transformer blocks of width 512. `networks.whisper` is the same network in torch, which a test
holds against this one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, numpy_helper, parser

from veracity.catalog.layers import WINDOW_SAMPLES
from veracity.install.graphs.ctranslate2 import Variables
from veracity.install.graphs.mel import fourier, mel_filters
from veracity.install.graphs.publish import ExportError

OPSET, IR_VERSION = 18, 8
WIDTH, HEADS, BANDS = 512, 8, 80  # of Whisper base
STAGES = 2  # blocks of six; the higher ones know words, and hear fakes worse
STATISTICS = STAGES * 3 * WIDTH  # means, moves and spreads
SIZE, HOP = 400, 160  # 25 and 10 ms
LEVEL = 0.05  # of full scale, as loud as Whisper heard speech
TOKENS = WINDOW_SAMPLES // HOP // 2 + WINDOW_SAMPLES // HOP % 2  # every 20 ms

Numbers = dict[str, npt.NDArray[np.float32]]

_HEADER = f"""<ir_version: {IR_VERSION}, opset_import: ["" : {OPSET}]>
whisper (int16[batch, {WINDOW_SAMPLES}] WAVEFORM) => (float[batch, {STATISTICS}] statistics)
<float half = {{0.5}}, float one = {{1.0}}, float root_two = {{{2**0.5!r}}}, float full = {{32768.0}},
 float level = {{{LEVEL}}}, float silence = {{1e-8}}, float faint = {{1e-10}}, float decade = {{{np.log(10)!r}}},
 float eight = {{8.0}}, float four = {{4.0}}, float calm = {{{(WIDTH // HEADS) ** -0.5!r}}},
 int64[1] time = {{1}}, int64[2] both = {{1, 2}},
 int64[1] first = {{0}}, int64[1] last = {{-1}}, int64[1] frames = {{2}},
 int64[1] second = {{1}}, int64[1] end = {{{TOKENS}}},
 int64[6] edges = {{0, 0, {SIZE // 2}, 0, 0, {SIZE // 2}}},
 int64[5] apart = {{0, 0, 3, {HEADS}, {WIDTH // HEADS}}}, int64[3] joined = {{0, 0, {WIDTH}}}>
{{
  samples = Cast<to = 1>(WAVEFORM)
  sound = Div(samples, full)
  squares = Mul(sound, sound)
  power = ReduceMean<keepdims = 1>(squares, time)
  some = Max(power, silence)
  loudness = Sqrt(some)
  soft = Mul(sound, level)
  levelled = Div(soft, loudness)
  row = Unsqueeze(levelled, time)
  padded = Pad<mode = "reflect">(row, edges)
  spectrum = Conv<strides = [{HOP}]>(padded, basis)
  whole = Slice(spectrum, first, last, frames)
  real, imaginary = Split<axis = 1, num_outputs = 2>(whole)
  real2 = Mul(real, real)
  imaginary2 = Mul(imaginary, imaginary)
  energy = Add(real2, imaginary2)
  mel = MatMul(filters, energy)
  heard = Max(mel, faint)
  natural = Log(heard)
  decades = Div(natural, decade)
  top = ReduceMax<keepdims = 1>(decades, both)
  bottom = Sub(top, eight)
  kept = Max(decades, bottom)
  raised = Add(kept, four)
  log_mel = Div(raised, four)
  conv1_in = Conv<pads = [1, 1]>(log_mel, conv1_weight, conv1_bias)
{{conv1}}
  conv2_in = Conv<pads = [1, 1], strides = [2]>(conv1, conv2_weight, conv2_bias)
{{conv2}}
  tokens = Transpose<perm = [0, 2, 1]>(conv2)
  stage0 = Add(tokens, positions)
{{blocks}}
  statistics = Concat<axis = 1>({", ".join(f"mean{n}, move{n}, spread{n}" for n in range(1, STAGES + 1))})
}}"""

_GELU = """  @_scaled = Div(@_in, root_two)
  @_erf = Erf(@_scaled)
  @_gate = Add(@_erf, one)
  @_half = Mul(@_in, half)
  @ = Mul(@_half, @_gate)"""

# @ is the block's number, < the one before it
_BLOCK = """
  calm@ = LayerNormalization<axis = -1, epsilon = 0.00001>(stage<, attention_norm_weight@, attention_norm_bias@)
  joint@ = MatMul(calm@, query_key_value_weight@)
  shifted@ = Add(joint@, query_key_value_bias@)
  parts@ = Reshape(shifted@, apart)
  turned@ = Transpose<perm = [2, 0, 3, 1, 4]>(parts@)
  query1@, key1@, value1@ = Split<axis = 0, num_outputs = 3>(turned@)
  query@ = Squeeze(query1@, first)
  key@ = Squeeze(key1@, first)
  value@ = Squeeze(value1@, first)
  asked@ = Mul(query@, calm)
  offered@ = Transpose<perm = [0, 1, 3, 2]>(key@)
  likeness@ = MatMul(asked@, offered@)
  share@ = Softmax<axis = -1>(likeness@)
  mixed@ = MatMul(share@, value@)
  back@ = Transpose<perm = [0, 2, 1, 3]>(mixed@)
  flat@ = Reshape(back@, joined)
  out@ = MatMul(flat@, attention_out_weight@)
  answer@ = Add(out@, attention_out_bias@)
  attended@ = Add(stage<, answer@)
  rested@ = LayerNormalization<axis = -1, epsilon = 0.00001>(attended@, feed_norm_weight@, feed_norm_bias@)
  wide@ = MatMul(rested@, feed_in_weight@)
  gelu@_in = Add(wide@, feed_in_bias@)
{gelu}
  narrow@ = MatMul(gelu@, feed_out_weight@)
  fed@ = Add(narrow@, feed_out_bias@)
  stage@ = Add(attended@, fed@)
  usual@ = ReduceMean<keepdims = 1>(stage@, time)
  mean@ = Squeeze(usual@, time)
  apart@ = Sub(stage@, usual@)
  distance@ = Abs(apart@)
  spread@ = ReduceMean<keepdims = 0>(distance@, time)
  before@ = Slice(stage@, first, last, time)
  after@ = Slice(stage@, second, end, time)
  step@ = Sub(after@, before@)
  length@ = Abs(step@)
  move@ = ReduceMean<keepdims = 0>(length@, time)"""

# what a block's weights are called here, and by CTranslate2
PARTS = {
    "attention_norm": "self_attention/layer_norm",
    "query_key_value": "self_attention/linear_0",
    "attention_out": "self_attention/linear_1",
    "feed_norm": "ffn/layer_norm",
    "feed_in": "ffn/linear_0",
    "feed_out": "ffn/linear_1",
}


def encoder(variables: Variables) -> ModelProto:
    """The checked graph; raises :class:`ExportError` where the file is of another model."""
    model: ModelProto = parser.parse_model(_text())
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in _numbers(variables).items())
    onnx.checker.check_model(model, full_check=True)
    return model


def _text() -> str:
    blocks = "\n".join(_block(number) for number in range(1, STAGES + 1))
    conv1, conv2 = (_GELU.replace("@", name) for name in ("conv1", "conv2"))
    return _HEADER.replace("{conv1}", conv1).replace("{conv2}", conv2).replace("{blocks}", blocks)


def _block(number: int) -> str:
    text = _BLOCK.replace("{gelu}", _GELU.replace("@", f"gelu{number}"))
    return text.replace("stage<", f"stage{number - 1}").replace("@", str(number))


def _numbers(variables: Variables) -> Numbers:
    """The numbers by their names in the graph; matrices stand as MatMul wants them, [in, out]."""
    window = np.hanning(SIZE + 1)[:-1]
    found = {"basis": fourier(SIZE, window)[:, None], "filters": mel_filters(BANDS, SIZE)}
    try:
        for name, theirs in names().items():
            value = variables[theirs]
            found[name] = value.T if value.ndim == 2 else value
        found["positions"] = variables["encoder/position_encodings/encodings"][:TOKENS]
    except KeyError as error:
        raise ExportError(f"the encoder's file has no {error}: it is of another model") from error
    if found["conv1_weight"].shape != (WIDTH, BANDS, 3):
        raise ExportError(f"conv1 is {found['conv1_weight'].shape}, and should be {(WIDTH, BANDS, 3)}: another model")
    return {name: np.ascontiguousarray(value, np.float32) for name, value in found.items()}


def names() -> dict[str, str]:
    """What the weights are called in the graph, and by CTranslate2; blocks count from 1 here and from 0 there."""
    kinds = ("weight", "bias")
    answer = {f"{conv}_{kind}": f"encoder/{conv}/{kind}" for conv in ("conv1", "conv2") for kind in kinds}
    for block in range(STAGES):
        for ours, theirs in PARTS.items():
            their_kinds = ("gamma", "beta") if theirs.endswith("norm") else kinds
            for kind, their_kind in zip(kinds, their_kinds):
                answer[f"{ours}_{kind}{block + 1}"] = f"encoder/layer_{block}/{theirs}/{their_kind}"
    return answer
