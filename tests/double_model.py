"""A Triton model that speaks the detectors' wire and does what VIDEO or PATH says; the double of the engine in tests.

wait FILE      make FILE.begun, and answer when FILE exists
error LINE     answer the error LINE, with the number of times it was asked for
watch FILE     stream: one stage, then wait for the caller to leave and write FILE
anything else  the canned verdict: its label is the first word where that is one, ``input`` is of VIDEO: size, sha256
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb

POLL_SECONDS = 0.02
LONGEST_WAIT_SECONDS = 60
FINAL = {"fake": True, "real": False, "inconclusive": None}
STAGES = (
    {"stage": "1_audio", "status": "started", "seconds": 0.1},
    {"stage": "1_audio", "status": "done", "seconds": 1},
)


class TritonPythonModel:
    def initialize(self, args: Mapping[str, str]) -> None:
        self.verdict = json.loads(Path(__file__).with_name("verdict.json").read_text("utf-8"))
        self.output = "EVENT" if args["model_name"].endswith("_stream") else "VERDICT"
        self.asked: Counter[str] = Counter()

    def execute(self, requests: Sequence[Any]) -> list[Any] | None:
        if self.output == "VERDICT":
            return [self.answer(request, None) for request in requests]
        for request in requests:
            sender = request.get_response_sender()
            sender.send(self.answer(request, sender), flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        return None

    def answer(self, request: Any, sender: Any) -> Any:
        video, path, options = (text(request, name) for name in ("VIDEO", "PATH", "OPTIONS"))
        word, _, rest = (video if video is not None else path or b"")[:1000].decode(errors="replace").partition(" ")
        if word == "wait":
            Path(f"{rest}.begun").touch()
            until(Path(rest).exists)
        if word == "error":
            self.asked[rest] += 1
            return pb.InferenceResponse([], pb.TritonError(f"{rest} (asked {self.asked[rest]})"))
        if sender:
            self.stream(sender, word, rest)
        label = word if word in FINAL else "fake"
        said = {"options": json.loads(options or b"null"), "path": path and path.decode(errors="surrogateescape")}
        verdict = self.verdict | {"label": label, "final_verdict": FINAL[label], "reasoning": json.dumps(said)}
        digest = hashlib.sha256(video or b"").hexdigest()
        verdict["input"] = verdict["input"] | {"bytes": len(video or b""), "sha256": digest}
        return self.message({"verdict": verdict} if sender else verdict)

    def stream(self, sender: Any, word: str, rest: str) -> None:
        for stage in STAGES[: 1 if word == "watch" else None]:
            sender.send(self.message({"stage": stage}))
        if word == "watch" and until(sender.is_cancelled):
            Path(rest).touch()

    def message(self, document: Mapping[str, Any]) -> Any:
        return pb.InferenceResponse([pb.Tensor(self.output, np.array([[json.dumps(document).encode()]], np.object_))])


def text(request: Any, name: str) -> bytes | None:
    tensor = pb.get_input_tensor_by_name(request, name)
    return None if tensor is None else bytes(tensor.as_numpy().reshape(-1)[0])


def until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + LONGEST_WAIT_SECONDS
    while not (done := condition()) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
    return done
