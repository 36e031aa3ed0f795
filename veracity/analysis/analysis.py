"""The state of one analysis: what was said so far, how long it took, who listens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from veracity import log
from veracity.analysis.context import AnalysisContext
from veracity.catalog import FACE_DETECTOR, LAYERS, MODELS, Layer
from veracity.catalog.layers import SAMPLE_RATE
from veracity.catalog.profiles import FALLBACKS
from veracity.decision.report import with_coverage, without_judgement
from veracity.decision.scoring import ScoredLayer, score_layer, unscored
from veracity.evidence import coverage
from veracity.evidence.detector import detector, score
from veracity.evidence.requests import Infer, ModelOutput, Sample, State
from veracity.install.advice import install_hint
from veracity_client.errors import VeracityError
from veracity_client.verdict import Coverage, LayerResult, Options, StageEvent, Status

logger = log.get(__name__)
Tell = Callable[[StageEvent], None]

NOTHING = {
    "audio": "less than half a second of speech",
    "visual": "no face was found",
    "lipsync": "no face could be followed over 25 frames",
    "semantic": "no picture came out of the file",
}


@dataclass
class Analysis:
    """One analysis under way.

    ``spared`` are the models that some face was too small for. ``blind`` says why faces could not be looked for any
    more, ``deaf`` why no sound can be held against a mouth, ``damage`` what of the file could not be read, ``missed``
    which models have weights and did not answer, though others did in their place. ``answers`` holds what each model
    said of all its items. ``sound`` is int16 [samples], 16 kHz, empty before it is decoded.
    """

    infer: Infer
    options: Options
    context: AnalysisContext
    tell: Tell
    judged: dict[str, ScoredLayer] = field(default_factory=dict)
    answers: dict[str, ModelOutput] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    speech: list[tuple[float, float]] = field(default_factory=list)
    sound: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    audio_track: int | None = None
    audio_channel: int | None = None
    video_seconds: float = 0.0
    spared: set[str] = field(default_factory=set)
    blind: str = ""
    deaf: str = ""
    damage: tuple[str, ...] = ()
    missed: set[str] = field(default_factory=set)
    tasks: list[asyncio.Task[ModelOutput]] = field(default_factory=list)
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
        self.judged[layer.key] = unscored(status, reason, self.context.calibration.weights[layer.name])

    def state(self, model: str) -> State:
        """Return the runtime's word; a model that may not answer in this profile is as good as missing."""
        return "missing" if self.context.barred(model) else self.infer.state(model)

    def models(self, layer: Layer) -> list[tuple[str, float]]:
        """Return the layer's models that answer, with their weights; the fallback of one that does not."""
        found: dict[str, float] = {}
        for name, weight in self.context.models(layer.name):
            model = name if self._answers(name) else FALLBACKS.get(name, name)
            if self._answers(model):
                found.setdefault(model, weight)
        return list(found.items())

    def _answers(self, model: str) -> bool:
        return self.state(model) == "ready" and not self._in_vain(model)

    def _in_vain(self, model: str) -> bool:
        """Return whether a model would be asked about a sound that is not there."""
        return bool(self.deaf) and detector(model).sound == "required"

    def _weights(self, layer: Layer) -> dict[str, float]:
        """Return whoever may have been asked: the layer's own models, then their fallbacks."""
        own = dict(self.context.models(layer.name))
        return own | {FALLBACKS[m]: w for m, w in own.items() if m in FALLBACKS and FALLBACKS[m] not in own}

    def set_aside_without_model(self, layer: Layer) -> None:
        """Settle a layer none of whose models answers, or whose faces nobody finds."""
        own = [name for name, _ in self.context.models(layer.name)]
        able = list(self._weights(layer))
        if self.models(layer):
            if not layer.needs_faces or self.infer.state(FACE_DETECTOR.name) == "ready":
                return
            own = able = [FACE_DETECTOR.name]
        down = [name for name in able if self.state(name) != "missing" and not self._in_vain(name)]
        if down:
            self.without(layer, "failed", f"{', '.join(down)} does not answer")
        else:
            self.without(layer, "abstained", "; ".join(self._why_not(model) for model in own))

    def _why_not(self, model: str) -> str:
        """Say why a model that is not down was not asked, nor its fallback."""
        unheard = f"no sound to hold the mouths against: {self.deaf}"
        if self.state(model) == "ready":
            return unheard
        reason = self._missing(model)
        fallback = FALLBACKS.get(model, "")
        return f"{reason}; {fallback}: {unheard}" if fallback and self.state(fallback) == "ready" else reason

    def _notes(self, layer: Layer, answered: Sequence[str], failures: Mapping[str, str]) -> list[str]:
        """Say which of the layer's own models are not in its score, why, and who stands in."""
        own = [name for name, _ in self.context.models(layer.name)]
        spare, notes = {*answered} - {*own}, []
        for name in own:
            if name not in answered:
                fallback = FALLBACKS.get(name)
                words = f"{fallback} stands in for {name}" if fallback in spare else f"{name} is left out"
                notes.append(f"{words}: {self._absence(name, failures.get(name, ''))}")
        notes += [f"faces {_narrow(name)} were left out" for name in answered if name in self.spared]
        unheard = [name for name in answered if self.deaf and detector(name).sound == "optional"]
        return notes + [f"{name} had no voice to hold it against: {self.deaf}" for name in unheard]

    def _absence(self, model: str, failure: str) -> str:
        """Say why a model gave no answer; one that was to be asked and has weights is missed."""
        if self._in_vain(model):
            return self.deaf
        if self.state(model) == "missing":
            return self._missing(model)
        if model in self.spared and not failure:
            return _all_small(model)
        self.missed.add(model)
        return failure or "it did not answer"

    def _missing(self, model: str) -> str:
        return self.context.barred(model) or install_hint(model, untrained=self.context.measures_time)

    def ask(self, model: str, items: Sequence[Sample]) -> asyncio.Task[ModelOutput]:
        """Send items to a model at once; the answer is waited for when the layer is judged."""
        task = asyncio.create_task(score(self.infer, detector(model), items, self.sound))
        self.tasks.append(task)
        return task

    async def score_layer(self, layer: Layer, asked: Mapping[str, Sequence[asyncio.Task[ModelOutput]]]) -> None:
        """Wait for a layer's answers and judge it; a model that fails leaves the layer to the others."""
        answers: list[tuple[ModelOutput, float]] = []
        failures: dict[str, str] = {}
        for name, weight in self._weights(layer).items():
            try:
                parts = await asyncio.gather(*asked.get(name, ()))
            except VeracityError as error:
                failures[name] = error.message
                continue
            if parts:
                answers.append((ModelOutput.joined(parts), weight))
        if failures:
            logger.warning("models failed", layer=layer.key, failures=failures)
        self.answers.update((answer.model, answer) for answer, _ in answers)
        if answers:
            infos = [self.context.info(answer.model) for answer, _ in answers]
            notes = self._notes(layer, [info.name for info in infos], failures)
            scored = score_layer(layer, answers, self.context.calibration, infos, notes)
            self.judged[layer.key] = without_judgement(
                with_coverage(scored, layer.name, self._coverage(layer, answers[0][0]))
            )
        elif failures:
            self._settle_unscored(layer, "failed", "; ".join(failures.values()))
        else:
            small = [_all_small(name) for name, _ in self.models(layer) if name in self.spared]
            self._settle_unscored(layer, "abstained", "; ".join(small) or NOTHING[layer.name])

    def _coverage(self, layer: Layer, output: ModelOutput) -> Coverage:
        seconds = len(self.sound) / SAMPLE_RATE if layer.about == "audio" else self.video_seconds
        return coverage.measure(layer.name, ((item.start, item.end) for item in output.items), seconds)

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


def _narrow(model: str) -> str:
    return f"under {MODELS[model].least_face} pixels wide"


def _all_small(model: str) -> str:
    return f"every face is {_narrow(model)}: too small to judge"


def cancel(tasks: Sequence[asyncio.Task[ModelOutput]]) -> None:
    """Let go of inferences that nobody waits for any more; those issued run to their end in the server."""
    for task in tasks:
        task.cancel()
