"""`python -m training explain CHECKPOINT|MODEL VIDEO --out DIR`: where a network looks, laid over its input.

Several checkpoints of one kind, `A.ckpt,B.ckpt` or weighted `A.ckpt@2,B.ckpt@1`, form an ensemble.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from evaluation.manifest import Clip
from networks.joint import JointNet
from networks.lips import LipNet
from networks.loading import Opened
from networks.melspec import MelSpectrum
from networks.whisper import WhisperEncoder, WhisperHead, encoder
from training.cache import room_for
from training.ensemble import combine, normalised_weights, open_all
from training.joint.command import load_face_detector
from training.joint.extract import ClipInputs, extractor
from training.saliency import Image, Maps, evidence, exact_cam, grad_cam, overlay, shares
from training.sound import load_vad
from veracity.calibrate.errors import ManifestError
from veracity.catalog import MODELS
from veracity.catalog.detectors.audio_starter import WHISPER
from veracity.evidence.requests import Infer
from veracity.install.graphs import ctranslate2
from veracity_client.errors import VeracityError

_PCM_SCALE = 32_768.0
MOST = 16  # pictures per video


@dataclass(frozen=True, eq=False)
class Shown:
    """Pictures uint8 [n, h, w] grey or [n, h, w, 3] RGB, a map within 0 and 1 and the log odds of fake of each."""

    pictures: Image
    maps: Maps
    logits: npt.NDArray[np.float32]
    agreement: npt.NDArray[np.float32] | None = None  # of several networks, [n]


def run(options: argparse.Namespace) -> None:
    """Writes the overlays of ``options.video`` by ``options.model`` into ``options.out``; raises ManifestError.

    ``options.model`` names checkpoints, or an installed model that answers a CAM. The pictures are called
    NUMBER_LOGIT.png.
    """
    infer = load_face_detector(options.threads)
    explain = _installed(options.model, infer) if options.model in MODELS else _networks(options.model, options.weights)
    clip = Clip(options.video, "video", "real", "asked", "test_only", "not stated")
    try:
        inputs = extract_from(infer, options, clip)
        shown = explain(inputs)
    except VeracityError as error:
        raise ManifestError(f"{options.video}: {error}") from error
    if not len(shown.pictures):
        raise ManifestError(f"{options.video} holds no input for {options.model}")
    for path in write(shown, options.out):
        sys.stdout.write(f"{path}\n")
    sys.stderr.write(f"{words(shown)}\n")


def words(shown: Shown) -> str:
    """How to read the pictures, and how far several networks agree."""
    legend = "red marks evidence for fake; file names end in the log odds of fake"
    if shown.agreement is None:
        return legend
    low, mean = float(shown.agreement.min()), float(shown.agreement.mean())
    return f"{legend}; agreement of the members: mean {mean:.2f}, least {low:.2f} (1: all equal)"


def extract_from(infer: Infer, options: argparse.Namespace, clip: Clip) -> ClipInputs:
    """What the engine would inputs out of the video; raises VeracityError, and ManifestError where there is nothing."""
    asked = extractor(infer, load_vad(options))
    if not clip.path.is_file():
        raise ManifestError(f"no video at {clip.path}")
    try:
        return asked.read(clip, asked.extract(clip))
    except ValueError as error:
        raise ManifestError(f"{clip.path}: {error}") from error


def write(shown: Shown, out: Path) -> Iterator[Path]:
    """Writes each picture with its map over it, and names the file; raises DiskFull."""
    out.mkdir(parents=True, exist_ok=True)
    for number, (picture, heat, logit) in enumerate(zip(shown.pictures, shown.maps, shown.logits)):
        path = out / f"{number:03d}_{logit:+.2f}.png"
        with room_for(path):
            png = cv2.imencode(".png", cv2.cvtColor(overlay(picture, heat), cv2.COLOR_RGB2BGR))[1]
            path.write_bytes(png.tobytes())
        yield path


def _installed(model: str, infer: Infer) -> Callable[[ClipInputs], Shown]:
    """The exact map of a graph that answers one."""
    if "CAM" not in {tensor.name for tensor in MODELS[model].outputs}:
        able = (name for name, one in MODELS.items() if "CAM" in {tensor.name for tensor in one.outputs})
        raise ManifestError(f"{model} answers no CAM; those that do: {', '.join(able)}. Give a checkpoint instead")

    def explain(inputs: ClipInputs) -> Shown:
        faces = spread(inputs.faces)
        side = MODELS[model].size
        asked = np.stack([cv2.resize(face, (side, side)) for face in faces]) if len(faces) else faces
        if not len(asked):
            return Shown(asked, np.zeros((0, 1, 1), np.float32), np.zeros(0, np.float32))
        said = asyncio.run(infer(model, {MODELS[model].input.name: asked.astype(np.uint8)}))
        cam = 1 / (1 + np.exp(-np.asarray(said["CAM"], np.float32)))
        return Shown(faces, evidence(cam), np.asarray(said["FAKE_LOGIT"], np.float32).reshape(-1))

    return explain


def _networks(named: str, weights: Path) -> Callable[[ClipInputs], Shown]:
    """What one checkpoint's network says, or several as one; raises ManifestError."""
    parts = [named] if Path(named).is_file() else named.split(",")
    members = [_weighed(part) for part in parts]
    opened = open_all([path for path, _ in members])
    explained = [_network(one, path, weights) for one, (path, _) in zip(opened, members)]
    shares_of_all = normalised_weights(len(members), [weight for _, weight in members])

    def explain(inputs: ClipInputs) -> Shown:
        shown = [one(inputs) for one in explained]
        if len(shown) == 1 or not len(shown[0].pictures):
            return shown[0]
        if len({one.maps.shape for one in shown}) > 1:
            raise ManifestError(f"{named}: their maps differ in size and cannot be combined")
        said = combine(torch.from_numpy(np.stack([one.logits for one in shown], axis=1)), shares_of_all)
        maps = np.tensordot(shares_of_all.numpy(), np.stack([one.maps for one in shown]), axes=1)
        return Shown(shown[0].pictures, maps, said.logit.numpy()[:, 0], said.agreement.numpy()[:, 0])

    return explain


