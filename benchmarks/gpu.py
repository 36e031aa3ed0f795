"""Networks and whole videos on one NVIDIA GPU: speed, answers against the CPU's, memory, decoding.

benchmarks/gpu.sh prepares what is measured: a model repository with graphs for each precision, beside the graphs the
engines built of them. Each network is measured in a process of its own, whose memory on the device is all its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks import gpu_device as device
from benchmarks import gpu_networks as networks
from benchmarks import gpu_sharing as sharing
from benchmarks.gpu_networks import Answered
from benchmarks.printing import show
from benchmarks.target import clip_of
from evaluation import record
from evaluation.results import RESULTS
from veracity.analysis.installed import model_info
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import analyze
from veracity.catalog.profiles import BENCH, PROFILES, choose, required
from veracity.media import Source
from veracity.settings import CHECKOUT, Settings
from veracity_client import Options
from veracity_client.errors import VeracityError

STAGES = {  # and their places in the result
    "models": "models_alone", "memory": "memory", "pipeline": "pipeline", "sharing": f"sharing_{sharing.mode()}",
}  # fmt: skip
USUAL = ("models", "memory", "pipeline")
PLACES = (*(STAGES[name] for name in USUAL), *(f"sharing_{mode}" for mode in sharing.MODES), "decode")
AT_ONCE = (1, 2, 4, 8)  # videos
EXHAUSTIVE = Options(policy="exhaustive")
PACKAGES = ("onnxruntime-gpu", "onnxruntime", "tensorrt-cu12", "polygraphy", "nvidia-cuda-runtime-cu12",
            "nvidia-cudnn-cu12")  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--provider", choices=("cuda", "cpu"), default="cuda", help="cpu tries the steps: no result")
    parser.add_argument("--profile", nargs="+", choices=sorted(PROFILES), default=[BENCH, "starter"])
    parser.add_argument(
        "--stages", nargs="+", choices=tuple(STAGES), default=list(USUAL), help="the others' figures stay"
    )
    parser.add_argument(
        "--graphs", type=Path, default=Settings.from_env().model_repository, help="fp32 graphs, and engines beside them"
    )
    parser.add_argument("--fp16", type=Path, help="model repository with engines in fp16; without it, none")
    parser.add_argument("--clip", type=Path, help="a video; without it a 10 s 1080p clip is made")
    parser.add_argument(
        "--rounds", type=int, default=20, help="runs a batch, of which the median counts; videos a level"
    )
    parser.add_argument("--quick", action="store_true", help="few runs: whether it works, not how fast")
    parser.add_argument("--out", type=Path, help="folder of gpu.json; of the committed results, and runs/ for the CPU")


def run(args: argparse.Namespace) -> int:
    """Measure, print tables, write ``gpu.json``; returns 1 where an answer is wrong or an aim of memory is missed."""
    args.out = args.out or (RESULTS if args.provider == "cuda" else CHECKOUT / "runs")
    args.rounds = 2 if args.quick else args.rounds
    args.clip = clip_of(args.clip)
    figures: dict[str, Any] = {
        "provider": args.provider,
        "rounds": args.rounds,
        "machine": {**record.circumstances()["machine"], **device.facts(args.provider)},
        "packages": _packages(),
        "models": _graphs(args),
    }
    measured: dict[str, Any] = {STAGES[stage]: [] for stage in STAGES if stage in args.stages}
    for profile in args.profile:
        asked = asyncio.run(_answered(args, profile))
        for name, rows in measured.items():
            rows += _WORK[name](args, profile, asked)
    for name, rows in measured.items():
        show(name.replace("_", " "), [{**row, **batch} for row in rows for batch in row.get("batches", [{}])])
    broken = any(row.get("broken") for rows in measured.values() for row in rows)
    if "pipeline" in measured:
        measured["decode"] = device.decode(args.clip, 2 if args.quick else 5)
    args.out.mkdir(parents=True, exist_ok=True)
    written = record.write("gpu", {**_earlier(args.out / "gpu.json", figures), **figures, **measured}, args.out)
    sys.stderr.write(f"written to {written}\n")
    return int(broken)


def _graphs(args: argparse.Namespace) -> dict[str, str]:
    names = dict.fromkeys(name for profile in args.profile for name in required(choose(profile)))
    found = {name: model_info(args.graphs, name).sha256 for name in names}
    if missing := [name for name, digest in found.items() if not digest]:
        raise VeracityError(f"no graph of {', '.join(missing)} in {args.graphs}: benchmarks/gpu.sh makes them")
    return found


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _earlier(path: Path, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stages that an earlier run measured of the same commit, graphs and machine."""
    if not path.is_file():
        return {}
    earlier = json.loads(path.read_text("utf-8"))
    same = earlier["commit"] == record.circumstances()["commit"]
    same = same and all(earlier.get(name) == value for name, value in figures.items())
    return {name: earlier[name] for name in PLACES if same and name in earlier}


