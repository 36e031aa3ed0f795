"""Regenerate the figures in README and docs/ from benchmarks/results/; a refused result shows its reason instead."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from evaluation.results import RESULTS
from veracity.catalog import memory
from veracity.settings import CHECKOUT
from veracity_client.errors import VeracityError

PAGES = ("README.md", "docs/**/*.md")
# What the blocks between [[[cog and [[[end]]] can call.
PROLOGUE = """
from evaluation import aims_table, capacity_table as capacity, effects_table, gpu_tables as gpu, reliability
from evaluation import peers_table as peers, practice_tables as practice, speed_tables as speed, tables as figures
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is out of date")
    parser.add_argument("--folder", type=Path, default=CHECKOUT, help="where README.md and docs/ are")


def run(args: argparse.Namespace) -> int:
    """Write the pages, or only compare them; raises VeracityError for a block that cannot be made."""
    from cogapp import Cog  # of the development tools; the other commands do without

    mode = ["--check", "--diff"] if args.check else ["-r"]
    pages = [str(page) for page in _pages(args.folder)]
    _bring_memory(check=args.check)
    code: int = Cog().main(["cog", *mode, "-P", "-p", PROLOGUE, "-n", "utf-8", "--verbosity=1", *pages])
    if code and args.check:
        raise VeracityError("generated figures are out of date: python -m benchmarks figures")
    return code


def _bring_memory(*, check: bool) -> None:
    """Bring what each model takes to where the engine reads it."""
    rows = json.loads((RESULTS / "models.json").read_text("utf-8"))["models"]
    kept = {row["model"]: {key: row[key] for key in memory.FIELDS} for row in rows}
    text = json.dumps({"models": kept}, indent=2) + "\n"
    if check and text != memory.FILE.read_text("utf-8"):
        raise VeracityError(f"{memory.FILE.name} is out of date: python -m benchmarks figures")
    if not check:
        memory.FILE.write_text(text, "utf-8")


def _pages(folder: Path) -> list[Path]:
    found = [page for pattern in PAGES for page in sorted(folder.glob(pattern))]
    return [page for page in found if "[[[cog" in page.read_text("utf-8")]
