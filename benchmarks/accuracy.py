"""How often it is right: every clip of a manifest through the pipeline, exhaustively; figures as JSON, CSV and a page.

Clips that were analysed before by the same models and code are not analysed again: interrupted, it goes on.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import doors, page, record
from benchmarks.tally import subjects, tally
from training.data import Clip, ManifestError
from training.scores import Said
from veracity.calibration import Calibration
from veracity.layers import LAYERS
from veracity.settings import CHECKOUT, Settings

SCORES = "scores.jsonl"
SHOWN = ("auc", "eer", "ece")  # what fits a terminal; JSON and page have the rest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_media(parser, CHECKOUT / "runs" / "accuracy")
    parser.add_argument("--through", choices=("local", "triton"), default="local", help="this process, or tritonserver")
    parser.add_argument(
        "--url", help="a server that runs, its models taken to be the same each time; else one is started"
    )


def add_media(parser: argparse.ArgumentParser, out: Path) -> None:
    """Declare what is measured on, and where the results go."""
    parser.add_argument("--manifest", type=Path, required=True,
                        help="a folder with manifest.csv, a CSV video_id,label,split,path, or a folder "
                        "train|val|test/<id>/video.mp4 with meta.json")  # fmt: skip
    parser.add_argument("--split", default="test", choices=("train", "validation", "test", "all"))
    parser.add_argument("--kinds", default=",".join(doors.KINDS), help="of clips, separated by commas")
    parser.add_argument("--limit", type=int, default=0, help="clips of a source and label at most; 0: all")
    parser.add_argument("--threads", type=int, default=0, help="of a model in this process; 0: as many as there are")
    parser.add_argument("--out", type=Path, default=out, help="folder of the results and of what was said of each clip")


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write JSON, CSV and page."""
    settings, clips = settings_of(args), clips_of(args)
    with doors.through(args.through, args.url, settings, args.threads) as door:
        said = doors.ask_all(clips, doors.root(args.manifest), door, args.out / SCORES)
    finish("accuracy", "How often Veracity is right", said, args, args.through, door.calibration)
    return 0


def settings_of(args: argparse.Namespace) -> Settings:
    """The environment's; raises ManifestError for options that contradict each other."""
    if args.url and args.through != "triton":
        raise ManifestError("--url is of a server: give --through triton with it")
    return Settings.from_env()


def clips_of(args: argparse.Namespace) -> list[Clip]:
    """The clips that were asked for; raises ManifestError."""
    kinds = [kind.strip() for kind in args.kinds.split(",")]
    if unknown := set(kinds) - set(doors.KINDS):
        raise ManifestError(f"--kinds knows {', '.join(doors.KINDS)}, not {', '.join(sorted(unknown))}")
    return doors.choose_clips(args.manifest, args.split, kinds, args.limit)


def finish(
    name: str, title: str, said: Sequence[Said], args: argparse.Namespace, through: str, calibration: Calibration
) -> dict[str, Any]:
    """Write ``name``.json, .csv and .html into the folder, print the table; return what is in the JSON."""
    figures = {"title": title, "manifest": manifest(args, said), "through": through, **tally(said, calibration)}
    document: dict[str, Any] = json.loads(record.write(name, figures, args.out).read_text(encoding="utf-8"))
    write_rows(args.out / f"{name}.csv", said)
    beside = args.out / "robustness.json"
    shown = document | {"robustness": json.loads(beside.read_text("utf-8")) if beside.is_file() else None}
    (args.out / f"{name}.html").write_text(page.write(shown, said, subjects(said, calibration)), encoding="utf-8")
    show(document)
    sys.stderr.write(f"written to {args.out}: {name}.json, {name}.csv, {name}.html; every answer is in {SCORES}\n")
    return document


def manifest(args: argparse.Namespace, said: Sequence[Said]) -> dict[str, str]:
    """What was measured on: its name, and a hash over the clips' names and labels."""
    listed = "\n".join(sorted(f"{one.id} {one.label}" for one in said))
    sha256 = hashlib.sha256(listed.encode()).hexdigest()
    return {"name": args.manifest.resolve().name, "sha256": sha256, "split": args.split}


def write_rows(target: Path, said: Sequence[Said]) -> None:
    """A row a clip: what it is, what the verdict and each layer said."""
    keys = [layer.key for layer in LAYERS]
    head = ("id", "path", "kind", "label", "split", "source", "how", "seconds", "label_said", "fake_probability")
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow((*head, *keys, *(f"{key}_status" for key in keys), "error"))
        for one in said:
            layers = [one.layers.get(key) for key in keys]
            scores = [layer.fake_probability if layer else None for layer in layers]
            statuses = [layer.status if layer else None for layer in layers]
            writer.writerow((*(getattr(one, name) for name in head), *scores, *statuses, one.error))


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
