"""The documents' tables of committed results: each function is one block, and a refused result is its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec

from evaluation.calibration_table import calibration_rows
from evaluation.markdown import (
    NOTHING,
    Group,
    auc,
    by_kind,
    by_source,
    figure,
    origin,
    percent,
    share,
    table,
    verdicts,
    wrong_of_decided,
)
from evaluation.results import RefusedResult, load
from veracity.catalog.memory import FIELDS
from veracity.catalog.profiles import PROFILES

P = ParamSpec("P")
KINDS = {"audio": "sound files", "images": "pictures", "video": "films"}
LAYERS = {"1_audio": "voice", "2_visual": "faces", "3_lipsync": "lips", "4_semantic": "whole picture"}


def block(text: Callable[P, str]) -> Callable[P, str]:
    """Let a refused result's reason be the text, so that none of its figures is shown."""

    @wraps(text)
    def shown(*args: P.args, **kwargs: P.kwargs) -> str:
        try:
            return f"\n{text(*args, **kwargs)}\n"
        except RefusedResult as refused:
            return f"\n*No figures: {refused}.*\n"

    return shown


@block
def quality() -> str:
    """README's one table: the verdict by kind of file, then each layer."""
    document = load("accuracy")
    kinds = by_kind(document["subjects"]["verdict"])
    rows = [_verdict(KINDS[kind], groups["both"], [groups["real"]], [groups["fake"]]) for kind, groups in kinds.items()]
    whole = document["subjects"]["verdict"]
    every = whole | {"clips": sum(document["clips"].values()), "called": _all_words(whole)}
    rows.append(
        _verdict("all together", every, *([groups[label] for groups in kinds.values()] for label in ("real", "fake")))
    )
    rows += [(f"layer: {name}", _scored(found), auc(found), NOTHING, NOTHING) for name, found in _layers(document)]
    head = ("on unseen sources", "real + fake", "AUC", "inconclusive", "wrong, of those decided")
    return f"{table(head, rows)}\n\n{origin(document)}"


def _verdict(name: str, both: Group, real: Sequence[Group], fake: Sequence[Group]) -> tuple[str, ...]:
    clips = " + ".join(str(sum(group["clips"] for group in groups)) for groups in (real, fake))
    return (f"verdict: {name}", clips, auc(both), share(both, "inconclusive"), percent(wrong_of_decided(real, fake)))


def _all_words(subject: Group) -> dict[str, int]:
    counts = subject["confusion"].values()
    return {word: sum(found.get(word, 0) for found in counts) for word in ("real", "fake", "inconclusive", "no score")}


def _layers(document: dict[str, Any]) -> list[tuple[str, Group]]:
    return [(name, document["subjects"][key]) for key, name in LAYERS.items()]


def _scored(subject: Group) -> str:
    return f"{subject['scored']['real']} + {subject['scored']['fake']}"


@block
def verdict_by_kind() -> str:
    """The verdict's words by kind of file and label."""
    document = load("accuracy")
    rows = []
    for kind, groups in by_kind(document["subjects"]["verdict"]).items():
        called = [share(groups[label], word) for label in ("real", "fake") for word in ("fake", "real", "inconclusive")]
        clips = f"{groups['real']['clips']} + {groups['fake']['clips']}"
        rows.append((KINDS[kind], clips, auc(groups["both"]), figure(groups["both"]["figures"]["eer"]), *called))
    words = [f"{label}: called {word}" for label in ("real", "fake") for word in ("fake", "real", "inconclusive")]
    return f"{table(('', 'real + fake', 'AUC', 'EER', *words), rows)}\n\n{origin(document)}"


@block
def verdict_by_source() -> str:
    """The verdict on each source of the test."""
    document = load("accuracy")
    return f"{by_source(document['subjects']['verdict'], verdict=True)}\n\n{origin(document)}"


@block
def layers() -> str:
    """Each layer, by kind of file."""
    document = load("accuracy")
    rows = [(name, *row) for name, found in _layers(document) for row in _of_layer(found)]
    return f"{table(('layer', *_OF_LAYER), rows)}\n\n{origin(document)}"


@block
def layer(key: str, kind: str = "") -> str:
    """One layer for its model's card: by kind of file, then by source; or one kind of file alone."""
    document = load("accuracy")
    found = document["subjects"][key]
    if kind:
        own = {**found, "by": {"kind": [group for group in found["by"]["kind"] if group["kind"] == kind]}}
        return f"{table(_OF_LAYER, _of_layer(own))}\n\n{origin(document)}"
    return f"{table(_OF_LAYER, _of_layer(found))}\n\n{by_source(found, verdict=False)}\n\n{origin(document)}"


_OF_LAYER = ("test", "real + fake scored", "AUC", "EER", "ECE", "real called fake", "fake called real")


def _of_layer(subject: Group) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for kind, groups in by_kind(subject).items():
        if "figures" not in groups["both"]:
            continue
        real, fake = groups["real"], groups["fake"]
        clips, figures = f"{real['scored']} + {fake['scored']}", groups["both"]["figures"]
        if figures is None:
            rows.append((KINDS[kind], clips, "silent", *4 * ("–",)))
            continue
        wrong = (verdicts([real], "fake") / real["scored"], verdicts([fake], "real") / fake["scored"])
        rows.append(
            (KINDS[kind], clips, *(figure(figures[name]) for name in ("auc", "eer", "ece")), *map(percent, wrong))
        )
    return rows


