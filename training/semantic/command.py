"""`python -m training semantic`."""

from __future__ import annotations

import argparse
import logging

import cv2
import torch

from training.joint.command import load_face_detector
from training.plan import read_plan
from training.semantic.extract import Encoder, extractor
from training.semantic.task import SemanticPlan, train
from training.visual.redrawing import upscalers

log = logging.getLogger(__name__)

_DEBUG = {"epochs": 1, "steps": 2, "batch": 2, "clips_per_source": 1}


def run(options: argparse.Namespace) -> None:
    """Trains by the plan."""
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    changes = {"train_on": options.train_on} if options.train_on else {}
    plan = read_plan(SemanticPlan, options.plan, **changes, **(_DEBUG if options.debug else {}))
    how = extractor(load_face_detector(options.threads), Encoder(options.weights), upscalers(options.cache))
    checkpoint = train(options.data, options.out, how, options.cache, plan)
    log.info("python -m export semantic_starter --checkpoint %s", checkpoint)
