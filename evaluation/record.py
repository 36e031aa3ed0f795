"""Results as JSON, with the machine and the commit they were measured on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from evaluation.results import RESULTS, measured_weights
from veracity import __version__
from veracity.calibrate.errors import ManifestError
from veracity.install import files
from veracity.settings import CHECKOUT, Settings


def write(name: str, figures: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Write ``folder/name.json`` and return its path."""
    target = folder / f"{name}.json"
    write_all({target: text(document(name, figures))})
    return target


def document(name: str, figures: dict[str, Any]) -> dict[str, Any]:
    """The figures with what, when, where and with which weights was measured, as JSON types."""
    return {"benchmark": name, **circumstances(), "weights": _weights(figures), **figures}


def _weights(figures: Mapping[str, Any]) -> dict[str, str]:
    """The weights of the models that were measured; none for a graph that is not the one installed here."""
    models = figures.get("models", {})
    graphs = models if isinstance(models, Mapping) else {row["model"]: None for row in models}
    return measured_weights(graphs, Settings.from_env().model_repository)


def text(document: dict[str, Any]) -> str:
    """As a file holds it."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_all(contents: Mapping[Path, str]) -> None:
    """Write files that belong together, all or none; raises ManifestError where there is no room or no right to."""
    try:
        files.write({path: content.encode() for path, content in contents.items()})
    except OSError as error:
        where = next(iter(contents)).parent
        raise ManifestError(
            f"results cannot be written to {where}: {error.strerror}; what lay there is kept"
        ) from error


def circumstances() -> dict[str, Any]:
    """Return when, on what and with which code a measurement ran; a changed checkout is marked ``+changes``."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--short=12", "HEAD")
        + ("+changes" if _git("status", "--porcelain", "--", ":!benchmarks/results") else ""),
        "version": __version__,
        "machine": {
            "cpu": _cpu(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
        },
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
