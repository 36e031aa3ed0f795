"""The state of one analysis: what was said so far, how long it took, who listens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from veracity import log
from veracity.engine import Engine
from veracity.inputs import Answer, Infer, Item, score
from veracity.layers import FACE_DETECTOR, LAYERS, MODELS, Layer, install_hint
from veracity.verdict import Judged, judge, unscored
from veracity_client.errors import VeracityError
from veracity_client.verdict import LayerResult, Options, StageEvent, Status

logger = log.get(__name__)
Tell = Callable[[StageEvent], None]

NOTHING = {
    "audio": "less than half a second of speech",
    "visual": "no face was found",
    "lipsync": "no face could be followed over 25 frames",
    "semantic": "no picture came out of the file",
}


@dataclass
class Run:
    """One analysis under way.

    ``blind`` says why faces could not be looked for any more, ``damage`` what of the file could not be read.
    """

    infer: Infer
    options: Options
    engine: Engine
    tell: Tell
    judged: dict[str, Judged] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    speech: list[tuple[float, float]] = field(default_factory=list)
    blind: str = ""
    damage: tuple[str, ...] = ()
    tasks: list[asyncio.Task[Answer]] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    @property
    def results(self) -> dict[str, LayerResult]:
        """What each layer said so far, by key."""
        return {layer.key: self.judged[layer.key].result for layer in LAYERS if layer.key in self.judged}

    @property
    def waiting(self) -> list[Layer]:
        """The layers that have not said anything yet."""
        return [layer for layer in LAYERS if layer.key not in self.judged]

    @asynccontextmanager
    async def stage(self, name: str) -> AsyncIterator[None]:
        """Time a stage and tell of its beginning and end, and of the layer's result where it had one."""
        self._say(name, "started")
        start = time.monotonic()
        yield
        self.timings[name] = time.monotonic() - start
        self._say(name, "done", result=self.results.get(name))

    def progress(self, stage: str, share: float) -> None:
        """Tell how much of a stage is done, 0 to 1."""
        self._say(stage, "progress", progress=round(share, 3))

    def without(self, layer: Layer, status: Status, reason: str) -> None:
        """Settle a layer that was not asked, with its reason, and tell of it."""
        self._settle_unscored(layer, status, reason)
        self._say(layer.key, "done", result=self.results[layer.key])

    def _settle_unscored(self, layer: Layer, status: Status, reason: str) -> None:
        self.judged[layer.key] = unscored(status, reason, self.engine.calibration.weights[layer.name])

    def models(self, layer: Layer) -> list[tuple[str, float]]:
        """Return the layer's models that answer, with their weights."""
        return [(m, w) for m, w in self.engine.models(layer.name) if self.infer.state(m) == "ready"]

    def set_aside_without_model(self, layer: Layer) -> None:
        """Settle a layer none of whose models answers, or whose faces nobody finds."""
        states = {name: self.infer.state(name) for name, _ in self.engine.models(layer.name)}
        finder = self.infer.state(FACE_DETECTOR.name) if layer.needs_faces else "ready"
        if "ready" in states.values() and finder == "ready":
            return
        if "ready" in states.values():
            states = {FACE_DETECTOR.name: finder}
        down = [name for name, state in states.items() if state == "down"]
        if down:
            self.without(layer, "failed", f"{', '.join(down)} does not answer")
        else:
            self.without(layer, "abstained", "; ".join(install_hint(name) for name in states))

    def ask(self, model: str, items: Sequence[Item]) -> asyncio.Task[Answer]:
        """Send items to a model at once; the answer is waited for when the layer is judged."""
        task = asyncio.create_task(score(self.infer, MODELS[model], items))
        self.tasks.append(task)
        return task

    async def judge(self, layer: Layer, asked: Mapping[str, Sequence[asyncio.Task[Answer]]]) -> None:
        """Wait for a layer's answers and judge it; a model that fails leaves the layer to the others."""
        answers: list[tuple[Answer, float]] = []
        failures: list[str] = []
        for name, weight in self.engine.models(layer.name):
            try:
                parts = await asyncio.gather(*asked.get(name, ()))
            except VeracityError as error:
                failures.append(error.message)
                continue
            if parts:
                answers.append((Answer.joined(parts), weight))
        if answers:
            infos = [self.engine.info(answer.model) for answer, _ in answers]
            self.judged[layer.key] = judge(layer, answers, self.engine.calibration, infos)
        elif failures:
            logger.warning("layer failed", layer=layer.key, failures=failures)
            self._settle_unscored(layer, "failed", "; ".join(failures))
        else:
            self._settle_unscored(layer, "abstained", NOTHING[layer.name])

    def _say(
        self,
        stage: str,
        status: Literal["started", "progress", "done"],
        *,
        result: LayerResult | None = None,
        progress: float | None = None,
    ) -> None:
        seconds = round(time.monotonic() - self.begun, 3)
        self.tell(StageEvent(stage, status, seconds, progress=progress, result=result))


def cancel(tasks: Sequence[asyncio.Task[Answer]]) -> None:
    """Let go of inferences that nobody waits for any more; those issued run to their end in the server."""
    for task in tasks:
        task.cancel()
