"""How often it is right: every clip of a manifest through the pipeline, exhaustively; figures as JSON, CSV and a page.

Clips that were analysed before by the same models and code are not analysed again: interrupted, it goes on.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import doors, page, record, sheet
from benchmarks.answers import VERDICT, subjects
from benchmarks.tally import tally
from training.data import Clip, ManifestError
from training.scores import Said
from veracity.catalog import LAYERS
from veracity.decision.calibration import Calibration
from veracity.settings import CHECKOUT, Settings

SCORES = "scores.jsonl"
AS_IT_IS = "as is"  # the condition of media that nothing was done to
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
    """Write ``name``.json, .csv, -figures.csv and .html into the folder, print the table; return what is in the JSON.

    Raises ManifestError where they cannot be written; the files of an earlier measurement then lie there as before.
    """
    figures = {"title": title, "manifest": manifest(args, said), "through": through, **tally(said, calibration)}
    document = record.document(name, figures)
    shown = document | {"robustness": _robustness(args.out / "robustness.json", document)}
    record.write_all({
        args.out / f"{name}.json": record.text(document),
        args.out / f"{name}.csv": rows(said),
        args.out / f"{name}-figures.csv": sheet.write({AS_IT_IS: document["subjects"]}),
        args.out / f"{name}.html": page.write(shown, said, subjects(said, calibration)),
    })  # fmt: skip
    show(document)
    sys.stderr.write(f"{summary(document)}\n{(args.out / name).resolve()}.html; beside it {name}.json, {name}.csv, "
                     f"{name}-figures.csv, and every answer in {SCORES}\n")  # fmt: skip
    return document


def _robustness(path: Path, document: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `robustness` wrote beside, if it is of the same media and models; else it is said why it is not shown."""
    if not path.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        of = (found["manifest"]["name"], {*found["models"].items()})
    except (ValueError, KeyError, TypeError):
        sys.stderr.write(f"{path} is damaged, and not shown\n")
        return None
    if of[0] == document["manifest"]["name"] and of[1] <= {*document["models"].items()}:
        return found
    sys.stderr.write(f"{path} is of other media or models, and not shown\n")
    return None


def summary(document: Mapping[str, Any]) -> str:
    """The verdict in one line: AUC and calibration error with their intervals, and on how many clips it is silent."""
    found, clips = document["subjects"][VERDICT], sum(document["clips"].values())
    named = {page.short(name): found["figures"][name] for name in ("auc", "ece") if found["figures"]}
    worth = ", ".join(f"{name} {page.worded(figure)}" for name, figure in named.items()) or found["unmeasurable"]
    silent, failed = clips - document["decided"]["real"] - document["decided"]["fake"], len(document["errors"])
    scored = f"{found['scored']['real']} real, {found['scored']['fake']} fake"
    return f"verdict ({scored}): {worth}; inconclusive {silent - failed} of {clips} clips, not analysed {failed}"


def manifest(args: argparse.Namespace, said: Sequence[Said]) -> dict[str, str]:
    """What was measured on: its name, and a hash over the clips' names and labels."""
    listed = "\n".join(sorted(f"{one.id} {one.label}" for one in said))
    sha256 = hashlib.sha256(listed.encode()).hexdigest()
    return {"name": args.manifest.resolve().name, "sha256": sha256, "split": args.split}


def rows(said: Sequence[Said]) -> str:
    """As CSV, a row a clip: what it is, what the verdict and each layer said."""
    keys = [layer.key for layer in LAYERS]
    head = ("id", "path", "kind", "label", "split", "source", "how", "seconds", "label_said", "fake_probability")
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow((*head, *keys, *(f"{key}_status" for key in keys), "error"))
    for one in said:
        layers = [one.layers.get(key) for key in keys]
        scores = [layer.fake_probability if layer else None for layer in layers]
        statuses = [layer.status if layer else None for layer in layers]
        writer.writerow((*(getattr(one, name) for name in head), *scores, *statuses, one.error))
    return file.getvalue()


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
