"""`python -m training extract` and `python -m training joint`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from evaluation.manifest import read_clips
from training.cache import collect, report
from training.sound import load_vad
from veracity.analysis.local_infer import LocalInfer
from veracity.calibrate.errors import ManifestError
from veracity.catalog import FACE_DETECTOR
from veracity.settings import Settings

# What --debug changes: 4 samples (one of each split and label), one epoch of two batches.
DEBUG: dict[str, Any] = {"epochs": 1, "steps": 2, "batch": 2, "frames": 4, "workers": 0}


def extract(options: argparse.Namespace) -> None:
    """Extracts every clip of ``options.data`` of ``options.kinds`` into ``options.cache``, with ``options.flow``.

    Needs no torch. Resumes where it stopped; unusable files are listed at the end. Raises ManifestError.
    """
    from training.joint.extract import extractor

    clips = read_clips(options.data, options.kinds)
    if not clips:
        raise ManifestError(f"{options.data} has no clip of the kinds {', '.join(options.kinds)}")
    extracted, bad = collect(
        clips, options.cache, extractor(load_face_detector(options.threads), load_vad(options), options.flow)
    )
    faces, mouths, windows = (
        sum(len(getattr(inputs, name)) for inputs in extracted) for name in ("faces", "mouths", "windows")
    )
    summary = f"{len(extracted)} clips: {faces} faces, {mouths} mouths, {windows} windows of speech in {options.cache}"
    sys.stdout.write("\n".join([summary, *report(bad), ""]))


def run(options: argparse.Namespace) -> None:
    """Trains by ``options.plan`` on ``options.data`` under ``options.out``; raises ManifestError."""
    import torch

    from training.joint.task import JointPlan, train
    from training.plan import read_plan

    torch.set_num_threads(options.threads)
    plan = read_plan(JointPlan, options.plan, **(DEBUG if options.debug else {}))
    infer, clips = load_face_detector(options.threads), 1 if options.debug else 0
    best = train(options.data, options.out, options.cache, infer, load_vad(options), plan, clips)
    sys.stdout.write(f"{best}\n")


def load_face_detector(threads: int) -> LocalInfer:
    """The face detector, run in this process; raises ManifestError where its graph is missing."""
    infer = LocalInfer(Settings.from_env().model_repository, threads)
    if infer.state(FACE_DETECTOR.name) != "ready":
        raise ManifestError("the face detector is not installed: make models")
    return infer
