"""Nothing that takes time runs on the event loop: pictures and digests are computed in threads."""

import asyncio
import hashlib
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import analyze
from veracity.media import Source
from veracity_client.verdict import Options

OF_CV2 = {id(value): name for name, value in vars(cv2).items() if callable(value)}


def slow_calls(work: Callable[[], Any]) -> Counter[str]:
    """Count the calls of OpenCV, of hashing and of inference that ``work`` makes in this thread."""
    calls: Counter[str] = Counter()

    def note(_frame: object, event: str, function: Any) -> None:
        if event != "c_call":
            return
        if id(function) in OF_CV2:
            calls[f"cv2.{OF_CV2[id(function)]}"] += 1
        owner = type(getattr(function, "__self__", None)).__name__
        if owner == "HASH" or (owner, function.__name__) == ("InferenceSession", "run"):
            calls[f"{owner}.{function.__name__}"] += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def test_the_count_finds_what_it_looks_for() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    assert slow_calls(lambda: cv2.resize(picture, (4, 4))) == {"cv2.resize": 1}
    assert slow_calls(lambda: hashlib.sha256().update(b"content")) == {"HASH.update": 1}


def test_no_picture_is_touched_and_no_digest_computed_on_the_event_loop(
    full_context: AnalysisContext, talking: Path
) -> None:
    infer, source = LocalInfer(full_context.settings.model_repository), Source(talking.read_bytes())

    def work() -> None:
        verdict = asyncio.run(analyze(source, infer, Options(policy="exhaustive", explain=True), full_context))
        assert verdict.layers_executed == (1, 2, 3, 4)
        assert verdict.explanation

    assert slow_calls(work) == {}
