"""One analysis under way: who can answer, what was found, which inferences run, and the events of its stages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from veracity import log
from veracity.analysis.context import AnalysisContext
from veracity.analysis.roster import NOT_ANSWERING, Roster
from veracity.catalog import LAYERS, Layer
from veracity.catalog.layers import SAMPLE_RATE
from veracity.catalog.profiles import FALLBACKS
from veracity.decision import wording
from veracity.decision.domain import Cues
from veracity.decision.evidence import Evidence, ScoredLayer
from veracity.decision.scoring import score_layer, unscored
from veracity.evidence.detector import NO_SOUND, detector, score
from veracity.evidence.requests import Infer, ModelOutput, Sample
from veracity_client import telemetry
from veracity_client.errors import AnalysisTimeout, ModelUnavailable, VeracityError
from veracity_client.reasons import Reason
from veracity_client.verdict import LayerResult, Options, StageEvent, Status

logger = log.get(__name__)
Tell = Callable[[StageEvent], None]
Requests = Mapping[str, Sequence[asyncio.Task[ModelOutput]]]  # of each model, those that were sent


@dataclass
class Analysis:
    """The state of one request. ``begun`` is on the monotonic clock, in seconds."""

    infer: Infer
    options: Options
    context: AnalysisContext
    roster: Roster
    tell: Tell
    begun: float
    evidence: Evidence = field(default_factory=Evidence)
    tasks: list[asyncio.Task[ModelOutput]] = field(default_factory=list)

    @property
    def pending(self) -> list[Layer]:
        """The layers that are not settled yet."""
        return [layer for layer in LAYERS if layer.key not in self.evidence.layers]

    @asynccontextmanager
    async def stage(self, name: str) -> AsyncIterator[None]:
        """Time a stage and tell of its beginning and end, and of the layer's result where it has one."""
        self._tell(name, "started")
        start = time.monotonic()
        with telemetry.span(name):
            yield
        self.evidence.timings[name] = time.monotonic() - start
        self._tell(name, "done", result=self.evidence.results.get(name))

    def progress(self, stage: str, share: float) -> None:
        """Tell how much of a stage is done, 0 to 1."""
        self._tell(stage, "progress", progress=round(share, 3))

    def skip_layer(self, layer: Layer, status: Status, why: Reason) -> None:
        """Settle a layer that is not scored, with its reason, and tell of it."""
        self._settle(layer, unscored(status, why, self.roster.calibration.sees(layer.name)))
        self._tell(layer.key, "done", result=self.evidence.results[layer.key])

    def skip_unable_layers(self) -> None:
        """Settle the pending layers that nobody can answer for."""
        for layer in self.pending:
            if unable := self.roster.why_unable(layer):
                self.skip_layer(layer, *unable)

    def meet(self, cues: Cues) -> None:
        """Take note of what the file is like: what was never measured gets no label."""
        self.roster = self.roster.met(self.evidence.tracks or (), cues)

    def lose_sound(self, why: Reason) -> None:
        """Record that no sound can be used: the models that need it cannot answer."""
        self.evidence.audio_error = why
        self.roster = self.roster.without_sound(why)

    def send(self, model: str, samples: Sequence[Sample]) -> asyncio.Task[ModelOutput]:
        """Send samples to a model at once; its output is awaited when the layer is scored."""
        sound = NO_SOUND if self.evidence.sound is None else self.evidence.sound
        task = asyncio.create_task(score(self.infer, detector(model), samples, sound, maps=self.options.explain))
        self.tasks.append(task)
        return task

    async def score_layer(self, layer: Layer, requests: Requests, nothing_found: Reason) -> None:
        """Await a layer's outputs and score it; a model that fails leaves the layer to the others.

        ``nothing_found`` is why the layer abstains where no model was sent anything.
        """
        weights = self.roster.layers[layer.name].candidates
        outputs, failures = await _outputs(weights, requests)
        if failures:
            logger.warning("models failed", layer=layer.key, failures={m: why.text for m, why in failures.items()})
            self.roster = self.roster.without(failures)
        self.evidence.outputs.update(outputs)
        if outputs:
            weighted = [(output, weights[model]) for model, output in outputs.items()]
            infos = [self.roster.infos[model] for model in outputs]
            notes = self._notes(layer, list(outputs))
            scored = score_layer(layer, weighted, self.roster.calibration, infos, notes, self._seconds(layer))
            self._settle(layer, scored)
            return
        status: Status = "failed" if failures else "abstained"
        why = wording.joined(list(failures.values())) if failures else nothing_found
        self._settle(layer, unscored(status, why, self.roster.calibration.sees(layer.name)))

    def _seconds(self, layer: Layer) -> float:
        """Return how long the layer's kind of track lasts."""
        if layer.about == "audio":
            return 0.0 if self.evidence.sound is None else len(self.evidence.sound) / SAMPLE_RATE
        return self.evidence.video_seconds or 0.0

    def _notes(self, layer: Layer, answered: Sequence[str]) -> list[str]:
        """Say which of the profile's models are not in a layer's score, and what the others did not see or hear.

        An installed model that did not answer degrades the verdict.
        """
        roster, notes = self.roster.layers[layer.name], []
        own = [name for name, _ in roster.own]
        for name in own:
            if name not in answered:
                why = roster.absent.get(name) or self._nothing_sent(name)
                if why.code in NOT_ANSWERING:
                    self.evidence.unanswered[name] = why
                fallback = FALLBACKS.get(name)
                stands_in = fallback if fallback in answered and fallback not in own else None
                notes.append(wording.left_out(name, why, stands_in))
        notes += [wording.small_faces_left_out(name) for name in answered if name in self.evidence.too_small]
        if no_sound := self.evidence.audio_error:
            notes += [
                wording.judged_without_sound(name, no_sound) for name in answered if detector(name).sound != "none"
            ]
        return notes

    def _nothing_sent(self, model: str) -> Reason:
        if model in self.evidence.too_small:
            return wording.too_small(model)
        return wording.reason("model_down", models=model)

    def _settle(self, layer: Layer, scored: ScoredLayer) -> None:
        self.evidence.settle(layer.key, scored)

    def _tell(
        self,
        stage: str,
        status: Literal["started", "progress", "done"],
        *,
        result: LayerResult | None = None,
        progress: float | None = None,
    ) -> None:
        seconds = round(time.monotonic() - self.begun, 3)
        self.tell(StageEvent(stage, status, seconds, progress=progress, result=result))

    def cancel(self) -> None:
        """Drop the inferences that nobody awaits any more; those that were issued run to their end in the server."""
        for task in self.tasks:
            task.cancel()


async def _outputs(models: Mapping[str, float], requests: Requests) -> tuple[dict[str, ModelOutput], dict[str, Reason]]:
    """Return each model's output, and why each of the others failed; one that was sent nothing is in neither."""
    outputs: dict[str, ModelOutput] = {}
    failures: dict[str, Reason] = {}
    for model in models:
        try:
            parts = await asyncio.gather(*requests.get(model, ()))
        except AnalysisTimeout:  # there was no memory for the model: no fault of its own
            raise
        except VeracityError as error:
            failures[model] = failure(error)
            continue
        if parts:
            outputs[model] = ModelOutput.joined(parts)
    return outputs, failures


def failure(error: VeracityError) -> Reason:
    """Return why a model did not answer, as its error says."""
    return Reason("model_down" if isinstance(error, ModelUnavailable) else "model_failed", error.message)