class _Recorder(LocalInfer):
    """Keeps the first request to each model, and what the CPU answers."""

    def __init__(self, repository: Path) -> None:
        super().__init__(repository)
        self.asked: Answered = {}

    async def __call__(self, model: str, inputs: networks.Arrays) -> networks.Arrays:
        outputs = await super().__call__(model, inputs)
        self.asked.setdefault(model, (dict(inputs), dict(outputs)))
        return outputs


async def _answered(args: argparse.Namespace, profile: str) -> Answered:
    """Return by network what the clip asks of it; one that is asked of pictures only is absent."""
    recorder = _Recorder(args.graphs)
    await analyze(Source(args.clip), recorder, EXHAUSTIVE, sharing.context(args, profile))
    scoring = required(choose(profile))[1:]
    return {name: recorder.asked[name] for name in scoring if name in recorder.asked}


def _models(args: argparse.Namespace, profile: str, asked: Answered) -> list[dict[str, Any]]:
    """Each network alone, each way of running it."""
    return [
        {
            "profile": profile,
            "model": name,
            **_alone(partial(networks.measure, rounds=args.rounds), args, way, {name: request}),
        }
        for name, request in asked.items()
        for way in networks.ways(args)
    ]


def _memory(args: argparse.Namespace, profile: str, asked: Answered) -> list[dict[str, Any]]:
    """The networks of a profile resident together, having answered their largest batches."""
    return [{"profile": profile, **_alone(networks.reside, args, way, asked)} for way in networks.ways(args)]


def _alone(work: Any, args: argparse.Namespace, way: networks.Way, asked: Answered) -> dict[str, Any]:
    """Do it in a fresh process; what cannot be run is a row that says why, and the others go on."""
    missing = [why for name in asked if (why := way.missing(name))]
    if missing:
        return {**way.row(), "missing": "; ".join(missing)}
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return {**way.row(), **pool.submit(work, way, asked, quick=args.quick).result()}
    except Exception as error:  # ONNX Runtime's, polygraphy's and a process that died have no common base
        why = " ".join(f"{type(error).__name__}: {error}".split())
        return {**way.row(), "missing": why, "broken": [f"{', '.join(asked)}: {why}"]}


def _pipeline(args: argparse.Namespace, profile: str, _: Answered) -> list[dict[str, Any]]:
    """Whole videos with the fp32 graphs on the provider, in this process; decoding stays on the CPU."""
    levels = AT_ONCE[:2] if args.quick else AT_ONCE
    return asyncio.run(_videos(args, profile, levels))


async def _videos(args: argparse.Namespace, profile: str, levels: tuple[int, ...]) -> list[dict[str, Any]]:
    infer = LocalInfer(args.graphs, provider=device.PROVIDERS[args.provider])
    context = sharing.context(args, profile)
    loop, rows = asyncio.get_running_loop(), []
    for at_once in levels:
        warm = [analyze(Source(args.clip), infer, EXHAUSTIVE, context) for _ in range(at_once)]
        layers = {key: layer.status for key, layer in (await asyncio.gather(*warm))[0].layer_results.items()}
        began = loop.time()
        for _ in range(each := max(1, args.rounds // at_once)):
            await asyncio.gather(*(analyze(Source(args.clip), infer, EXHAUSTIVE, context) for _ in range(at_once)))
        seconds = loop.time() - began
        unscored = [f"{key} is {status}" for key, status in layers.items() if status != "scored"]
        rows.append({
            "profile": profile, "at_once": at_once, "videos": each * at_once,
            "videos_per_second": round(each * at_once / seconds, 3), "seconds_a_round": round(seconds / each, 3),
            "broken": unscored,
        })  # fmt: skip
    return rows


def _sharing(args: argparse.Namespace, profile: str, _: Answered) -> list[dict[str, Any]]:
    """Several processes at once, each with the fp32 graphs of its own."""
    return sharing.measure(args, profile)


_WORK = {"models_alone": _models, "memory": _memory, "pipeline": _pipeline, STAGES["sharing"]: _sharing}
