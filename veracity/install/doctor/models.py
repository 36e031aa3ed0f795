"""The fetched files and the graphs of a profile, each against its provenance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from veracity.catalog import FACE_DETECTOR, LAYERS, MODELS, SPEAKER, Model, provenance, smoke_test
from veracity.catalog.assets import VAD_FILE
from veracity.catalog.profiles import BENCH, FALLBACKS, Choice, choose, required, served
from veracity.catalog.tensorrt import PLAN, TENSORRT
from veracity.install.advice import anew, install_hint
from veracity.install.doctor.finding import Finding
from veracity.install.names import find
from veracity.install.signing import Signer
from veracity.install.store import verify
from veracity.settings import Settings
from veracity_client.errors import BadOption


def examine(settings: Settings, graphs: bool) -> Iterator[Finding]:
    """Examine all that the profile's layers answer from; with ``graphs`` by loading and asking each."""
    choice, names = choose(settings.profile, settings.models), served(settings.profile, settings.models)
    yield from _files(settings, names)
    found = {name: _model(settings, MODELS[name], graphs) for name in names}
    spare = set(names) - set(required(choice))
    for name, finding in found.items():
        absent = name in spare and finding.state == "missing"
        what = "for explanations alone" if name == SPEAKER.name else "stands in for another"
        yield Finding(finding.what, "optional", f"{what}; {finding.detail}") if absent else finding
    yield _layers(choice, {name for name, finding in found.items() if finding.state in ("ok", "warning")})


def _files(settings: Settings, names: Iterable[str]) -> Iterator[Finding]:
    """The voice-activity detector, without which nothing starts, and what the graphs are made of."""
    if settings.vad == "silero":
        yield _file(settings, VAD_FILE, needed=True)
    files = [file for name in names for file in MODELS[name].files]
    for file in dict.fromkeys(files):
        yield _file(settings, file, needed=False)


def _file(settings: Settings, name: str, needed: bool) -> Finding:
    try:
        (source,) = find([name])
    except BadOption as error:
        return Finding(f"file {name}", "broken" if needed else "optional", error.message, needed)
    state = verify(source, settings.weights)
    if state == "ok":
        return Finding(f"file {name}", "ok", source.licence)
    if state == "missing" and not needed:
        return Finding(f"file {name}", "optional", "the graph that was made of it is all that serving needs")
    advice = f"{state}: veracity weights fetch {name}"
    if state == "unrecorded":  # somebody put it there, and its digest is not known
        return Finding(f"file {name}", "warning", advice)
    return Finding(f"file {name}", "missing" if state == "missing" else "broken", advice, True)


def _model(settings: Settings, model: Model, graphs: bool) -> Finding:
    """Hold the graph against its provenance, load it, and run its smoke test."""
    folder, what = settings.model_repository / model.name, f"model {model.name}"
    if settings.model_config_name == TENSORRT and (folder / "configs" / f"{TENSORRT}.pbtxt").is_file():
        if not (folder / "1" / PLAN).is_file():
            return Finding(what, "missing", f"no engine: {anew(model.name, engine=True)}")
        graphs = False  # what runs is the engine, and only Triton can ask it
    if not (folder / provenance.GRAPH).is_file():
        return Finding(what, "missing", install_hint(model.name, untrained=settings.profile == BENCH))
    if objection := provenance.integrity_error(folder) or _signature_error(settings, folder):
        return Finding(what, "broken", objection, True)
    if settings.profile != BENCH and (bar := provenance.rejection_reason(folder)):
        return Finding(what, "missing", bar)
    paper = provenance.read(folder)
    if graphs and (fault := _fault(model, folder, paper)):
        return Finding(what, "broken", fault, True)
    lacks = [key for key in ("graph_sha256", "known_answer") if not paper.get(key)]
    if lacks:
        return Finding(what, "warning", f"its {provenance.FILE} has no {' and no '.join(lacks)}: {anew(model.name)}")
    words = ", untrained" if paper.get("untrained") else ""
    return Finding(
        what, "ok", f"{(folder / provenance.GRAPH).stat().st_size:,} B, sha256 {paper['graph_sha256'][:12]}…{words}"
    )


def _signature_error(settings: Settings, folder: Path) -> str:
    return Signer(settings.model_signer).error(folder) if settings.model_signer else ""


def _fault(model: Model, folder: Path, paper: dict[str, Any]) -> str:
    try:
        answer = _ask(folder / provenance.GRAPH, model)
    except Exception as error:  # ONNX Runtime's errors have no common base
        return f"does not run: {' '.join(str(error).split())}"
    return smoke_test.fault(model, answer, paper)


def _ask(graph: Path, model: Model) -> dict[str, NDArray[Any]]:
    """Load a graph, run its smoke test and let it go: the largest one alone has to fit into memory."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, smoke_test.inputs(model))))


def _layers(choice: Choice, able: set[str]) -> Finding:
    """Say which layers can score; none is what no profile can run with."""
    faces = FACE_DETECTOR.name in able
    answering = {layer for layer, models in choice.items() if any({n, FALLBACKS.get(n)} & able for n, _ in models)}
    scoring = [x.name for x in LAYERS if x.name in answering and (faces or not x.needs_faces)]
    if not scoring:
        return Finding("layers", "missing", "no layer can score: every verdict would be inconclusive", True)
    left = [layer.name for layer in LAYERS if layer.name not in scoring]
    return Finding("layers", "ok", f"{', '.join(scoring)} can score" + (f"; {', '.join(left)} abstain" if left else ""))
