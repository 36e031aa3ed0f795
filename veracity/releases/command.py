"""``veracity release``: models and their calibration, tried beside the current ones, promoted, taken back."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from veracity.releases.store import State, Store

WAIT_SECONDS = 300.0
Commands = argparse._SubParsersAction


def add(commands: Commands[Any]) -> None:
    """Add the command ``release`` and its own commands."""
    text = "try models and their calibration beside the current ones, promote them, take them back"
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument(
        "--folder", type=Path, metavar="DIR", help="of the releases (default: releases in the data folder)"
    )
    parser = commands.add_parser("release", help=text, description=text)
    own = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_stage(own, where)
    for mode, what in (("shadow", "ask the candidate too, and give its answers to nobody"),
                       ("canary", "have the candidate answer a share of the requests")):  # fmt: skip
        tried = own.add_parser(mode, help=what, parents=[where])
        tried.add_argument(
            "--share", type=float, default=1.0 if mode == "shadow" else 0.05, help="of the requests (%(default)s)"
        )
        tried.set_defaults(command=_attempt, mode=mode)
    _add_gate(own, where)
    promote = own.add_parser(
        "promote", help="make the candidate the current release, if it passed the gate", parents=[where]
    )
    promote.add_argument("name", nargs="?", help="another release than the candidate")
    promote.add_argument("--force", default="", metavar="REASON", help="without the gate; the reason is logged")
    promote.set_defaults(command=_promote)
    rollback = own.add_parser("rollback", help="end the trial, or go back to the release before", parents=[where])
    rollback.set_defaults(command=_roll_back)
    status = own.add_parser(
        "status", help="which release is what, what is served, how a candidate agrees", parents=[where]
    )
    status.add_argument("--json", action="store_true", help="print a document for programs")
    status.set_defaults(command=_status)
    _add_serve(own, where)


def _add_stage(commands: Commands[Any], where: argparse.ArgumentParser) -> None:
    stage = commands.add_parser(
        "stage", help="copy a model repository and a calibration in as the candidate", parents=[where]
    )
    stage.add_argument("name", help="of the release")
    stage.add_argument("--repository", type=Path, help="model repository (default: the setting's)")
    stage.add_argument(
        "--calibration", type=Path, help="calibration file (default: the setting's, or the installed one)"
    )
    stage.set_defaults(command=_stage)


def _add_gate(commands: Commands[Any], where: argparse.ArgumentParser) -> None:
    from veracity.releases.gate_result import Margins

    gate = commands.add_parser(
        "gate", help="compare the candidate with the current release on labelled clips", parents=[where]
    )
    gate.add_argument("clips", type=Path, nargs="?", help="as of `veracity calibrate`, and none that it was fitted on")
    gate.add_argument("--scores", type=Path, nargs=2, metavar=("CURRENT", "CANDIDATE"),
                      help="score files of `python -m benchmarks accuracy` in place of clips")  # fmt: skip
    for name, what in (("auc", "AUC"), ("wrong", "share of wrong among the decided"),
                       ("inconclusive", "share of inconclusive"), ("aurc", "risk over coverage")):  # fmt: skip
        usual = getattr(Margins(), name)
        gate.add_argument(
            f"--{name}", type=float, default=usual, metavar="N", help=f"how much worse in {what} (%(default)s)"
        )
    gate.set_defaults(command=_gate)


def _add_serve(commands: Commands[Any], where: argparse.ArgumentParser) -> None:
    serve = commands.add_parser("serve", help="serve the current release, and those that are tried", parents=[where])
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    for name, port in (("http", 8000), ("grpc", 8001), ("metrics", 8002), ("health", 8003)):
        serve.add_argument(
            f"--{name}-port", type=int, default=port, metavar="PORT", help="0 picks a free one (%(default)s)"
        )
    serve.add_argument("--stop-previous", action="store_true",
                       help="stop the server of the release before when another was promoted: less memory, and a "
                       "roll-back that waits until it has started again")  # fmt: skip
    serve.set_defaults(command=_serve)


def _store(args: argparse.Namespace) -> Store:
    from veracity import report_files
    from veracity.install import locations
    from veracity.releases.store import Store

    report_files.require_gateway()  # whose audit log this is
    return Store(args.folder or Path(locations.data()) / "releases")


def _stage(args: argparse.Namespace) -> int:
    from veracity.decision.calibration import FILE
    from veracity.releases import steps
    from veracity.settings import Settings

    settings = Settings.from_env()
    repository, calibration = (
        args.repository or settings.model_repository,
        args.calibration or settings.calibration or FILE,
    )
    release = steps.stage(_store(args), args.name, settings.profile, repository, calibration)
    return _say(f"staged {release.name}, {len(release.files)} files, sha256 {release.digest[:12]}…")


def _attempt(args: argparse.Namespace) -> int:
    from veracity.releases import steps
    from veracity_client.errors import BadOption

    if not 0 < args.share <= 1:
        raise BadOption(f"--share is over 0 and at most 1, got {args.share:g}")
    store = _store(args)
    return _followed(store, lambda: steps.attempt(store, args.mode, args.share))


def _promote(args: argparse.Namespace) -> int:
    from veracity.releases import steps

    store = _store(args)
    return _followed(store, lambda: steps.promote(store, args.name, args.force))


def _roll_back(args: argparse.Namespace) -> int:
    from veracity.releases import steps

    store = _store(args)
    return _followed(store, lambda: steps.roll_back(store))


def _followed(store: Store, change: Callable[[], State]) -> int:
    from veracity.releases import steps

    wanted, serves = steps.follow(store, change, WAIT_SECONDS)
    tried = f"; {wanted.trying}: {wanted.mode} on {wanted.share:.2%}" if wanted.trying else ""
    return _say(f"{wanted.current} is current{tried}" + ("" if serves else "; nothing serves this folder now"))


def _gate(args: argparse.Namespace) -> int:
    from veracity.calibrate.command import require_scipy

    require_scipy("veracity release gate")
    from veracity.releases import steps
    from veracity.releases.gate import compare, read_scores
    from veracity.releases.gate_result import Margins
    from veracity.releases.shown import print_gate
    from veracity.releases.store import ReleaseError
    from veracity_client.errors import BadOption

    store = _store(args)
    state = store.state()
    if state.candidate is None or state.current is None:
        raise ReleaseError(
            "a gate compares a candidate with a current release; `veracity release status` says what is there"
        )
    if (args.clips is None) == (args.scores is None):
        raise BadOption("give either clips or --scores")
    current, candidate = store.verified(state.current), store.verified(state.candidate)
    if args.scores:
        said = [read_scores(path, release) for path, release in zip(args.scores, (current, candidate))]
    else:
        from veracity.releases.asked import ask

        said = [ask(store, release.name, args.clips) for release in (current, candidate)]
    margins = Margins(args.auc, args.wrong, args.inconclusive, args.aurc)
    found = compare(current, candidate, said, margins)
    steps.record_gate(store, candidate.name, found)
    print_gate(found)
    return 0 if found.passed else 1


def _status(args: argparse.Namespace) -> int:
    from veracity.releases.shown import show_status

    return show_status(_store(args), as_json=args.json)


def _serve(args: argparse.Namespace) -> int:
    from veracity import log
    from veracity.releases.serving import ReleaseServer
    from veracity.server.ports import Ports, check
    from veracity.server.signals import stop_on_signals
    from veracity.settings import Settings

    settings, ports = Settings.from_env(), Ports(args.http_port, args.grpc_port, args.metrics_port, args.health_port)
    check(ports)
    log.configure(settings.log_level)
    server = ReleaseServer(_store(args), settings, args.host, ports, keep_previous=not args.stop_previous)
    with stop_on_signals(server):
        server.run(
            lambda front: _say("\n".join(f"{name:8} {front.url(port)}" for name, port in front.ports._asdict().items()))
        )
    return 0


def _say(text: str) -> int:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    return 0