def _weighed(part: str) -> tuple[Path, float]:
    """A checkpoint and its weight: PATH, or PATH@WEIGHT where there is no file of that name."""
    path, at, weight = part.rpartition("@")
    if not at or Path(part).is_file():
        return Path(part), 1.0
    try:
        return Path(path), float(weight)
    except ValueError as error:
        raise ManifestError(f"{part}: the weight after @ must be a number: {error}") from error


def _network(opened: Opened, checkpoint: Path, weights: Path) -> Callable[[ClipInputs], Shown]:
    """The explanation by a checkpoint's network, by its kind."""
    if opened.kind == "semantic":
        raise ManifestError(f"{checkpoint} scores an encoder's embedding and has no map of its own")
    if isinstance(opened.net, WhisperHead):
        listening = encoder(ctranslate2.read(weights / WHISPER.name))
        return functools.partial(_heard, listening, opened.net)
    by_kind = {"joint": _joint, "audio": _audio, "visual": _visual, "lipsync": _lipsync}
    return lambda inputs: by_kind[opened.kind](opened, inputs)


def _joint(opened: Opened, inputs: ClipInputs) -> Shown:
    from training.joint.sampler import still

    net = opened.net
    assert isinstance(net, JointNet)
    faces, heard = spread(inputs.faces), inputs.windows[:1]
    if not len(faces):
        return _nothing()
    sound = heard if len(heard) else np.zeros((1, MODELS["audio_starter"].input.shape[0]), np.int16)
    present = np.array([[1, len(heard)]], np.uint8)
    given = [torch.from_numpy(np.asarray(part)) for part in (faces[None], sound, present)]
    flow = torch.from_numpy(still(len(faces)))[None].float()
    logits, maps = grad_cam(net, (*given, flow), net.see.backbone)
    return Shown(faces, shares(maps), np.repeat(logits.numpy().reshape(-1), len(faces)))


