"""The published Arrow schema of the rows: one row a file, server and options.

``python -m veracity_bulk.schema`` prints it as a table of Markdown, which docs/bulk.md holds.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa

from veracity_client.errors import VeracityError
from veracity_client.verdict import Verdict

VERSION = "veracity-bulk/1"
KEY = b"veracity.schema"  # of the Parquet file's metadata

LAYER = pa.struct([("status", pa.string()), ("code", pa.string()), ("fake_probability", pa.float64())])
_COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "id": (pa.string(), "sha256 of `content_sha256`, `server` and `options`: which content was asked about, and how"),
    "uri": (pa.string(), "the file: an absolute path, or its address"),
    "content_sha256": (pa.string(), "of the file's bytes; null where it was not read whole"),
    "bytes": (pa.int64(), "of the file; null where not known"),
    "file_version": (pa.string(), "size and time of change, or an ETag: a file that has it is not read again"),
    "server": (pa.string(), "the servers' fingerprint: code, profile, hashes of the models, calibration and limits"),
    "options": (pa.string(), "what was asked, as JSON"),
    "profile": (pa.string(), "which models make up the layers"),
    "models": (pa.map_(pa.string(), pa.string()), "the sha256 of the weights of each model that answered"),
    "label": (pa.string(), "`fake`, `real` or `inconclusive`; null where there is an error"),
    "fake_probability": (pa.float64(), "of the whole, 0 to 1"),
    "confidence": (pa.float64(), "in the label"),
    "calibrated": (pa.bool_(), "whether the models are"),
    "degraded": (pa.bool_(), "whether something installed did not do its part"),
    "layers": (pa.map_(pa.string(), LAYER), "of `1_audio`, `2_visual`, `3_lipsync`, `4_semantic`"),
    "verdict": (pa.string(), "the whole verdict as JSON"),
    "error_class": (pa.string(), "a class of the error tree; null where there is a verdict"),
    "error": (pa.string(), "its message"),
    "attempts": (pa.int32(), "how often a server, or the file's store, was asked"),
    "seconds": (pa.float64(), "of the clip"),
    "analysis_seconds": (pa.float64(), "that the server worked on it"),
    "server_seconds": (pa.float64(), "the cost: `analysis_seconds` by the videos that a server analyses at once"),
    "finished": (pa.timestamp("ms", tz="UTC"), "when the row was made"),
}  # fmt: skip
SCHEMA = pa.schema([pa.field(name, kind) for name, (kind, _) in _COLUMNS.items()], metadata={KEY: VERSION.encode()})

Row = dict[str, Any]


def identity(content_sha256: str | None, server: str | None, options: str) -> str:
    """Return the id of a row."""
    return hashlib.sha256(json.dumps([content_sha256, server, options]).encode()).hexdigest()


def of_verdict(verdict: Verdict, places: float) -> Row:
    """Return the columns that a verdict fills; ``places``: how many videos its server analyses at once."""
    layers = verdict.layer_results
    return {
        "profile": verdict.profile.name,
        "models": {model.name: model.sha256 for layer in layers.values() for model in layer.models},
        "label": verdict.label,
        "fake_probability": verdict.fake_probability,
        "confidence": verdict.confidence,
        "calibrated": verdict.calibrated,
        "degraded": verdict.degraded,
        "layers": {
            name: {"status": layer.status, "code": layer.code, "fake_probability": layer.fake_probability}
            for name, layer in layers.items()
        },
        "verdict": verdict.to_json(),
        "seconds": verdict.input.seconds,
        "analysis_seconds": verdict.processing_time,
        "server_seconds": verdict.processing_time / places,
    }


def of_error(error: VeracityError) -> Row:
    """Return the columns that an error fills."""
    return {"error_class": type(error).__name__, "error": error.message}


def to_table(rows: list[Row]) -> pa.Table:
    """Return rows as they are written; ``finished`` is seconds of Unix time."""
    made = [row | {"finished": datetime.fromtimestamp(row["finished"], timezone.utc)} for row in rows]
    return pa.Table.from_pylist(made, schema=SCHEMA)


def version_of(metadata: Mapping[bytes, bytes] | None) -> str | None:
    """Return the version of the schema that a Parquet file was written with; None for a file that is not ours."""
    found = (metadata or {}).get(KEY)
    return found.decode(errors="replace") if found else None


def markdown() -> str:
    """Return the schema as a table."""
    lines = [f"| `{name}` | `{kind}` | {text} |" for name, (kind, text) in _COLUMNS.items()]
    return "\n".join(["| column | type | what |", "|---|---|---|", *lines])


if __name__ == "__main__":
    sys.stdout.write(f"{markdown()}\n")
