"""Small networks' checkpoints and what a film is cut into, for tests that have torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from evaluation.manifest import Clip
from networks.joint import JointNet, NetPlan, described
from networks.registry import AUDIO_NETS
from training import explain
from training.checkpoints import save
from training.joint.extract import FLOW_SIDE, ClipInputs
from veracity.catalog import MODELS
from veracity.catalog.layers import WINDOW_SAMPLES
from veracity.settings import Settings

SMALL = NetPlan(width=16, heads=2, layers=1)


def cut(*, faces: int = 2, windows: int = 1) -> ClipInputs:
    rng = np.random.default_rng(0)
    clip = Clip(Path("clip.mp4"), "video", "real", "own", "permissive", "own")
    return ClipInputs(
        clip,
        rng.integers(0, 256, (faces, 224, 224, 3)).astype(np.uint8),
        np.arange(faces) / 2,
        np.zeros((0, FLOW_SIDE, FLOW_SIDE, 2), np.float16),
        rng.integers(0, 256, (1, *MODELS["lipsync_starter"].input.shape)).astype(np.uint8),
        np.zeros((0, 224, 224, 3), np.uint8),
        rng.integers(-9000, 9000, (windows, WINDOW_SAMPLES)).astype(np.int16),
    )


def joint(path: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    net = JointNet(SMALL)
    save({**described(net), "model": net.state_dict()}, path)
    return path


def audio(path: Path) -> Path:
    torch.save({"net": "spectrum", "state": AUDIO_NETS["spectrum"]().state_dict(), "trained_on": []}, path)
    return path


def explained(*checkpoints: Path | str) -> Callable[[ClipInputs], explain.Shown]:
    return explain._networks(",".join(map(str, checkpoints)), Settings.from_env().weights)
