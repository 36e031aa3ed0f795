"""`python -m training lipsync`."""

from __future__ import annotations

import argparse
import logging

import cv2
import torch

from training.joint.command import load_face_detector
from training.lipsync.task import LipPlan, train
from training.plan import read_plan
from training.sound import load_vad

log = logging.getLogger(__name__)

_DEBUG = {"epochs": 1, "steps": 2, "batch": 2, "pairs_per_split": 4, "clips_per_source": 1}


def run(options: argparse.Namespace) -> None:
    """Trains by the plan."""
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    changes = {"train_on": options.train_on} if options.train_on else {}
    plan = read_plan(LipPlan, options.plan, **changes, **(_DEBUG if options.debug else {}))
    checkpoint = train(
        options.data, options.out, options.cache, load_face_detector(options.threads), load_vad(options), plan
    )
    log.info("python -m export lipsync_starter --checkpoint %s", checkpoint)
