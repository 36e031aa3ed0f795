"""`python -m training audio`."""

from __future__ import annotations

import argparse
import logging

import torch

from training.audio.lesson import AudioPlan, train
from training.joint.command import hearer
from training.plan import read_plan
from veracity.catalog.detectors.audio_starter import WHISPER

log = logging.getLogger(__name__)

_DEBUG = {"epochs": 1, "steps": 2, "batch": 2, "couples": 4, "clips_per_source": 1}


def run(options: argparse.Namespace) -> None:
    """Teaches by the plan."""
    torch.set_num_threads(options.threads)
    asked = {"teach": options.teach, "without": options.without}
    changes = {key: value for key, value in asked.items() if value is not None}
    plan = read_plan(AudioPlan, options.plan, **changes, **(_DEBUG if options.debug else {}))
    done = train(options.data, options.out, options.cache, hearer(options), options.weights / WHISPER.name, plan)
    log.info("python -m export audio_starter --checkpoint %s", done)
