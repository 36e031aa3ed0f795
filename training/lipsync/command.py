"""`python -m training lipsync`."""

from __future__ import annotations

import argparse
import logging

import cv2
import torch

from training.cache import report
from training.lipsync.lesson import read_plan, train
from veracity.assets import VAD_FILE
from veracity.local import LocalInfer
from veracity.settings import Settings
from veracity.speech import SileroVad, energy_vad

log = logging.getLogger(__name__)

_DEBUG = {"epochs": 1, "steps": 2, "batch": 2, "pool": 4, "clips_per_source": 1}


def run(options: argparse.Namespace) -> None:
    """Teaches by the plan."""
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    changes = {"teach": options.teach} if options.teach else {}
    plan = read_plan(options.plan, **changes, **(_DEBUG if options.debug else {}))
    infer = LocalInfer(Settings.from_env().model_repository, options.threads)
    vad = SileroVad(options.weights / VAD_FILE) if options.vad == "silero" else energy_vad
    done, bad = train(options.data, options.out, options.cache, infer, vad, plan)
    for line in report(bad):
        log.warning(line)
    log.info("python -m export lipsync_starter --checkpoint %s", done)
