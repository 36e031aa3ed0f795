"""`python -m training audio`."""

from __future__ import annotations

import argparse
import logging

import torch

from training.audio.plan import AudioPlan
from training.audio.task import train
from training.plan import read_plan
from training.sound import load_vad
from veracity.catalog.detectors.audio_starter import WHISPER

log = logging.getLogger(__name__)

_DEBUG = {"epochs": 1, "steps": 2, "batch": 2, "pair_count": 4, "clips_per_source": 1}


def run(options: argparse.Namespace) -> None:
    """Trains by the plan."""
    torch.set_num_threads(options.threads)
    options_of_plan = {"train_on": options.train_on, "held_out_fold": options.held_out_fold}
    changes = {key: value for key, value in options_of_plan.items() if value is not None}
    plan = read_plan(AudioPlan, options.plan, **changes, **(_DEBUG if options.debug else {}))
    checkpoint = train(
        options.data,
        options.out,
        options.cache,
        load_vad(options),
        options.weights / WHISPER.name,
        plan,
        options.spoken,
    )
    log.info("python -m export audio_starter --checkpoint %s", checkpoint)
