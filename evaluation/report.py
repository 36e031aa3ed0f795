"""The report of an evaluation: JSON, CSV and a page, written all or none, and a table for the terminal."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from evaluation import csv_report, page, record
from evaluation.aggregate import aggregate
from evaluation.outputs import VERDICT, ScoredOutput, labels, scored_outputs
from evaluation.practice import practice
from evaluation.score_table import score_table
from veracity.calibrate.scores import ScoredClip
from veracity.decision.calibration import Calibration

SCORES = "scores.jsonl"
AS_IT_IS = "as is"  # the condition without degradation
SHOWN = ("auc", "eer", "ece")  # columns of the terminal's table


def write_report(
    name: str, title: str, clips: Sequence[ScoredClip], args: argparse.Namespace, through: str, calibration: Calibration
) -> dict[str, Any]:
    """Write ``name``.json, .csv, -figures.csv, -curves.svg and .html into the folder, and print the table.

    Returns what is in the JSON. Raises ManifestError where they cannot be written; the files of an earlier measurement
    then lie there as before.
    """
    figures = {"title": title, "manifest": manifest(args, clips), "through": through, **aggregate(clips, calibration),
               "forensic": practice(clips, calibration)}  # fmt: skip
    document = record.document(name, figures)
    shown = document | {"robustness": _robustness(args.out / "robustness.json", document)}
    outputs = scored_outputs(clips, calibration)
    record.write_all({
        args.out / f"{name}.json": record.text(document),
        args.out / f"{name}.csv": score_table(clips),
        args.out / f"{name}-figures.csv": csv_report.write({AS_IT_IS: document["subjects"]}, document["forensic"]),
        args.out / f"{name}.html": page.write(shown, clips, outputs),
        **_curves(args.out / f"{name}-curves.svg", outputs[0], clips),
    })  # fmt: skip
    show(document)
    sys.stderr.write(f"{summary(document)}\n{(args.out / name).resolve()}.html; beside it {name}.json, {name}.csv, "
                     f"{name}-figures.csv, {name}-curves.svg, and the scores of every clip in {SCORES}\n")  # fmt: skip
    return document


def _curves(path: Path, verdict: ScoredOutput, clips: Sequence[ScoredClip]) -> dict[Path, str]:
    """The verdict's curves, where clips of both labels have a score."""
    from evaluation import figures  # matplotlib takes a second to load, and only this needs it

    scored = verdict.scored(clips)
    both = len({one.label for one in scored}) == 2
    return {path: figures.sheet(labels(scored), verdict.scores(scored))} if both else {}


def _robustness(path: Path, document: Mapping[str, Any]) -> dict[str, Any] | None:
    """The result of `robustness` in the folder, if it is of the same media and models; else a message says why not."""
    if not path.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        of = (found["manifest"]["name"], {*found["models"].items()})
    except (ValueError, KeyError, TypeError):
        sys.stderr.write(f"{path} is damaged and not shown\n")
        return None
    if of[0] == document["manifest"]["name"] and of[1] <= {*document["models"].items()}:
        return found
    sys.stderr.write(f"{path} is of other media or models and not shown\n")
    return None


def summary(document: Mapping[str, Any]) -> str:
    """The verdict in one line: AUC and calibration error with their intervals, and how many clips are inconclusive."""
    found, clips = document["subjects"][VERDICT], sum(document["clips"].values())
    named = {page.short(name): found["figures"][name] for name in ("auc", "ece") if found["figures"]}
    worth = ", ".join(f"{name} {page.worded(figure)}" for name, figure in named.items()) or found["unmeasurable"]
    silent, failed = clips - document["decided"]["real"] - document["decided"]["fake"], len(document["errors"])
    scored = f"{found['scored']['real']} real, {found['scored']['fake']} fake"
    return f"verdict ({scored}): {worth}; inconclusive {silent - failed} of {clips} clips, not analysed {failed}"


def manifest(args: argparse.Namespace, clips: Sequence[ScoredClip]) -> dict[str, str]:
    """What was measured on: its name, and a hash over the clips' names and labels."""
    listed = "\n".join(sorted(f"{one.id} {one.label}" for one in clips))
    sha256 = hashlib.sha256(listed.encode()).hexdigest()
    return {"name": args.manifest.resolve().name, "sha256": sha256, "split": args.split}


def show(document: Mapping[str, Any]) -> None:
    """Print the figures for a person."""
    clips, console = document["clips"], Console()
    about = f"{document['title']}: {clips['real']} real and {clips['fake']} fake clips"
    table = Table(title=about, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for name in ("", "scored", "no score", *SHOWN):
        table.add_column(name, no_wrap=True)
    silent = []
    for subject, found in document["subjects"].items():
        scored, missing = found["scored"], found["without_score"]["share"]["value"]
        row = [subject, f"{scored['real']}+{scored['fake']}", f"{missing:.0%}"]
        if found["figures"] is None:
            silent.append(f"{subject}: {found['unmeasurable']}")
        table.add_row(*row, *(_short(found["figures"][name]) for name in SHOWN if found["figures"]))
    console.print(table)
    if silent:
        console.print("\n".join(silent))
    decided, wrong = document["decided"], document["decided"]["wrong"]
    console.print(
        f"decided on {decided['real']} + {decided['fake']}"
        + (f", {wrong['value']:.1%} of them wrongly" if wrong else "")
        + f"; {decided['inconclusive']['value']:.1%} inconclusive; {len(document['errors'])} could not be analysed"
    )


def _short(figure: Mapping[str, float]) -> str:
    return f"{figure['value']:.2f} {figure['low']:.2f}–{figure['high']:.2f}"
