"""Measures chosen models of a model repository as `python -m benchmarks accuracy` does, without a server."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluation import report, runners, selection
from evaluation.manifest import Clip
from training.folds import FOLDS, fold
from veracity.calibrate.errors import ManifestError
from veracity.catalog import MODELS, provenance
from veracity.settings import CHECKOUT, Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    selection.add_options(parser, CHECKOUT / "runs" / "evaluate")
    parser.add_argument(
        "--repository", type=Path, default=CHECKOUT / "model_repository", help="folder of model folders"
    )
    parser.add_argument(
        "--fold",
        type=int,
        choices=range(len(FOLDS)),
        help="fold of the trainable clips (training.folds), whatever their split",
    )
    parser.add_argument("--models", required=True, help="names, separated by commas; only their layers run")


def run(options: argparse.Namespace) -> None:
    """Analyse, write evaluate.json, .csv and .html and the scores, print a table; raises ManifestError."""
    settings, clips = _settings(options), _clips(options)
    runner = runners.local_runner(settings, options.threads)
    said = runners.analyze_clips(clips, selection.root(options.manifest), runner, options.out / report.SCORES)
    report.write_report("evaluate", f"How good {settings.models} is", said, options, "local", runner.calibration)


def _clips(options: argparse.Namespace) -> list[Clip]:
    """The clips of the split, or the trainable ones of the fold; raises ManifestError."""
    if options.fold is None:
        return selection.clips_of(options)
    clips = selection.clips_of(argparse.Namespace(**{**vars(options), "split": "all"}))
    options.split = f"fold {options.fold}"  # as the report calls it
    chosen = [clip for clip in clips if clip.split != "test" and fold(clip) == options.fold]
    selection.of_both_labels(chosen, f"{options.manifest}, fold {options.fold}, {options.kinds}")
    return chosen


def _settings(options: argparse.Namespace) -> Settings:
    """The environment's settings with the chosen models; raises ManifestError for one without a graph."""
    names = [name.strip() for name in options.models.split(",") if name.strip()]
    unknown = [name for name in names if name not in MODELS or MODELS[name].layer is None]
    if unknown or not names:
        scoring = ", ".join(model.name for model in MODELS.values() if model.layer)
        raise ManifestError(f"no model {', '.join(unknown) or 'was named'}; there are {scoring}")
    repository = options.repository.resolve()
    absent = [name for name in names if not (repository / name / provenance.GRAPH).is_file()]
    if absent:
        raise ManifestError(
            f"{options.repository} holds no graph of {', '.join(absent)} ({provenance.GRAPH} in its folder)"
        )
    return Settings.from_env().replace(model_repository=repository, models=",".join(names))
