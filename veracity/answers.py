"""``VERACITY_ANSWERS``: what this server answered, a line each, for ``veracity drift`` and to compare two releases."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path

from veracity import log
from veracity_client.verdict import Verdict

LEFT_OUT = ("faces", "timeline", "explanation", "reasoning")  # of a verdict: what says where in the file

_log = log.get(__name__)


def record(path: Path, verdict: Verdict) -> None:
    """Append a verdict, without the places in the file. A line that cannot be written is lost, and the log says so.

    The file is opened for each line, so that it can be moved away at any time; one write is one line among several
    processes.
    """
    said = verdict.to_dict()
    layers = {key: {**layer, "frame_scores": None} for key, layer in said["layer_results"].items()}
    kept = {name: value for name, value in said.items() if name not in LEFT_OUT}
    time = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    line = json.dumps({"file": verdict.video_id, "time": time, **kept, "layer_results": layers}) + "\n"
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)
    except OSError as error:
        _log.warning("answer not recorded", path=str(path), reason=error.strerror, video_id=verdict.video_id)
