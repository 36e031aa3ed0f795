"""`python -m training COMMAND`: teach the starter networks and measure what came out."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from training.data import ManifestError
from veracity.assets import VAD_FILE
from veracity.settings import Settings
from veracity.speech import SileroVad, Vad, energy_vad

# the keys of training.nets.AUDIO_NETS, here without torch
NETS = ("melspec", "rawnet2", "spectrum", "spectrum-phase")
REPOSITORY = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; answers the exit status: 1 where the media or a file is not as it must be."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except (ManifestError, FileNotFoundError) as error:
        sys.stderr.write(f"python -m training: {error}\n")
        return 1
    return 0


def _audio(options: argparse.Namespace) -> None:
    import torch

    from training.audio import train
    from training.batches import Plan

    torch.set_num_threads(options.threads)
    plan = Plan(net=options.net, seed=options.seed, steps=options.steps)
    if options.debug:
        plan = replace(plan, steps=4, check_every=2, copies=1, pairs=2, strangers=2, clips_per_source=1)
    train(options.data, options.out, options.cache, _vad(options), plan)


def _evaluate(options: argparse.Namespace) -> None:
    from training.evaluate import evaluate

    evaluate(options.graph, options.data, options.report, _vad(options), brief=options.brief)


def _vad(options: argparse.Namespace) -> Vad:
    return SileroVad(options.weights / VAD_FILE) if options.vad == "silero" else energy_vad


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True)

    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--data", type=Path, default=REPOSITORY.parent / "shared" / "data", help="folder of manifest.csv"
    )
    shared.add_argument("--vad", default="silero", choices=("silero", "energy"), help="what finds the speech")
    shared.add_argument("--weights", type=Path, default=Settings.from_env().weights, help="where silero's file lies")

    audio = commands.add_parser("audio", parents=[shared], formatter_class=formatter, help="train layer 1")
    audio.add_argument("--out", type=Path, default=REPOSITORY / "runs" / "audio", help="for checkpoints")
    audio.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "veracity-training", help="for own fakes")
    audio.add_argument("--net", default="spectrum", choices=NETS, help="what to train")
    audio.add_argument("--steps", type=int, default=1400, help="batches to learn from")
    audio.add_argument("--seed", type=int, default=0)
    audio.add_argument("--threads", type=int, default=2, help="of the processor")
    audio.add_argument("--debug", action="store_true", help="a few tiny steps, to see that it runs")
    audio.set_defaults(command=_audio)

    evaluate = commands.add_parser(
        "evaluate", parents=[shared], formatter_class=formatter, help="measure layer 1's graph"
    )
    evaluate.add_argument("graph", type=Path, help="the exported model.onnx")
    evaluate.add_argument("--report", type=Path, required=True, help="JSON to write")
    evaluate.add_argument("--brief", action="store_true", help="without channels and videos")
    evaluate.set_defaults(command=_evaluate)
    return parser


if __name__ == "__main__":
    sys.exit(main())
