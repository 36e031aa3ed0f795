"""Measures chosen models of a model repository as `python -m benchmarks accuracy` does, without a server."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

from evaluation import report, runners, selection
from evaluation.manifest import Clip, read_clips
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
    parser.add_argument(
        "--unlearned", action="store_true", help="only clips of sources that none of the models learned from"
    )
    parser.add_argument(
        "--source", default="", help="only clips of sources with this in their name; may be of one label"
    )


def run(options: argparse.Namespace) -> None:
    """Analyse, write evaluate.json, .csv and .html and the scores, print a table; raises ManifestError."""
    settings, clips = _settings(options), _clips(options)
    runner = runners.local_runner(settings, options.threads)
    said = runners.analyze_clips(clips, selection.root(options.manifest), runner, options.out / report.SCORES)
    report.write_report("evaluate", f"How good {settings.models} is", said, options, "local", runner.calibration)


def _clips(options: argparse.Namespace) -> list[Clip]:
    """The clips of the split, of the fold or of the sources that are asked for; raises ManifestError."""
    if options.fold is None and not options.unlearned and not options.source:
        return selection.clips_of(options)
    clips = selection.of_split(read_clips(options.manifest, selection.kinds_of(options)), _split(options))
    if options.fold is not None:
        clips = [clip for clip in clips if fold(clip) == options.fold]
        options.split = f"fold {options.fold}"  # as the report calls it
    known = _learned(options, {clip.source for clip in clips}) if options.unlearned else frozenset()
    clips = [clip for clip in clips if options.source in clip.source and clip.source not in known]
    if not (options.source and clips):
        selection.of_both_labels(clips, f"{options.manifest}, {options.split}, {options.kinds}")
    return selection.at_most(clips, options.limit, options.manifest)


def _split(options: argparse.Namespace) -> str:
    return "not-test" if options.fold is not None else str(options.split)


def _learned(options: argparse.Namespace, there: Collection[str]) -> frozenset[str]:
    """The sources that the chosen models name in their provenance.

    Raises ManifestError where one names none, or only by names when the clips that are ``there`` have origins
    (``github:owner/name``): no name would be found among them, and all would pass as unlearned.
    """
    found: set[str] = set()
    for model in options.models.split(","):
        sources = provenance.read(options.repository / model.strip()).get("trained_on")
        if not sources:
            raise ManifestError(f"the {provenance.FILE} of {model.strip()} does not say what it was trained on")
        nameless = [source for source in sources if ":" not in source]
        if nameless and any(":" in source for source in there):
            words = ", ".join(nameless)
            raise ManifestError(f"{model.strip()} learned from {words}, which the manifest names by their origin")
        found.update(sources)
    return frozenset(found)


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
