"""The way of a video: cheap evidence first, since an inference that was issued cannot be called back.

    probe ─▶ sound ─▶ voice ─▶ settled? ─▶ frames ─▶ faces, mouths, pictures, while decoding goes on ─▶ verdict

``analyze(video, infer, options, context)`` is the only implementation; ``infer`` is handed in. ``observe`` is the same
and returns what the verdict rests on as well.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from veracity import log
from veracity.analysis.analysis import NOTHING, Analysis, Tell, cancel
from veracity.analysis.context import AnalysisContext
from veracity.catalog import FACE_DETECTOR, LAYERS
from veracity.catalog.layers import AUDIO_WINDOWS
from veracity.decision.report import conclude
from veracity.decision.scoring import label_is_decided
from veracity.evidence.detector import detector, samples
from veracity.evidence.faces import Track
from veracity.evidence.requests import Infer, ModelOutput
from veracity.evidence.sampling import SampleCollector, SamplingPlan, detect, plan
from veracity.evidence.sound import find_speech, read_sound
from veracity.evidence.speech import speech_windows
from veracity.media import Frame, Media, Probe, Source
from veracity_client.errors import AnalysisTimeout, BadOption, VeracityError
from veracity_client.verdict import Options, StageEvent, Verdict

BUNCH = 8  # frames that go to the face detector together, while the next are decoded
AUDIO = LAYERS[0]

logger = log.get(__name__)
Asked = Mapping[str, list[asyncio.Task[ModelOutput]]]


@dataclass(frozen=True)
class Observation:
    """A verdict, and the answer of each model that it rests on: logits as the graphs gave them, before calibration."""

    verdict: Verdict
    answers: Mapping[str, ModelOutput]


def ignore(_event: StageEvent) -> None:
    """Hear of a stage and say nothing."""


async def analyze(
    video: Source, infer: Infer, options: Options, context: AnalysisContext, tell: Tell = ignore
) -> Verdict:
    """Analyse one file and return the verdict; ``tell`` hears of every stage. Raises as :func:`observe`."""
    return (await observe(video, infer, options, context, tell)).verdict


async def observe(
    video: Source, infer: Infer, options: Options, context: AnalysisContext, tell: Tell = ignore
) -> Observation:
    """Analyse one file and return the verdict with the models' own answers.

    A layer that fails is reported in the verdict. What raises is the file (:class:`BadVideo`,
    :class:`LimitExceeded`), the question (:class:`BadOption`) or the clock (:class:`AnalysisTimeout`).
    """
    run = Analysis(infer, options, context, tell)
    try:
        verdict = await asyncio.wait_for(_analyze(run, video), options.deadline_seconds)
        return Observation(verdict, run.answers)
    except asyncio.TimeoutError:
        raise AnalysisTimeout(
            f"no verdict within {options.deadline_seconds:g} s; allow more, or a policy that stops earlier"
        ) from None
    finally:
        cancel(run.tasks)


async def _analyze(run: Analysis, video: Source) -> Verdict:
    """Go through the stages in the order of their cost."""
    async with Media.opened(video, run.context.limits, run.context.ffmpeg, run.options.video_track) as media:
        async with run.stage("probe"):
            probe = await media.probe()
        tracks = [name for name, has in (("audio", probe.audio), ("video", probe.video)) if has]
        _set_aside(run, tracks)
        if AUDIO in run.waiting:
            await _listen(run, media, probe)
        followed: Sequence[Track] = ()
        pictures_asked = any(layer.about == "video" and layer.name in run.options.layers for layer in LAYERS)
        if "video" in tracks and pictures_asked and not _stop(run, tracks):
            followed = await _look(run, media, probe)
        run.damage += media.damage
        return conclude(run, str(uuid.uuid4()), media, probe, tracks, followed)


def _set_aside(run: Analysis, tracks: Sequence[str]) -> None:
    """Settle the layers that cannot score this file, each with its reason."""
    run.deaf = "" if "audio" in tracks else "the file has no audio track"
    for layer in LAYERS:
        if layer.name not in run.options.layers:
            run.without(layer, "skipped", "not asked for")
        elif layer.about not in tracks:
            run.without(layer, "abstained", f"the file has no {layer.about} track")
        else:
            run.set_aside_without_model(layer)


async def _listen(run: Analysis, media: Media, probe: Probe) -> None:
    """Layer 1: the sound alone; no picture is decoded for it."""
    await _hear(run, media, probe)
    if run.deaf:
        return run.without(AUDIO, "failed", run.deaf)
    windows = speech_windows(run.sound, lambda _: run.speech, limit=AUDIO_WINDOWS)
    if not windows:
        return run.without(AUDIO, "abstained", NOTHING[AUDIO.name])
    run.set_aside_without_model(AUDIO)  # who answered before the sound was decoded may not any more
    if AUDIO not in run.waiting:
        return None
    async with run.stage(AUDIO.key):
        cut = {name: [s for w in windows for s in samples(detector(name), w)] for name, _ in run.models(AUDIO)}
        await run.score_layer(AUDIO, {name: [run.ask(name, items)] for name, items in cut.items()})


async def _hear(run: Analysis, media: Media, probe: Probe) -> None:
    """Decode the sound and find the speech in it; a sound that cannot be decoded is the file's fault if all it has."""
    track = run.options.audio_track
    if track is not None and track >= len(probe.audio):
        raise BadOption(f"audio_track {track} asked for; the file has {len(probe.audio)}")
    try:
        async with run.stage("sound"):
            sounds = await read_sound(media, track)
    except VeracityError as error:
        if probe.video is None:
            raise
        run.deaf = error.message
        return
    async with run.stage("speech"):
        heard, run.speech = await asyncio.to_thread(find_speech, sounds, run.context.vad)
        run.sound, run.audio_track, run.audio_channel = heard.samples, heard.track, heard.channel