@block
def robustness() -> str:
    """The verdict and the layers under each degradation."""
    document = load("robustness")
    rows = []
    for condition in document["conditions"]:
        subjects, decided = condition["subjects"], condition["decided"]
        wrong = decided["wrong"]["value"] if decided["wrong"] else None
        alone = (f"{found['auc']['value']:.2f}" if (found := subjects[key]["figures"]) else "silent" for key in LAYERS)
        silent = percent(decided["inconclusive"]["value"])
        rows.append((condition["what"], auc(subjects["verdict"]), *alone, silent, percent(wrong)))
    head = ("condition", "verdict: AUC", *LAYERS.values(), "inconclusive", "wrong, of those decided")
    return f"{table(head, rows)}\n\n{origin(document)}"


@block
def calibration(model: str) -> str:
    """What one model's calibration was fitted on, and how well it did there."""
    return calibration_rows([model])


@block
def calibrations() -> str:
    """The same of every model of the profile ``starter``, and of their fusion."""
    models = [name for layer in PROFILES["starter"].values() for name, _ in layer]
    return calibration_rows(models, fusion="starter")


@block
def latency() -> str:
    """Seconds of one video by policy, beside ffmpeg's decode of it."""
    document = load("latency")
    decode = f"{document['ffmpeg_null_seconds']['median']:.2f}"
    rows: list[tuple[str, ...]] = [("`ffmpeg -i clip -f null -`", decode, "1")]
    for policy, seconds in document["seconds"].items():
        rows.append((f"`{policy}`", f"{seconds['median']:.2f}", f"{document['times_ffmpeg_null'][policy]:.2f}"))
    if messenger := document.get("messenger_seconds"):
        rows.append(("`exhaustive`, the clip as a messenger sends it (720p)", f"{messenger['median']:.2f}", ""))
    return f"{table(('', 'seconds, median', '× ffmpeg'), rows)}\n\n{origin(document)}"


@block
def proxy() -> str:
    """What the proxy adds to a small and to a large request."""
    document = load("proxy")
    rows = []
    for small, large in zip(document["small"], document["large"]):
        way = "through the proxy" if small["way"] == "through" else "past it"
        grown = (f"{large[f'{name}_mb']} MB" for name in ("tritonserver", "envoy"))
        rows.append((small["protocol"], way, f"{small['median_ms']:.1f} ms", f"{large['seconds']:.1f} s", *grown))
    head = ("", "", "small request, median", f"{document['megabytes']} MB", "tritonserver grows by", "the proxy by")
    return f"{table(head, rows)}\n\n{origin(document)}"


@block
def models() -> str:
    """Size and time of each graph alone."""
    document = load("models")
    rows = [
        (f"`{row['model']}`", f"{row['megabytes']:.1f}", f"{row['load_seconds']:.2f} s", f"{row['one_item_ms']:.0f} ms",
         f"{row['item_in_request_ms']:.0f} ms of {row['request_items']}", "no" if row["untrained"] else "yes")
        for row in document["models"]
    ]  # fmt: skip
    head = ("model", "MB", "loads in", "one item", "an item of a request", "trained weights")
    return f"{table(head, rows)}\n\n{origin(document)}"


@block
def memory() -> str:
    """What each model's own process takes."""
    document = load("models")
    rows = [(f"`{row['model']}`", *(f"{row[key]:.0f} MB" for key in FIELDS)) for row in document["models"]]
    rows.append(("all", *(f"{sum(row[key] for row in document['models']):.0f} MB" for key in FIELDS)))
    return f"{table(('model', 'graph', 'loaded', 'at work', 'at most'), rows)}\n\n{origin(document)}"


@block
def long_files() -> str:
    """What a minute, ten and an hour take."""
    document = load("long")
    rows = [
        (f"{row['kind']}, {row['seconds'] // 60} min", f"{row['wall_seconds']:.1f} s", f"{row['times_a_minute']:.1f}",
         f"{row['cpu_seconds']:.1f} s", f"{row['grown_mb']} MB")
        for row in sorted(document["costs"], key=lambda row: (row["kind"], row["seconds"]))
    ]  # fmt: skip
    head = ("", "time", "× that of a minute", "processor time, decoders included", "memory over the process at rest")
    return f"{table(head, rows)}\n\n{origin(document)}"


@block
def fake_minute() -> str:
    """Whether a minute of another voice is found in an hour of real speech."""
    document = load("long")
    rows = [
        (row["maker"], f"{row['in_the_minute']} of {row['windows']}", str(row["best_rank"] or NOTHING),
         f"{row['highest_in_the_minute'] or 0:.2f} of {row['highest']:.2f}", f"{row['fake_probability']:.2f}",
         " ".join((row["label"], row["reason"] and f"({row['reason']})")).strip())
        for row in document["hours"]
    ]  # fmt: skip
    head = (
        "a minute of",
        "windows in it",
        "rank of its highest",
        "P(fake) of that, of the highest",
        "P(fake)",
        "label",
    )
    return f"{table(head, rows)}\n\n{origin(document)}"
