"""How well layer 4 does on clips that did not teach: two networks, each judged by what taught the other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training import metrics
from training.data import ManifestError

Row = Mapping[str, Any]  # as training.semantic.lesson writes them


def cross_fitted(files: Sequence[Path]) -> dict[str, Any]:
    """The figures of what networks ``said`` of clips that they had not learned from; raises ManifestError."""
    rows = [row for file in files for row in _read(file)]
    if len({row["id"] for row in rows}) < len(rows):
        raise ManifestError("two of the files judge the same clip: give those of networks taught by different halves")
    return {
        "clips": {"real": sum(row["label"] == "real" for row in rows), "fake": sum(map(_fake, rows))},
        "as they came": _figures(rows, "logit"),
        "through a channel": _figures(rows, "carried"),
        "sources": {name: _source(rows, name) for name in sorted({row["source"] for row in rows})},
    }


def _figures(rows: Sequence[Row], key: str) -> dict[str, Any]:
    """AUC of all, and of each generator against all real clips."""
    fakes = sorted({row["source"] for row in rows if _fake(row)})
    groups = {"all": rows, **{name: [r for r in rows if not _fake(r) or r["source"] == name] for name in fakes}}
    auc = metrics.MEASURES["auc"]
    return {
        name: metrics.interval(auc, np.array([_fake(r) for r in some]), _scores(some, key)).to_dict()
        for name, some in groups.items()
    }


def _source(rows: Sequence[Row], name: str) -> dict[str, Any]:
    mine = [row for row in rows if row["source"] == name]
    wrong = [(row["logit"] > 0) != _fake(row) for row in mine]
    mean = round(float(_scores(mine, "logit").mean()), 2)
    return {"label": mine[0]["label"], "clips": len(mine), "mean logit": mean, "wrong": metrics.share(wrong).to_dict()}


def _scores(rows: Sequence[Row], key: str) -> npt.NDArray[np.float64]:
    return np.array([row[key] for row in rows], np.float64)


def _fake(row: Row) -> bool:
    return bool(row["label"] == "fake")


def _read(path: Path) -> list[Row]:
    try:
        return list(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path} cannot be read: {error}; `python -m training semantic` writes it") from error
