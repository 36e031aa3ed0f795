"""`python -m training texture`."""

from __future__ import annotations

import argparse
import logging

import cv2
import torch

from training.plan import read_plan
from training.texture.squares import extractor
from training.texture.task import TexturePlan, train
from training.visual.redrawing import redrawers
from veracity.settings import Settings

log = logging.getLogger(__name__)

_DEBUG = {"clips_per_source": 2}


def run(options: argparse.Namespace) -> None:
    """Trains by the plan, on the graph of `visual_starter` that is installed."""
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    changes = {"train_on": options.train_on} if options.train_on else {}
    changes |= {"without": options.without} if options.without else {}
    plan = read_plan(TexturePlan, options.plan, **changes, **(_DEBUG if options.debug else {}))
    how = extractor(redrawers(options.cache))
    repository = Settings.from_env().model_repository
    checkpoint = train(options.data, options.out, how, options.cache, repository, plan)
    log.info("python -m export semantic_texture_starter --checkpoint %s", checkpoint)