async def _hear_for_mouths(run: Analysis, media: Media, probe: Probe) -> None:
    """Have the sound at hand where a model that hears is going to be asked; settle what cannot be asked without."""
    if not run.deaf and any(detector(name).sound != "none" for layer in run.waiting for name, _ in run.models(layer)):
        if not run.sound.size:
            await _hear(run, media, probe)
            run.damage += (run.deaf,) if run.deaf else ()
        run.deaf = run.deaf or ("" if run.speech else "nobody speaks in it")
    for layer in run.waiting:
        run.set_aside_without_model(layer)


def _stop(run: Analysis, tracks: Sequence[str]) -> bool:
    """Ask the policy whether the video must be decoded at all; settle what is left out.

    Profile ``bench`` always goes the whole way: what its models score must not decide what is timed.
    """
    if run.context.measures_time:
        return False
    calibration = run.context.calibration
    waiting = {layer.key: calibration.weights[layer.name] for layer in run.waiting}
    voice = run.results.get(AUDIO.key)
    heard = voice.fake_probability if voice else None
    if run.options.policy == "fail_fast" and voice and heard is not None and heard >= calibration.fail_fast_threshold:
        sure = "" if calibration.is_calibrated(m.name for m in voice.models) else ", uncalibrated"
        reason = f"not needed: the voice alone reached {heard:.2f}{sure} (policy fail_fast)"
    elif run.options.policy == "decided" and label_is_decided(run.results, waiting, tracks, calibration):
        reason = "not needed: it could not change the label (policy decided)"
    else:
        return False
    for layer in run.waiting:
        run.without(layer, "skipped", reason)
    return True


async def _look(run: Analysis, media: Media, probe: Probe) -> Sequence[Track]:
    """Layers 2 to 4: one decode pass; what is cut out is scored while decoding goes on."""
    await _hear_for_mouths(run, media, probe)
    ready = {layer.name: [name for name, _ in run.models(layer)] for layer in run.waiting}
    seconds = run.video_seconds = await media.video_seconds()
    settings = run.context.settings
    detectors = [detector(name) for names in ready.values() for name in names]
    collector = SampleCollector(
        plan(seconds, {one.excerpt for one in detectors}, run.speech),
        detectors,
        seconds,
        settings.max_faces,
        settings.semantic_crops,
    )
    asked: Asked = {name: [] for names in ready.values() for name in names}
    unread = ""
    try:
        async with run.stage("frames"):
            await _decode(run, media, collector, asked)
    except VeracityError as error:
        if not collector.seen and not run.judged[AUDIO.key].spans:
            raise
        unread = error.message
        run.damage += (unread,)
    run.spared = collector.spared
    for layer in run.waiting:
        reason = run.blind if layer.needs_faces else ""
        if unread and not any(asked[name] for name in ready[layer.name]):
            reason = reason or unread
        if reason:
            run.without(layer, "failed", reason)
            continue
        async with run.stage(layer.key):
            await run.score_layer(layer, asked)
    return collector.tracker.tracks


async def _decode(run: Analysis, media: Media, collector: SampleCollector, asked: Asked) -> None:
    """Read frames; a bunch of them is looked at while the next bunch is decoded."""
    looking: asyncio.Task[None] | None = None
    try:
        async for bunch in _bunches(media, collector.plan):
            if looking is not None:
                await looking
            looking = asyncio.create_task(_look_at(run, bunch, collector, asked))
            run.progress("frames", bunch[-1].index / max(1, collector.plan.wanted[-1]))
    except asyncio.CancelledError:
        if looking is not None:
            looking.cancel()
        raise
    finally:
        if looking is not None:
            await looking


async def _look_at(run: Analysis, bunch: Sequence[Frame], collector: SampleCollector, asked: Asked) -> None:
    """Find the faces of a bunch of frames, cut everything out of them, and ask the models about it."""
    watched = [frame for frame in bunch if frame.index in collector.plan.detected]
    found = {}
    if watched and not run.blind and run.infer.state(FACE_DETECTOR.name) == "ready":
        try:
            found = dict(zip((frame.index for frame in watched), await detect(run.infer, watched)))
        except VeracityError as error:  # the layers that need no face go on
            run.blind = error.message
    for frame in bunch:
        await asyncio.to_thread(collector.add, frame, found.get(frame.index))
    for model, tasks in asked.items():
        items = collector.take(model)
        if items:
            tasks.append(run.ask(model, items))


async def _bunches(media: Media, wanted: SamplingPlan) -> AsyncIterator[list[Frame]]:
    """Yield the plan's frames as they are decoded, a bunch at a time."""
    bunch: list[Frame] = []
    async for frame in media.frames(wanted.wanted):
        bunch.append(frame)
        if len(bunch) == BUNCH:
            yield bunch
            bunch = []
    if bunch:
        yield bunch
