"""Layers 2 to 4: one decode pass; what is cut out of the frames is scored while decoding goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from veracity.analysis import speakers
from veracity.analysis.analysis import Analysis
from veracity.analysis.audio_stage import provide_sound
from veracity.catalog import LAYERS, SPEAKER, Layer
from veracity.catalog.layers import MOUTH_FRAMES
from veracity.decision import wording
from veracity.evidence.detector import detector
from veracity.evidence.requests import ModelOutput
from veracity.evidence.sampling import SampleCollector, SamplingPlan, detect, plan
from veracity.media import Frame, Media, Probe
from veracity_client.errors import AnalysisTimeout, ModelUnavailable, VeracityError
from veracity_client.reasons import Reason

CHUNK = 8  # frames that go to the face detector together, while the next are decoded
AUDIO = LAYERS[0]

Sent = dict[str, list[asyncio.Task[ModelOutput]]]


async def score_frames(analysis: Analysis, media: Media, probe: Probe) -> None:
    """Decode the frames that the pending layers need, and score those layers."""
    await provide_sound(analysis, media, probe)
    evidence = analysis.evidence
    models = {layer.name: list(analysis.roster.layers[layer.name].answering) for layer in analysis.pending}
    seconds, settings = await media.video_seconds(), analysis.context.settings
    evidence.video_seconds = seconds
    detectors = [detector(name) for names in models.values() for name in names]
    if await speakers.are_asked_for(analysis):
        detectors.append(detector(SPEAKER.name))
    sampling = plan(seconds, {of.excerpt for of in detectors}, evidence.speech or ())
    collector = SampleCollector(sampling, detectors, seconds, settings.max_faces, settings.semantic_crops)
    sent: Sent = {of.model.name: [] for of in detectors}
    unreadable = None
    try:
        async with analysis.stage("frames"):
            await _decode(analysis, media, collector, sent)
    except ModelUnavailable:  # of the decoder; a verdict on half of the file would blame the file
        raise
    except VeracityError as error:
        if not collector.seen and not evidence.layers[AUDIO.key].spans:
            raise
        unreadable = wording.reason("frames_unreadable", why=error.message)
        evidence.read_warnings.append(unreadable)
    evidence.too_small.update(collector.too_small)
    evidence.faces = collector.tracker.tracks
    for layer in analysis.pending:
        failure = evidence.face_error if layer.needs_faces else None
        if unreadable and not any(sent[name] for name in models[layer.name]):
            failure = failure or unreadable
        if failure:
            analysis.skip_layer(layer, "failed", failure)
            continue
        async with analysis.stage(layer.key):
            await analysis.score_layer(layer, sent, _nothing_found(analysis, layer, collector))
    if SPEAKER.name in sent:
        async with analysis.stage("speakers"):
            evidence.speaking = await speakers.read(sent[SPEAKER.name], collector.runs)


async def _decode(analysis: Analysis, media: Media, collector: SampleCollector, sent: Sent) -> None:
    """Read frames; a chunk of them is examined while the next chunk is decoded."""
    examining: asyncio.Task[None] | None = None
    try:
        async for chunk in _chunks(media, collector.plan):
            if examining is not None:
                await examining
            examining = asyncio.create_task(_examine(analysis, chunk, collector, sent))
            analysis.progress("frames", chunk[-1].index / max(1, collector.plan.frame_indices[-1]))
    except asyncio.CancelledError:
        if examining is not None:
            examining.cancel()
        raise
    finally:
        if examining is not None:
            await examining


async def _examine(analysis: Analysis, chunk: Sequence[Frame], collector: SampleCollector, sent: Sent) -> None:
    """Find the faces in a chunk of frames, cut the models' samples out of them, and send those."""
    detected = [frame for frame in chunk if frame.index in collector.plan.detected]
    found = {}
    if detected and not analysis.evidence.face_error and not analysis.roster.face_detector:
        try:
            found = dict(zip((frame.index for frame in detected), await detect(analysis.infer, detected)))
        except AnalysisTimeout:  # there was no memory for it
            raise
        except VeracityError as error:  # the layers that need no face go on
            analysis.evidence.face_error = Reason("model_failed", error.message)
    for frame in chunk:
        await asyncio.to_thread(collector.add, frame, found.get(frame.index))
    for model, tasks in sent.items():
        samples = collector.take(model)
        if samples:
            tasks.append(analysis.send(model, samples))


async def _chunks(media: Media, sampling: SamplingPlan) -> AsyncIterator[list[Frame]]:
    """Yield the plan's frames as they are decoded, a chunk at a time."""
    chunk: list[Frame] = []
    async for frame in media.frames(sampling.frame_indices):
        chunk.append(frame)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _nothing_found(analysis: Analysis, layer: Layer, collector: SampleCollector) -> Reason:
    """Return why a layer abstains for which nothing could be cut out of the frames."""
    small = [name for name in analysis.roster.layers[layer.name].answering if name in collector.too_small]
    if small:
        return wording.joined([wording.too_small(name) for name in small])
    if not layer.needs_faces:
        return wording.reason("frames_unreadable", why="no frame came out of the file")
    if layer.name == "lipsync" and collector.still_mouths:
        return wording.reason("mouth_still")
    if layer.name == "lipsync" and collector.tracker.tracks:
        return wording.reason("face_not_followed", frames=MOUTH_FRAMES)
    return wording.reason("no_face")
