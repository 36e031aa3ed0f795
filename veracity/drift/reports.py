"""Reads what was analysed: files of ``analyze --out``, the gateway's results, jobs and reports, score files."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from veracity.calibrate.scores import ScoredClip
from veracity.catalog.layers import FileKind, kind_of_file, tracks_of
from veracity.decision.calibration import Calibration
from veracity.drift.observed import Observed, cues_of, facts_of
from veracity_client.errors import VeracityError
from veracity_client.verdict import InputInfo, Label, OperatingPoint, Thresholds, Verdict

SCHEMA = Verdict.schema
SHOWN = 12  # digits of a digest
_SCORING = ("scored", "abstained", "failed")  # a layer that was asked


class UnusableReport(VeracityError):
    """A report cannot be used; the message says which line of it, and why."""


class _Model(msgspec.Struct):
    name: str
    sha256: str


class _Layer(msgspec.Struct):
    status: str
    fake_probability: float | None
    models: tuple[_Model, ...] = ()


class _Profile(msgspec.Struct):
    name: str


class _Answer(msgspec.Struct):
    """The part of a verdict that drift looks at."""

    label: Label
    fake_probability: float | None
    layer_results: dict[str, _Layer]
    profile: _Profile
    calibrated: bool
    thresholds: Thresholds | None
    input: InputInfo
    operating_point: OperatingPoint = "balanced"


@dataclass
class Read:
    """All reports: what was analysed, errors by class, and how many answers each graph of a model gave."""

    files: list[Observed] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    graphs: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))


def read(paths: Sequence[Path], profile: str, calibration: Calibration, graph: str = "") -> Read:
    """Read reports of one set of models. With ``graph``, only answers of the graph whose sha256 begins so count.

    Raises :class:`UnusableReport` for what is no report, is of another schema, holds no answer, is of several sets of
    models, or was given under another calibration or profile.
    """
    found = Read()
    for path in paths:
        for where, document in _documents(path):
            _add(found, document, where, profile, calibration, graph)
    if not found.files:
        failed = f"; {sum(found.errors.values())} files could not be analysed" if found.errors else ""
        of = f" of a graph {graph}…" if graph else ""
        raise UnusableReport(f"{', '.join(map(str, paths))}: there is no answer{of} in it{failed}")
    for model, graphs in found.graphs.items():
        if len(graphs) > 1:
            several = ", ".join(f"{sha256[:SHOWN]} ({n} files)" for sha256, n in graphs.most_common())
            raise UnusableReport(
                f"{model} answered with several graphs: {several}. Compare one at a time: --graph {graphs.most_common(1)[0][0][:SHOWN]}"  # noqa: E501
            )
    return found


def _documents(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each document and where it stands; a last line that was not finished is left out."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnusableReport(f"{path} cannot be read: {error.strerror}") from None
    if not content.strip():
        raise UnusableReport(f"{path} is empty")
    if path.suffix == ".json":
        yield str(path), _object(content, str(path))
        return
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        if line.endswith(b"\n") and line.strip():
            yield f"{path} line {number}", _object(line, f"{path} line {number}")


def _object(text: bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UnusableReport(
            f"{where} is no JSON object: give a file of `veracity analyze --out`, results.jsonl or a report of the "
            "gateway, or a score file"
        )
    return found


def _add(
    found: Read, document: Mapping[str, Any], where: str, profile: str, calibration: Calibration, graph: str
) -> None:
    if error := document.get("error"):
        found.errors[
            error["type"] if isinstance(error, dict) and "type" in error else str(error).partition(":")[0]
        ] += 1
        return
    if "outputs" in document or {"id", "by", "label"} <= document.keys():
        observed, graphs = _of_scores(document, where)
    else:
        observed, graphs = _of_verdict(document, where, profile)
    if graph and not any(sha256.startswith(graph) for sha256 in graphs.values()):
        return
    _check(observed, where, calibration)
    for model, sha256 in graphs.items():
        found.graphs[model][sha256] += 1
    found.files.append(observed)


def _of_verdict(document: Mapping[str, Any], where: str, profile: str) -> tuple[Observed, dict[str, str]]:
    verdict = document.get("evidence", document)
    verdict = verdict.get("verdict", verdict) if isinstance(verdict, dict) else {}
    schema = verdict.get("schema") if isinstance(verdict, dict) else None
    if schema != SCHEMA:
        said = f"has the schema {schema!r}" if schema else "has no verdict"
        raise UnusableReport(f"{where} {said}; this version reads {SCHEMA}: analyse the files again")
    try:
        answer = msgspec.convert(verdict, _Answer)
    except msgspec.ValidationError as error:
        raise UnusableReport(f"{where} is no whole verdict: {error}") from None
    if answer.profile.name != profile:
        raise UnusableReport(f"{where} is of the profile {answer.profile.name}, not of {profile}: set VERACITY_PROFILE")
    if not answer.calibrated:
        raise UnusableReport(f"{where} is of models that are not calibrated: nothing says what their scores should be")
    seconds = answer.input.seconds
    tracks = tracks_of("audio" in answer.input.codecs, (seconds or 0.0) if "video" in answer.input.codecs else None)
    kind = kind_of_file(tracks)
    layers = {key: (one.status, one.fake_probability) for key, one in answer.layer_results.items()}
    graphs = {model.name: model.sha256 for one in answer.layer_results.values() for model in one.models}
    return _observed(kind, answer, layers, cues_of(answer.input)), graphs


def _of_scores(document: Mapping[str, Any], where: str) -> tuple[Observed, dict[str, str]]:
    try:
        clip = msgspec.convert(document, ScoredClip)
    except msgspec.ValidationError as error:
        raise UnusableReport(f"{where} is no line of scores: {error}") from None
    layers = {key: (one.status, one.fake_probability) for key, one in clip.layers.items()}
    return _observed(kind_of_file(clip.tracks), clip, layers, clip.cues), dict(clip.models)


def _observed(
    kind: FileKind,
    answer: _Answer | ScoredClip,
    layers: Mapping[str, tuple[str, float | None]],
    cues: Mapping[str, float | str],
) -> Observed:
    asked = {key: score for key, (status, score) in layers.items() if status in _SCORING}
    skipped = any(status == "skipped" for status, _ in layers.values())
    label = answer.label if isinstance(answer, _Answer) else answer.predicted_label or "inconclusive"
    return Observed(kind, answer.fake_probability, label, asked, facts_of(cues, kind), answer.thresholds, skipped)


def _check(observed: Observed, where: str, calibration: Calibration) -> None:
    """Raise for an answer whose thresholds no operating point of the calibration has; none at all, any may give."""
    kinds: tuple[FileKind, ...] = ("film", "sound") if observed.kind == "film" else (observed.kind,)
    fusions = [calibration.fusions[kind] for kind in kinds if kind in calibration.fusions]
    known = [Thresholds(None, None), None, *(bounds for one in fusions for bounds in one.thresholds.values())]
    if observed.thresholds not in known:
        raise UnusableReport(
            f"{where} was answered under another calibration: its thresholds {_words(observed.thresholds)} are none of "
            "this one. Give that with --calibration, or analyse the files again"
        )


def _words(bounds: Thresholds | None) -> str:
    return "none" if bounds is None else f"fake {bounds.fake}, real {bounds.real}"
