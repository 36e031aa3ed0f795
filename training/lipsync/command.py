"""`python -m training lipsync`."""

from __future__ import annotations

import argparse
import logging

import cv2
import torch

from training.joint.command import finder, hearer
from training.lipsync.lesson import LipPlan, train
from training.plan import read_plan

log = logging.getLogger(__name__)

_DEBUG = {"epochs": 1, "steps": 2, "batch": 2, "pool": 4, "clips_per_source": 1}


def run(options: argparse.Namespace) -> None:
    """Teaches by the plan."""
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    changes = {"teach": options.teach} if options.teach else {}
    plan = read_plan(LipPlan, options.plan, **changes, **(_DEBUG if options.debug else {}))
    done = train(options.data, options.out, options.cache, finder(options.threads), hearer(options), plan)
    log.info("python -m export lipsync_starter --checkpoint %s", done)
