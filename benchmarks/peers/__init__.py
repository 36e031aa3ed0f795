"""The product beside what else would serve its networks, in one run: the same clip, weights, preprocessing, answers."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from benchmarks.target import clip_of
from evaluation import record
from veracity.settings import Settings
from veracity_client.errors import VeracityError

ENVIRONMENT = (
    "scripts/bootstrap .venv-peers requirements/runtime.lock requirements/dev.lock requirements/torch.txt "
    "requirements/peers.txt"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--clip", type=Path, help="a video; without it a 10 s 1080p clip with speech and a face is made"
    )
    parser.add_argument("--rounds", type=int, default=3, help="in each every contender has its turn")
    parser.add_argument("--clients", type=int, default=4, help="videos at once, after one alone; 0 leaves that out")
    parser.add_argument("--apart", action="store_true", help="one contender after another, where memory holds no more")


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, write ``results/peers_PROFILE.json``; 1 where a contender gives other answers."""
    try:
        from benchmarks.peers import measure
    except ModuleNotFoundError as error:
        raise VeracityError(f"{error.name} is not installed in this environment: {ENVIRONMENT} makes one") from None
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else a plain kill leaves the services running
    settings = Settings.from_env()
    figures = measure.measured(clip_of(args.clip), settings, args.rounds, args.clients, apart=args.apart)
    measure.show(figures)
    sys.stderr.write(f"written to {record.write(f'peers_{settings.profile}', figures)}\n")
    return 1 if any(row["refused"] for row in figures["contenders"]) else 0