def _visual(opened: Opened, inputs: ClipInputs) -> Shown:
    faces = spread(inputs.faces)
    if not len(faces):
        return _nothing()
    with torch.inference_mode():
        answer = opened.net(torch.from_numpy(faces))
    if isinstance(answer, tuple):
        logits, maps = exact_cam(answer)
        return Shown(faces, evidence(maps), logits.numpy().reshape(-1))
    logits, maps = grad_cam(opened.net, (torch.from_numpy(faces),))
    return Shown(faces, shares(maps), logits.numpy().reshape(-1))


def _lipsync(opened: Opened, inputs: ClipInputs) -> Shown:
    if not len(inputs.mouths):
        return _nothing()
    net, lips = opened.net, inputs.mouths[:1]
    assert isinstance(net, LipNet)
    with torch.inference_mode():
        logit, cells = net(torch.from_numpy(lips)), net.cells(torch.from_numpy(lips))
    alike = (cells * cells[0].numel()).sigmoid()  # P(fake) if all cells were like this one: cells are summed
    frames = lips[0]
    maps = np.repeat(evidence(alike), len(frames), axis=0)
    return Shown(frames, maps, np.repeat(logit.numpy()[:, 0], len(frames)))


def _audio(opened: Opened, inputs: ClipInputs) -> Shown:
    if not len(inputs.windows):
        return _nothing()
    sound = torch.from_numpy(inputs.windows.astype(np.float32) / _PCM_SCALE)
    logits, maps = grad_cam(opened.net, (sound,))
    return Shown(spectrogram(opened.net, sound), shares(maps)[:, ::-1], logits.numpy().reshape(-1))


def _heard(listening: WhisperEncoder, head: WhisperHead, inputs: ClipInputs) -> Shown:
    """Evidence over time: the head reads means over time, to which every token contributes."""
    if not len(inputs.windows):
        return _nothing()
    sound = torch.from_numpy(inputs.windows.astype(np.float32) / _PCM_SCALE)
    with torch.no_grad():
        moments = listening.moments(sound)
        seen = listening.log_mel(sound)
    means = moments.mean(1).requires_grad_()
    logits = head(means)
    slopes = torch.autograd.grad(logits.sum(), means)[0]
    parts = ((moments - head.usual) * slopes[:, None]).sum(2).clamp(min=0)
    return Shown(_grey(seen), shares(parts[:, None]), logits.detach().numpy().reshape(-1))


def spectrogram(net: Any, sound: torch.Tensor) -> Image:
    """The power that a network sees (of a network on samples: mel bands), low bands below: uint8 [n, bands, frames]."""
    with torch.inference_mode():
        listen: torch.nn.Module = getattr(net, "spectrum", MelSpectrum())
        power = listen(sound)
    return _grey(power[:, 0] if power.ndim == 4 else (power + 1e-8).log())


def _grey(power: torch.Tensor) -> Image:
    flat = power.flatten(1)
    low, high = flat.quantile(0.05, dim=1)[:, None, None], flat.quantile(0.99, dim=1)[:, None, None]
    grey = 255 * ((power - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
    return np.ascontiguousarray(grey.byte().numpy()[:, ::-1])


def spread(faces: Image) -> Image:
    """At most MOST of them, evenly spread."""
    return faces[np.linspace(0, len(faces) - 1, min(MOST, len(faces))).round().astype(int)] if len(faces) else faces


def _nothing() -> Shown:
    return Shown(np.zeros((0, 1, 1), np.uint8), np.zeros((0, 1, 1), np.float32), np.zeros(0, np.float32))
