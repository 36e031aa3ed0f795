"""`python -m training semantic`."""

from __future__ import annotations

import argparse
import logging

import cv2
import torch

from training.joint.command import finder
from training.plan import read_plan
from training.semantic.cut import Encoder, cutter
from training.semantic.lesson import SemanticPlan, train
from training.visual.redraw import upscalers

log = logging.getLogger(__name__)

_DEBUG = {"epochs": 1, "steps": 2, "batch": 2, "most": 1}


def run(options: argparse.Namespace) -> None:
    """Teaches by the plan."""
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    changes = {"teach": options.teach} if options.teach else {}
    plan = read_plan(SemanticPlan, options.plan, **changes, **(_DEBUG if options.debug else {}))
    cut = cutter(finder(options.threads), Encoder(options.weights), upscalers(options.cache))
    done = train(options.data, options.out, cut, options.cache, plan)
    log.info("python -m export semantic_starter --checkpoint %s", done)
