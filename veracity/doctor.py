"""Examines everything a profile needs, by doing it: runs ffmpeg, resolves libraries, loads and asks every model."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np

from veracity.assets import ASSETS, VAD_FILE, Source
from veracity.engine import model_info
from veracity.layers import MODELS, Model, install_hint
from veracity.local import LocalInfer
from veracity.media import find_ffmpeg
from veracity.profiles import children, choose
from veracity.server.binaries import check_stub, find_tritonserver
from veracity.server.guard import SHARED_MEMORY
from veracity.settings import Settings
from veracity.weights import can_download, verify
from veracity_client.errors import VeracityError

DECODERS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg", "aac", "opus", "mp3", "flac")
PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "tritonclient", "nvidia-pytriton", "onnx", "structlog")
LEAST_DISK = 2 << 30  # bytes: a model repository, run directories, one large upload
LEAST_MEMORY = 4 << 30  # bytes: five Python processes, the models, and frames in flight
LEAST_SHM = 1 << 30  # bytes: videos cross it once, on their way into Python

State = Literal["ok", "warning", "missing", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing examined. ``fatal``: the chosen profile cannot run while it is so."""

    what: str
    state: State
    detail: str
    fatal: bool = False


def examine(settings: Settings) -> list[Finding]:
    """Examine the machine, the programs and the models of ``settings.profile``."""
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _python, _packages, _ffmpeg, _triton, _gpu, _space, _assets, _models,
    )  # fmt: skip
    return [finding for check in checks for finding in check(settings)]


def as_json(findings: list[Finding]) -> str:
    """Return the findings as one JSON document."""
    return json.dumps({"ok": not any(f.fatal for f in findings), "findings": [asdict(f) for f in findings]}) + "\n"


def as_table(findings: list[Finding]) -> str:
    """Return the findings as a table for a terminal."""
    from rich.console import Console
    from rich.table import Table

    colour = {"ok": "green", "warning": "yellow", "missing": "yellow", "broken": "red"}
    table = Table("what", "state", "detail", title="veracity doctor", title_justify="left")
    for f in findings:
        table.add_row(f.what, f"[{'red' if f.fatal else colour[f.state]}]{f.state}[/]", f.detail)
    buffer = io.StringIO()
    Console(file=buffer, width=shutil.get_terminal_size((120, 24)).columns, force_terminal=sys.stdout.isatty()).print(
        table
    )
    return buffer.getvalue()


def _python(_settings: Settings) -> Iterator[Finding]:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    supported = (3, 10) <= sys.version_info[:2] <= (3, 12)
    detail = sys.version.split()[0] if supported else f"{version}: the embedded Triton has stubs for 3.10 to 3.12"
    yield Finding("python", "ok" if supported else "broken", detail, not supported)


def _packages(_settings: Settings) -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(f"package {name}", "ok", metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding(f"package {name}", "missing", f"pip install {name}")


def _ffmpeg(settings: Settings) -> Iterator[Finding]:
    try:
        ffmpeg = find_ffmpeg(settings.ffmpeg)
        known = subprocess.run([ffmpeg, "-hide_banner", "-decoders"], capture_output=True, text=True, check=True).stdout
    except (VeracityError, OSError, subprocess.CalledProcessError) as error:
        yield Finding("ffmpeg", "broken", str(error), True)
        return
    names = {line.split()[1] for line in known.splitlines() if len(line.split()) > 1}
    absent = [d for d in DECODERS if not any(n == d or n.endswith(d) or n.startswith(d) for n in names)]
    yield Finding("ffmpeg", "ok", str(ffmpeg))
    yield Finding(
        "decoders", "warning" if absent else "ok", "lacks " + ", ".join(absent) if absent else " ".join(DECODERS)
    )
    prlimit = shutil.which("prlimit")
    hint = prlimit or "apt-get install -y util-linux"
    yield Finding("prlimit", "ok" if prlimit else "missing", hint, prlimit is None)


def _triton(settings: Settings) -> Iterator[Finding]:
    try:
        yield Finding("tritonserver", "ok", str(find_tritonserver(settings.triton)))
    except VeracityError as error:
        yield Finding("tritonserver", "missing", str(error), True)
    if settings.triton is None:
        yield _stub()


def _stub() -> Finding:
    try:
        check_stub()
    except VeracityError as error:
        return Finding("libpython", "missing", error.message, True)
    return Finding("libpython", "ok", "the embedded Triton's Python stub links")


def _gpu(_settings: Settings) -> Iterator[Finding]:
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip().splitlines()
    except (OSError, subprocess.CalledProcessError):
        yield Finding("gpu", "warning", "none found: models run on the CPU")
        return
    for line in found:
        yield Finding("gpu", "ok", line)


def _space(settings: Settings) -> Iterator[Finding]:
    for what, path, least in (
        ("disk", settings.model_repository, LEAST_DISK),
        ("shared memory", SHARED_MEMORY, LEAST_SHM),
    ):
        free = shutil.disk_usage(path if path.exists() else Path.cwd()).free
        yield Finding(what, "ok" if free >= least else "warning", f"{free >> 20:,} MiB free")
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    memory = int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) << 10
    yield Finding("memory", "ok" if memory >= LEAST_MEMORY else "warning", f"{memory >> 20:,} MiB available")


def _assets(settings: Settings) -> Iterator[Finding]:
    for source in ASSETS:
        state = verify(source, settings.weights)
        needed = source.name == VAD_FILE and settings.vad == "silero"
        states: dict[str, State] = {"ok": "ok", "missing": "missing"}
        hint = source.licence if state == "ok" else _cure(source, state)
        yield Finding(f"file {source.name}", states.get(state, "broken"), hint, needed and state != "ok")


def _cure(source: Source, state: str) -> str:
    if can_download(source):
        return f"{state}: veracity weights fetch {source.name}"
    return f"{state}, optional: download {source.url}, then veracity weights fetch --from FOLDER"


def _models(settings: Settings) -> Iterator[Finding]:
    for name in children(choose(settings.profile, settings.models)):
        yield _model(settings, MODELS[name])


def _model(settings: Settings, model: Model) -> Finding:
    """Hold the graph against its papers, load it, and ask it about silence, black or an empty picture."""
    file = settings.model_repository / model.name / "1" / "model.onnx"
    what = f"model {model.name}"
    if not file.is_file():
        return Finding(what, "missing", install_hint(model.name), settings.env == "production")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != model_info(settings.model_repository, model.name).sha256:
        return Finding(what, "broken", "its sha256 is not the one in provenance.json: export it anew", True)
    try:
        answer = asyncio.run(LocalInfer(settings.model_repository)(model.name, {model.input.name: blank(model)}))
    except Exception as error:
        return Finding(what, "broken", f"does not run: {error}", True)
    wrong = [t.name for t in model.outputs if not _fits(answer.get(t.name), t.shape)]
    if wrong:
        return Finding(what, "broken", f"answers {', '.join(wrong)} with another shape or with no numbers", True)
    return Finding(what, "ok", f"{file.stat().st_size:,} B, sha256 {digest[:12]}…, answers")


def blank(model: Model) -> np.ndarray[Any, np.dtype[Any]]:
    """Return a batch of one zero input of ``model``; free sides are 320."""
    dtype = {"UINT8": np.uint8, "INT16": np.int16, "FP32": np.float32}[model.input.dtype]
    return np.zeros((1, *(320 if side < 0 else side for side in model.input.shape)), dtype)


def _fits(value: Any, shape: tuple[int, ...]) -> bool:
    return value is not None and tuple(value.shape) == (1, *shape) and bool(np.isfinite(value).all())
