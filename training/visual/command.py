"""`python -m training visual`."""

from __future__ import annotations

import argparse
import logging

import cv2
import torch

from training.joint.command import load_face_detector
from training.plan import read_plan
from training.visual.redrawing import redrawers
from training.visual.task import START, VisualPlan, train

log = logging.getLogger(__name__)

_DEBUG = {"epochs": 1, "steps": 2, "batch": 2, "clips_per_source": 1}


def run(options: argparse.Namespace) -> None:
    """Trains by the plan."""
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    changes = {"train_on": options.train_on} if options.train_on else {}
    plan = read_plan(VisualPlan, options.plan, **changes, **(_DEBUG if options.debug else {}))
    networks = redrawers(options.cache)
    infer = load_face_detector(options.threads)
    checkpoint = train(options.data, options.out, options.cache, infer, networks, plan, options.cache / START)
    log.info("python -m export visual_starter --checkpoint %s", checkpoint)
